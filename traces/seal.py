"""The seal of a closed trace: a checksum over every byte, behind the end of the HDF5 file.

HDF5 trusts its own bookkeeping: a flipped bit in it may crash the library. So a seal is checked
before HDF5 sees anything: one hash over all bytes that are not blocks of columns. These are too
many to be read whenever a file is opened; each has a checksum of its own in the seal, which is
compared when the block is read. Plain HDF5 ignores the seal, and removes it when it changes the
file.
"""

import hashlib
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from traces.errors import TraceFormatError
from traces.store import Store

Array = NDArray[Any]

SEAL_MAGIC = b"spikefab-seal-02"
_BLOCK = np.dtype([("address", "<u8"), ("size", "<u8"), ("crc32", "<u4")])
_FOOTER = struct.Struct("<QQ32s32s16s")
"""Length of the HDF5 file, number of blocks, hash of the rest, hash of the seal, magic."""
_PIECE_BYTES = 1 << 22


class Seal(NamedTuple):
    """What a file must be: its length without the seal, its blocks, the hash of all else."""

    end: int
    blocks: Array
    rest: bytes


def close_sealed(file: Any, store: Store) -> None:
    """Close an HDF5 file that lies on a store, and commit it with a new seal.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    places = _block_places(file)
    file.close()
    end = store.end
    blocks = np.zeros(len(places), _BLOCK)
    blocks["address"], blocks["size"] = places[:, 0], places[:, 1]
    for block in blocks:
        block["crc32"] = zlib.crc32(_bytes(store, int(block["address"]), int(block["size"])))
    about = Seal(end, blocks, _hash_of_rest(store, end, blocks))
    store.seek(end)
    store.write(_packed(about))
    store.commit()


def unsealed(store: Store) -> bool:
    """Check the seal of a file and have its blocks checked later; True if there is none.

    Raises
    ------
    TraceFormatError
        If the file is not what its seal says.
    """
    seal = _read(store)
    if seal is None:
        return True
    if _hash_of_rest(store, seal.end, seal.blocks) != seal.rest:
        raise TraceFormatError(f"{store}: damaged, it differs from its seal; {_HELP}")
    store.end = seal.end
    _verify(store, seal)
    return False


def verify_blocks(store: Store) -> None:
    """Have the blocks of a file checked when they are read, if it has a seal that can be read."""
    with suppress(TraceFormatError):
        seal = _read(store)
        if seal is not None:
            _verify(store, seal)


def _verify(store: Store, seal: Seal) -> None:
    columns = (seal.blocks[name].tolist() for name in ("address", "size", "crc32"))
    store.verify({address: (size, crc) for address, size, crc in zip(*columns, strict=True)})


_HELP = "spikefab recover saves what can be read"


def _read(store: Store) -> Seal | None:
    size = store.end
    if size < _FOOTER.size:
        return None
    footer = _bytes(store, size - _FOOTER.size, _FOOTER.size)
    end, n_blocks, rest, digest, magic = _FOOTER.unpack(footer)
    if magic != SEAL_MAGIC:
        return None
    table_bytes = n_blocks * _BLOCK.itemsize
    if end + table_bytes + _FOOTER.size != size:
        raise TraceFormatError(f"{store}: damaged, its seal is for a file of another size; {_HELP}")
    table = _bytes(store, end, table_bytes)
    if _digest(table, end, rest) != digest:
        raise TraceFormatError(f"{store}: its seal is damaged; {_HELP}")
    return Seal(end, np.frombuffer(table, _BLOCK), rest)


def _packed(seal: Seal) -> bytes:
    table = seal.blocks.tobytes()
    digest = _digest(table, seal.end, seal.rest)
    return table + _FOOTER.pack(seal.end, len(seal.blocks), seal.rest, digest, SEAL_MAGIC)


def _digest(table: bytes | bytearray, end: int, rest: bytes) -> bytes:
    return hashlib.sha256(table + struct.pack("<Q", end) + rest).digest()


def _block_places(file: Any) -> Array:
    """Address and size of each block that HDF5 reads whole; int64 [n, 2], ascending."""
    places: list[tuple[int, int]] = []

    def add(chunk: Any) -> None:
        places.append((chunk.byte_offset, chunk.size))

    def visit(_: str, item: Any) -> None:
        # What passes no filter may be read in part, and has no checksum of HDF5 either.
        if isinstance(item, h5py.Dataset) and item.chunks and item.fletcher32:
            item.id.chunk_iter(add)

    file.visititems(visit)
    return np.array(sorted(places), np.int64).reshape(-1, 2)


def _hash_of_rest(store: Store, end: int, blocks: Array) -> bytes:
    digest = hashlib.sha256()
    begin = 0
    starts, sizes = blocks["address"].tolist(), blocks["size"].tolist()
    for start, size in [*zip(starts, sizes, strict=True), (end, 0)]:
        for piece in _pieces(store, begin, start):
            digest.update(piece)
        begin = start + size
    return digest.digest()


def _pieces(store: Store, first: int, last: int) -> Iterator[bytearray]:
    for at in range(first, last, _PIECE_BYTES):
        yield _bytes(store, at, min(_PIECE_BYTES, last - at))


def _bytes(store: Store, at: int, n_bytes: int) -> bytearray:
    data = bytearray(n_bytes)
    store.seek(at)
    store.readinto(data)
    return data
