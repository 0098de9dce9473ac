"""AEDAT files of event cameras, versions 2, 3.1 and 4.

Formats: iniVation, "AEDAT file formats" (docs.inivation.com); bits of addresses of version 2 as in
jAER. Addresses are taken as they are: jAER counts rows from below, and mirrors columns.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mapping.errors import StimulusError
from mapping.event_files import CameraEvents
from mapping.stimuli.camera import Sensor, on_channels
from mapping.stimuli.recording import Recording
from traces.extras import extra

Array = NDArray[Any]

MAGIC = b"#!AER-DAT"
POLARITY_EVENTS = 1
"""Type of a packet of version 3.1."""
_HEADER = np.dtype(
    [
        ("kind", "<i2"), ("source", "<i2"), ("size", "<i4"), ("ts_offset", "<i4"),
        ("ts_overflow", "<i4"), ("capacity", "<i4"), ("number", "<i4"), ("valid", "<i4"),
    ]
)  # fmt: skip
_EVENT_BYTES = 8


class Address(NamedTuple):
    """Where an address of version 2 holds what, as (shift, mask).

    ``foreign`` are bits of what is no event of a pixel; ``brighter`` is the bit's value for that.
    """

    x: tuple[int, int]
    y: tuple[int, int]
    polarity: int
    brighter: int
    foreign: int


ADDRESSES = {
    "dvs128": Address(x=(1, 0x7F), y=(8, 0x7F), polarity=0, brighter=0, foreign=0x8000),
    "davis": Address(
        x=(12, 0x3FF), y=(22, 0x1FF), polarity=11, brighter=1, foreign=0x8000_0000 | 0x400
    ),
}
"""By what the header's ``AEChip`` holds, in small letters."""


def aedat_recording(path: Path, sensor: Sensor) -> Recording:
    """Read an AEDAT file; times count from its first event, since they are those of a clock.

    Raises
    ------
    StimulusError
        If it is damaged, of another version, or does not fit.
    MissingExtraError
        If version 4 needs what is not installed.
    """
    with path.open("rb") as file:
        first = file.readline(64)
    version = first[len(MAGIC) :].strip().decode("ascii", "replace")
    if not first.startswith(MAGIC) or version[:3] not in READERS:
        said = f"version {version}" if first.startswith(MAGIC) else f"it begins with {first[:12]!r}"
        raise StimulusError(
            f"{path}: AEDAT files of versions {', '.join(READERS)} are read, but {said}"
        )
    events, size = READERS[version[:3]](path)
    if not events.t_us.size:
        raise StimulusError(f"{path}: holds no events of pixels")
    hint = "the camera's clock was reset on the way; split the recording there"
    timed = events._replace(t_us=events.t_us - events.t_us[0])
    return on_channels(str(path), timed, sensor, size, hint)


def read_aedat2(path: Path) -> tuple[CameraEvents, None]:
    """Read version 2: big-endian words of address and microseconds behind lines of ``#``."""
    lines, body = _split(path.read_bytes(), b"#End Of ASCII Header")
    if len(body) % _EVENT_BYTES:
        raise StimulusError(
            f"{path}: {len(body)} bytes behind the header, but events of {_EVENT_BYTES} each: the "
            "file is truncated"
        )
    address, time = np.frombuffer(body, ">u4").astype(np.int64).reshape(-1, 2).T
    bits = _bits(path, lines, address)
    mine = (address & bits.foreign) == 0
    address = address[mine]
    (x_shift, x_mask), (y_shift, y_mask) = bits.x, bits.y
    brighter = ((address >> bits.polarity) & 1) == bits.brighter
    x, y = (address >> x_shift) & x_mask, (address >> y_shift) & y_mask
    return CameraEvents(time[mine], x, y, brighter.astype(np.int64)), None


def _bits(path: Path, lines: list[bytes], address: Array) -> Address:
    """Tell by the header what an address means; a file that does not say is of a DVS128."""
    chips = [line for line in lines if b"AEChip" in line]
    chip = chips[-1].decode("ascii", "replace").lower() if chips else "dvs128"
    known = [bits for name, bits in ADDRESSES.items() if name in chip]
    if not known:
        raise StimulusError(
            f"{path}: recorded by {chip.partition(':')[2].strip() or chip}, whose addresses are "
            f"not known here; those of {' and '.join(ADDRESSES)} are"
        )
    most = int(address.max(initial=0))
    if known[0] is ADDRESSES["dvs128"] and most > 0xFFFF:
        raise StimulusError(
            f"{path}: has the address {most:#x}, but a DVS128 has 16 bits, and its header names no "
            "other camera"
        )
    return known[0]


def read_aedat3(path: Path) -> tuple[CameraEvents, None]:
    """Read version 3.1: packets of little-endian events; only those of pixels, only valid ones."""
    _, body = _split(path.read_bytes(), b"#!END-HEADER")
    parts, at = [np.empty((0, 3), np.int64)], 0
    while at < len(body):
        if len(body) - at < _HEADER.itemsize:
            raise StimulusError(f"{path}: ends within the header of a packet: it is truncated")
        head = np.frombuffer(body, _HEADER, 1, at)[0]
        at += _HEADER.itemsize
        size, number = int(head["size"]), int(head["number"])
        if size < 1 or number < 0 or at + size * number > len(body):
            raise StimulusError(
                f"{path}: a packet of {number} events of {size} bytes at byte {at} of "
                f"{len(body)}: the file is truncated or damaged"
            )
        if head["kind"] == POLARITY_EVENTS:
            if size != _EVENT_BYTES:
                raise StimulusError(f"{path}: events of pixels with {size} bytes instead of 8")
            data, time = (
                np.frombuffer(body, "<u4", 2 * number, at).astype(np.int64).reshape(-1, 2).T
            )
            time = time + (int(head["ts_overflow"]) << 31)
            parts.append(np.column_stack([time, data, data & 1])[(data & 1) == 1])
        at += size * number
    time, data, _ = np.concatenate(parts).T
    return CameraEvents(time, (data >> 17) & 0x7FFF, (data >> 2) & 0x7FFF, (data >> 1) & 1), None


def read_aedat4(path: Path) -> tuple[CameraEvents, tuple[int, int]]:
    """Read version 4 with the library ``aedat``: the first stream of events."""
    library = extra("aedat", "aedat")
    parts = []
    try:
        decoder = library.Decoder(path)
        streams = {
            number: about for number, about in decoder.id_to_stream().items()
            if about["type"] == "events"
        }  # fmt: skip
        if not streams:
            raise StimulusError(f"{path}: has no stream of events")
        chosen = min(streams)
        parts = [p["events"] for p in decoder if p["stream_id"] == chosen and "events" in p]
    except StimulusError:
        raise
    except Exception as error:  # the library raises its own kinds
        raise StimulusError(f"{path}: cannot be read as AEDAT 4 ({error})") from error
    size = int(streams[chosen]["width"]), int(streams[chosen]["height"])
    columns = [
        np.concatenate([np.empty(0, np.int64), *(part[name].astype(np.int64) for part in parts)])
        for name in ("t", "x", "y", "on")
    ]
    return CameraEvents(*columns), size


READERS = {"2.0": read_aedat2, "3.1": read_aedat3, "4.0": read_aedat4}
"""By version; each returns events, and the camera's (width, height) where the file has it."""


def _split(raw: bytes, last: bytes) -> tuple[list[bytes], bytes]:
    """Part lines of text from what follows them: those that begin with ``#``, up to ``last``."""
    lines, at = [], 0
    while raw[at : at + 1] == b"#":
        newline = raw.find(b"\n", at)
        stop = len(raw) if newline < 0 else newline + 1
        lines.append(raw[at:stop].strip())
        at = stop
        if lines[-1].startswith(last):
            break
    return lines, raw[at:]
