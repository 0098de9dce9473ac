import shutil

import numpy as np
import pytest
from crossbars import random_cores, write_packets, write_ranc
from naive import simulate_crossbars

from emulator.chip_file import load_chip
from mapping.errors import RancError
from mapping.ranc_file import read_expected, read_packets, read_ranc, run_images

COLUMNS, ROWS, OUTPUT = 3, 2, 4
N_IMAGES, N_PACKETS, LAG = 30, 25, 2


@pytest.fixture
def folder(tmp_path, rng):
    """A random network of a grid of 3 × 2 and what it gives, in RANC's files."""
    places = [place for place in range(COLUMNS * ROWS) if place != OUTPUT]
    cores = random_cores(
        rng, places=places, outputs=(OUTPUT,), n_axons=12, n_neurons=8, delays=(1, 16)
    )
    images = [
        [
            (int(rng.choice(places)), int(rng.integers(12)), int(rng.integers(3)))
            for _ in range(N_PACKETS)
        ]
        for _ in range(N_IMAGES)
    ]
    arriving = [(j + d, core, axon) for j, image in enumerate(images) for core, axon, d in image]
    fired, _, _ = simulate_crossbars(cores, arriving, N_IMAGES + LAG, bits=9, rule="wrap")
    expected = [
        sorted(
            int(cores[place].to_axon[n])
            for tick, place, n in fired
            if tick == j + LAG and cores[place].to_core[n] == OUTPUT
        )
        for j in range(N_IMAGES)
    ]
    assert sum(map(len, expected)) > 20
    write_ranc(tmp_path, cores, COLUMNS, header="/* two\nlines */\n// and one more\n")
    write_packets(tmp_path, images, expected, COLUMNS, 4)
    return tmp_path


def read(folder, grid=(COLUMNS, ROWS), output_core=(1, 1), **how):
    return read_ranc(folder, grid=grid, output_core=output_core, **how)


def packets(folder, network):
    return read_packets(folder / "tb_input.txt", folder / "tb_num_inputs.txt", network)


def read_all(folder):
    packets(folder, read(folder))
    expected_of(folder)


def expected_of(folder):
    return read_expected(folder / "tb_correct.txt", folder / "tb_num_outputs.txt")


@pytest.mark.plain_python
def test_another_grid_and_other_sizes_give_every_packet(folder):
    network = read(folder)
    assert (network.grid, network.output_core, network.n_axons) == ((3, 2), OUTPUT, 12)
    expected = expected_of(folder)
    got, counters = run_images(network, packets(folder, network), n_images=N_IMAGES, lag=LAG)
    assert got == expected
    assert counters["hops_ew"].sum() > 0


def test_every_image_of_the_real_network_gives_its_packets(shared):
    folder = shared / "networks" / "ranc_tea256"
    network = read(folder, grid=(4, 3), output_core=(0, 2))
    expected = expected_of(folder)
    got, counters = run_images(network, packets(folder, network), n_images=10, lag=1)
    assert got == expected
    assert sum(map(len, got)) == 539
    assert counters["membrane_overflows"].sum() == 0


def test_widths_come_from_the_chip(folder, tmp_path):
    (tmp_path / "wide.toml").write_text(
        'base = "ranc"\nname = "wide"\n[numbers]\nmembrane_bits = 12\n'
    )
    with pytest.raises(RancError, match=r"has 120 bits, but a neuron with 12 axons .* takes 126"):
        read(folder, chip=load_chip(tmp_path / "wide.toml"))


def edit(name, change):
    """Change the text of a file of the folder."""

    def apply(folder):
        path = folder / name
        path.write_text(change(path.read_text()))

    return apply


def with_field(line, start, bits):
    return line[:start] + bits + line[start + len(bits) :]


def each_line(start, bits):
    return lambda text: "\n".join(
        with_field(line, start, bits) if line[:1] in "01" else line for line in text.splitlines()
    )


# In a line of 12 axons: 12 connections, 9 numbers of 9 bits, the mode, then dx, dy, axon, tick.
DX, DY, AXON = 94, 103, 112


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (edit("csram_002.mem", lambda t: t[:-5]), r"csram_002.mem: line 11 has 115 bits, but a neuron with 12 axons \(see tc_002.mem\) takes 120; it is truncated"),
        (edit("csram_002.mem", lambda t: t.rpartition("\n")[0]), "as many axons × neurons, but csram_000.mem has 12 × 8, csram_002.mem has 12 × 7"),
        (edit("csram_002.mem", lambda t: t.replace("0", "2", 1)), r"csram_002.mem: line 4: '2' at column"),
        (edit("csram_002.mem", lambda t: "héé"), "csram_002.mem: not a text of zeros and ones"),
        (edit("csram_002.mem", lambda t: ""), "csram_002.mem: empty"),
        (edit("csram_002.mem", lambda t: t + "\n/* open"), "line 12: '/' at column 1"),
        (edit("csram_001.mem", each_line(DX, "000000010")), r"neuron 0 sends to core \(3, .*\), outside the grid 3 × 2"),
        (edit("csram_001.mem", each_line(DY, "111111111")), r"neuron 0 sends to core \(.*, -1\), outside the grid"),
        (edit("csram_003.mem", each_line(DX, "0" * 18 + "1111")), r"csram_003.mem: neuron 0 sends to axon 15, but there are 12"),
        (edit("tc_001.mem", lambda t: t[3:]), "csram_001.mem: line 4 has 120 bits, but a neuron with 11 axons"),
        (edit("tc_001.mem", lambda t: t[:-2]), "tc_001.mem: line 12 has 1 bits, but an axon's type takes 2"),
        (lambda f: (f / "tc_001.mem").unlink(), "tc_001.mem: cannot be read .No such file"),
        (lambda f: (f / "csram_005.mem").unlink(), r"no file csram_\*.mem of core 5 \(1 of the grid's 6 cores are missing\)"),
        (lambda f: shutil.copy(f / "csram_005.mem", f / "csram_006.mem"), "csram_006.mem is outside the grid of 6 cores"),
        (lambda f: shutil.copy(f / "csram_005.mem", f / "csram_05.mem"), "core 5 has another file"),
        (lambda f: shutil.copy(f / "csram_005.mem", f / "csram_x.mem"), "does not end with the number of a core"),
        (lambda f: (f / "csram_001.mem").unlink() or (f / "csram_001.mem").mkdir(), "csram_001.mem: cannot be read"),
        (edit("tb_input.txt", lambda t: t[:-4]), "tb_input.txt: line 750 has 23 bits, but a packet of 12 axons takes 26"),
        (edit("tb_input.txt", lambda t: t[27:]), "tb_input.txt: 749 packets, but tb_num_inputs.txt counts 750"),
        (edit("tb_input.txt", each_line(0, "100000000")), r"packet 0 goes to core \(-256, .\), outside the grid"),
        (edit("tb_input.txt", each_line(0, "000000001000000001")), r"packet 0 goes to axon .* of core \(1, 1\), which is the output"),
        (edit("tb_input.txt", each_line(18, "1111")), "packet 0 goes to axon 15 of core .* has only 12"),
        (edit("tb_num_inputs.txt", lambda t: t + "\nmany"), "tb_num_inputs.txt: line 31 is 'many', not a count"),
        (edit("tb_num_inputs.txt", lambda t: "\n"), "tb_num_inputs.txt: empty"),
        (edit("tb_num_outputs.txt", lambda t: t + "\n3"), "tb_correct.txt: .* packets, but tb_num_outputs.txt counts"),
        (edit("tb_correct.txt", lambda t: t[:-1]), "tb_correct.txt: line .* has 3 bits"),
        (edit("tb_correct.txt", lambda t: t + "\n01x0"), "tb_correct.txt: line .*: 'x' at column 3"),
        (lambda f: (f / "tb_correct.txt").unlink(), "tb_correct.txt: cannot be read"),
    ],
)  # fmt: skip
def test_broken_files_are_refused(folder, break_it, message):
    break_it(folder)
    with pytest.raises(RancError, match=message):
        read_all(folder)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"grid": (0, 2)}, "a grid of 0 × 2 cores"),
        ({"grid": (1000, 2)}, "a grid of 1000 × 2 cores"),
        ({"output_core": (3, 0)}, r"the output core \(3, 0\) lies outside the grid 3 × 2"),
        ({"output_core": (0, -1)}, "lies outside the grid"),
        ({"output_core": (1, 0)}, "core 4"),
        ({"grid": (2, 3), "output_core": (0, 2)}, "outside the grid 2 × 3"),
        ({"pattern": ""}, "must be a pattern"),
        ({"pattern": "/etc/*.mem"}, "must be a pattern"),
        ({"pattern": "*.absent"}, r"no file \*.absent of core 0"),
    ],
)
def test_grids_and_patterns_that_do_not_suit_are_refused(folder, how, message):
    with pytest.raises(RancError, match=message):
        read(folder, **how)


def test_no_packet_may_be_expected(folder):
    (folder / "tb_correct.txt").write_text("")
    (folder / "tb_num_outputs.txt").write_text("0\n0\n")
    assert expected_of(folder) == [[], []]


def test_numbers_are_signed_and_axon_0_is_the_last_bit(folder):
    words = ["1" + "0" * 11 + "100000000" + "0" * 99, "0" * 120]
    (folder / "csram_000.mem").write_text("\n".join(words * 4))
    core = read(folder).cores[0]
    assert np.argwhere(core.connected).tolist() == [[11, 0], [11, 2], [11, 4], [11, 6]]
    assert core.initial.tolist() == [-256, 0] * 4
