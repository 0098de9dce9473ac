"""Random crossbars for tests, and RANC's files written from its documentation."""

import numpy as np

from mapping.crossbar import CrossbarCore


def random_cores(rng, *, places, outputs=(), modes=(0, 1), types=4, delays=(1, 15), n_axons=None,
                 n_neurons=None, edge=256, saturating=False):  # fmt: skip
    """Cores of different sizes that send to each other, to themselves and to outputs."""
    axons = {place: n_axons or int(rng.integers(1, 9)) for place in places}
    cores = {}
    for place in places:
        n = n_neurons or int(rng.integers(1, 13))
        to_core = rng.choice([*places, *outputs], n)
        if n_axons is None:
            to_core = np.where(rng.random(n) < 0.1, -1, to_core)
        cores[place] = CrossbarCore(
            connected=rng.random((axons[place], n)) < 0.5,
            axon_type=rng.integers(0, types, axons[place]),
            weight=np.where(
                rng.random((n, types)) < 0.05,
                rng.integers(-256, 256, (n, types)),
                rng.integers(-9, 12, (n, types)),
            ),
            leak=rng.integers(-3, 5, n),
            threshold=np.where(rng.random(n) < 0.1, rng.integers(-edge, 1, n), rng.integers(1, 20, n)),
            lower=np.where(rng.random(n) < 0.1, rng.integers(1, edge, n), rng.integers(-20, 1, n)),
            reset_to=np.where(rng.random(n) < 0.1, -edge, rng.integers(-6, 7, n)),
            reset=rng.choice(modes, n),
            saturates=saturating & (rng.random(n) < 0.3),
            initial=rng.integers(-10, 11, n),
            to_core=to_core,
            # Few axons, so that several neurons hit one of them.
            to_axon=[int(rng.integers(0, axons.get(int(core), 3))) for core in to_core],
            delay=rng.integers(delays[0], delays[1] + 1, n),
        )  # fmt: skip
    return cores


def random_arrivals(rng, cores, n_ticks, rate=0.15):
    """A list of (tick, core, axon), some of them twice."""
    return [
        (tick, place, axon)
        for tick in range(n_ticks)
        for place, core in cores.items()
        for axon in range(core.n_axons)
        for _ in range(2)
        if rng.random() < rate
    ]


def binary(value, bits):
    """Two's complement of so many digits."""
    return format(int(value) % 2**bits, f"0{bits}b") if bits else ""


def write_ranc(folder, cores, columns, *, header=""):
    """Write memory images, field by field as Core.v lists them."""
    folder.mkdir(parents=True, exist_ok=True)
    for place, core in cores.items():
        axon_bits = (core.n_axons - 1).bit_length()
        lines = []
        for n in range(core.n_neurons):
            connected = "".join("01"[int(c)] for c in core.connected[::-1, n])
            dx = core.to_core[n] % columns - place % columns
            dy = core.to_core[n] // columns - place // columns
            numbers = [core.initial[n], core.reset_to[n], *core.weight[n], core.leak[n],
                       core.threshold[n], core.lower[n]]  # fmt: skip
            lines.append(
                connected
                + "".join(binary(x, 9) for x in numbers)
                + binary(core.reset[n], 1)
                + binary(dx, 9)
                + binary(dy, 9)
                + binary(core.to_axon[n], axon_bits)
                + binary(core.delay[n] - 1, 4)
            )
        (folder / f"csram_{place:03}.mem").write_text(header + "\n".join(lines))
        types = "\n".join(binary(t, 2) for t in core.axon_type)
        (folder / f"tc_{place:03}.mem").write_text(types + "\n")


def write_packets(folder, images, expected, columns, axon_bits):
    """Write what goes in, as (core, axon, delay) of each image, and the axons that come out."""
    lines = [
        binary(core % columns, 9) + binary(core // columns, 9) + binary(axon, axon_bits)
        + binary(delay, 4)
        for image in images for core, axon, delay in image
    ]  # fmt: skip
    (folder / "tb_input.txt").write_text("\n".join(lines) + "\n")
    (folder / "tb_num_inputs.txt").write_text("\n".join(str(len(i)) for i in images))
    out = [binary(axon, axon_bits) for image in expected for axon in image]
    (folder / "tb_correct.txt").write_text("\n".join(out))
    (folder / "tb_num_outputs.txt").write_text("\n".join(str(len(e)) for e in expected))
