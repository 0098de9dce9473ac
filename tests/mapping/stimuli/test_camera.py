"""Recordings of event cameras, written here byte by byte as their formats say."""

import struct

import numpy as np
import pytest

from mapping.errors import StimulusError
from mapping.network import Input
from mapping.stimuli.reading import Wanted, read_counts

SHAPE = (2, 6, 8)
WANTED = Wanted(Input(name="in", shape=SHAPE), 1e-3)
ORIGIN_US = 1_700_000


@pytest.fixture
def events(rng):
    """Draw 200 events (t_us, x, y, brighter) of a camera of 8 × 6 pixels within 30 ms."""
    n = 200
    t = np.sort(rng.integers(0, 30_000, n))
    t[0] = 0
    return list(
        zip(
            t.tolist(), rng.integers(0, 8, n).tolist(), rng.integers(0, 6, n).tolist(),
            rng.integers(0, 2, n).tolist(), strict=True,
        )
    )  # fmt: skip


def counted(events, ticks, shape=SHAPE):
    counts = np.zeros((ticks, *shape), int)
    for t, x, y, brighter in events:
        counts[t // 1000, brighter if shape[0] == 2 else 0, y, x] += 1
    return counts.reshape(1, ticks, -1)


def bs2(events):
    return b"".join(
        bytes([x, y, (p << 7) | (t >> 16), (t >> 8) & 255, t & 255]) for t, x, y, p in events
    )


def aedat2(events, chip=b"", address=None, origin=ORIGIN_US):
    def dvs128(x, y, p):
        return (y << 8) | (x << 1) | (1 - p)

    head = b"#!AER-DAT2.0\r\n# This is a raw AE data file\r\n" + chip
    words = [struct.pack(">II", (address or dvs128)(x, y, p), origin + t) for t, x, y, p in events]
    return head + b"".join(words)


def davis(x, y, p):
    return (y << 22) | (x << 12) | (p << 11)


def aedat3(events, *, per_packet=64, overflow=3, valid=lambda k: True, kind=1):
    raw = b"#!AER-DAT3.1\r\n#Format: RAW\r\n#!END-HEADER\r\n"
    for first in range(0, len(events), per_packet):
        some = events[first : first + per_packet]
        head = struct.pack(
            "<hhiiiiii", kind, 1, 8, 4, overflow, len(some), len(some), len(some)
        )  # fmt: skip
        body = b"".join(
            struct.pack("<Ii", (x << 17) | (y << 2) | (p << 1) | valid(first + k), ORIGIN_US + t)
            for k, (t, x, y, p) in enumerate(some)
        )
        raw += head + body
    return raw


WRITERS = {
    "x.bs2": bs2,
    "x.aedat": aedat2,
    "davis.aedat": lambda events: aedat2(
        events, b"# AEChip: eu.seebetter.ini.chips.davis.Davis240C\r\n", davis
    ),
    "three.aedat": aedat3,
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("shape", [SHAPE, (1, 6, 8), (6, 8)])
def test_events_are_counted_on_their_channels(tmp_path, events, name, shape):
    (tmp_path / name).write_bytes(WRITERS[name](events))
    wanted = WANTED._replace(part=Input(name="in", shape=shape))
    found = read_counts(tmp_path / name, wanted, ticks=30)
    expected = counted(events, 30, shape if len(shape) == 3 else (1, *shape))
    np.testing.assert_array_equal(found, expected)


def test_a_flat_input_is_told_how_it_lies(tmp_path, events):
    (tmp_path / "x.bs2").write_bytes(bs2(events))
    flat = WANTED._replace(part=Input(name="in", shape=(96,)))
    with pytest.raises(StimulusError, match=r"has shape \(96,\); say how .* --sensor"):
        read_counts(tmp_path / "x.bs2", flat)
    found = read_counts(tmp_path / "x.bs2", flat._replace(sensor=SHAPE), ticks=30)
    np.testing.assert_array_equal(found, counted(events, 30))
    with pytest.raises(StimulusError, match=r"has 100 channels, but the input .* has 96"):
        read_counts(tmp_path / "x.bs2", flat._replace(sensor=(1, 10, 10)))


def test_foreign_events_are_passed_over(tmp_path, events):
    invalid = aedat3(events, valid=lambda k: k % 3 > 0)
    other = aedat3(events, kind=2).split(b"#!END-HEADER\r\n")[1]
    (tmp_path / "x.aedat").write_bytes(invalid + other)
    kept = [event for k, event in enumerate(events) if k % 3]
    first = kept[0][0]
    expected = counted([(t - first, *rest) for t, *rest in kept], 30)
    np.testing.assert_array_equal(read_counts(tmp_path / "x.aedat", WANTED, ticks=30), expected)
    external = aedat2([(5, 0, 0, 0)], address=lambda *_: 0x8001)
    (tmp_path / "y.aedat").write_bytes(external)
    with pytest.raises(StimulusError, match="holds no events of pixels"):
        read_counts(tmp_path / "y.aedat", WANTED)


def test_a_clock_of_31_bits_goes_on_in_the_next_packet(tmp_path):
    head = b"#!AER-DAT3.1\r\n#!END-HEADER\r\n"
    raw = b"".join(
        struct.pack("<hhiiiiii", 1, 1, 8, 4, overflow, 1, 1, 1)
        + struct.pack("<Ii", (3 << 17) | 1, time)
        for overflow, time in ((0, 2**31 - 1_000), (1, 1_500))
    )
    (tmp_path / "x.aedat").write_bytes(head + raw)
    assert np.flatnonzero(read_counts(tmp_path / "x.aedat", WANTED)[0, :, 3]).tolist() == [0, 2]


def test_aedat_4_as_dv_writes_it(tmp_path, events):
    pytest.importorskip("aedat", reason="needs pip install '.[aedat]'")
    dv = pytest.importorskip("dv_processing", reason="writes AEDAT 4; pip install dv-processing")
    path = tmp_path / "x.aedat4"
    writer = dv.io.MonoCameraWriter(str(path), dv.io.MonoCameraWriter.EventOnlyConfig("c", (8, 6)))
    store = dv.EventStore()
    for t, x, y, p in events:
        store.push_back(1_600_000_000_000_000 + t, x, y, bool(p))
    writer.writeEvents(store)
    del writer
    np.testing.assert_array_equal(read_counts(path, WANTED, ticks=30), counted(events, 30))
    larger = WANTED._replace(part=Input(name="in", shape=(2, 34, 34)))
    with pytest.raises(
        StimulusError, match="a camera of 8 × 6 pixels, but the input takes 34 × 34"
    ):
        read_counts(path, larger)


def test_a_damaged_aedat_4_is_told(tmp_path):
    pytest.importorskip("aedat", reason="needs pip install '.[aedat]'")
    (tmp_path / "x.aedat4").write_bytes(b"#!AER-DAT4.0\r\n" + bytes(range(200)))
    with pytest.raises(StimulusError, match="cannot be read as AEDAT 4"):
        read_counts(tmp_path / "x.aedat4", WANTED)


ONE = [(0, 1, 2, 1)]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.bs2", b"", "empty"),
        ("x.bs2", bs2(ONE)[:-1], "truncated"),
        ("x.bs2", bs2([(9, 0, 0, 0), (5, 0, 0, 0)]), "backwards: event 1 is at 5, after .* at 9"),
        ("x.bs2", bs2([(9, 8, 0, 0)]), r"event 0 has x 8, outside 0 to 7, .* input of 2 × 6 × 8"),
        ("x.bs2", bs2([(9, 0, 6, 0)]), "event 0 has y 6, outside 0 to 5"),
        ("x.aedat", b"", "are read, but it begins with b''"),
        ("x.aedat", b"#!AER-DAT1.0\r\n", "versions 2.0, 3.1, 4.0 are read, but version 1.0"),
        ("x.aedat", aedat2(ONE)[:-3], "5 bytes behind the header, but events of 8"),
        ("x.aedat", aedat2([(9, 0, 0, 0), (5, 0, 0, 0)]), "clock was reset"),
        ("x.aedat", aedat2(ONE, address=davis), "a DVS128 has 16 bits"),
        ("x.aedat", aedat2(ONE, b"# AEChip: a.b.Cochlea\r\n"), "recorded by a.b.cochlea"),
        ("x.aedat", aedat2([]), "holds no events of pixels"),
        ("x.aedat", aedat3(ONE)[:-1], "a packet of 1 events of 8 bytes .* truncated"),
        ("x.aedat", aedat3(ONE)[:-20], "ends within the header of a packet"),
        ("x.aedat", aedat3([(0, 300, 0, 1)]), "has x 300"),
    ],
)
def test_bad_recordings_are_told(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(StimulusError, match=message):
        read_counts(tmp_path / name, WANTED)


def test_nmnist_is_read_as_the_reference_reads_it(shared):
    from mapping.event_files import binned, read_bs2

    part = Input(name="in", shape=(2, 34, 34))
    for path in sorted((shared / "networks" / "nir_scnn_nmnist" / "samples").glob("*.bs2"))[:5]:
        found = read_counts(path, Wanted(part, 1e-3), ticks=300)
        expected = binned(*read_bs2(path), n_ticks=300)
        np.testing.assert_array_equal(found[0], expected.reshape(300, -1))
