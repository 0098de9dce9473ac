"""The content hash: equal for equal recordings, however the file is laid out.

SHA-256 over everything but ``/provenance``, ``/attached`` and ``/checkpoints``;
``docs/trace-format.md`` has the exact rule. Order of creation, chunks and compression do not matter.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from traces.errors import TraceFormatError
from traces.store import Store
from traces.walk import check

_OWN_HASH = ("provenance", "attached", "checkpoints")
"""Groups that the hash leaves out; bundles have their own."""
_LEFT_OUT = ("content_sha256", "complete", "whole_ticks", "header_sha256")
_PIECE_BYTES = 1 << 22


def content_hash(path: str | Path) -> str:
    """Hash a trace file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    TraceFormatError
        If it is no HDF5 file or a damaged one.
    """
    if not Path(path).exists():
        raise FileNotFoundError(f"{path}: there is no such file")
    try:
        store = Store.read(Path(path))
    except OSError as error:
        raise TraceFormatError(f"{path}: cannot be read ({error.strerror or error})") from None
    try:
        check(store)
        with h5py.File(store, "r") as file:
            return content_hash_of(file)
    except (OSError, RuntimeError) as error:
        raise TraceFormatError(f"{path}: no HDF5 file, or a damaged one ({error})") from None
    finally:
        store.close()


def content_hash_of(file: Any) -> str:
    """Hash an open file; hexadecimal."""
    digest = hashlib.sha256()
    paths: list[str] = []
    file.visit(paths.append)
    for path in ["/", *sorted(paths)]:
        if path.split("/")[0] in _OWN_HASH:
            continue
        item = file[path]
        digest.update(path.encode() + b"\0")
        for name in sorted(item.attrs):
            if name not in _LEFT_OUT:
                digest.update(f"{name}={_canonical(item.attrs[name])}\n".encode())
        if isinstance(item, h5py.Dataset):
            _add_dataset(digest, item)
    return digest.hexdigest()


def _add_dataset(digest: Any, dataset: Any) -> None:
    dtype = dataset.dtype.newbyteorder("<")
    digest.update(f"{dtype.str} {json.dumps(dataset.shape)}\n".encode())
    if dataset.ndim == 0:
        digest.update(np.asarray(dataset[()], dtype).tobytes())
        return
    row_bytes = int(np.prod(dataset.shape[1:], dtype=np.int64)) * dtype.itemsize
    rows = max(_PIECE_BYTES // max(row_bytes, 1), 1)
    for start in range(0, dataset.shape[0], rows):
        digest.update(np.ascontiguousarray(dataset[start : start + rows], dtype=dtype).data)


class Header(NamedTuple):
    """What an incomplete trace says of itself: attributes of the root and of populations."""

    root: dict[str, str]
    populations: dict[str, dict[str, str]]


def header_of(file: Any) -> Header:
    """Collect the header of an open file."""
    root = {n: _canonical(v) for n, v in file.attrs.items() if n != "header_sha256"}
    spikes = file.get("spikes", {})
    return Header(
        root,
        {
            name: {n: _canonical(v) for n, v in spikes[name].attrs.items()}
            for name in map(str, file.attrs["populations"])
        },
    )


def header_hash(header: Header, lengths: Mapping[str, Mapping[str, int]]) -> str:
    """Hash a header and the rows of each column of each table that grows; hexadecimal."""
    text = json.dumps([header.root, header.populations, lengths], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _canonical(value: Any) -> str:
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    return json.dumps(
        value,
        default=lambda v: v.decode(errors="backslashreplace") if isinstance(v, bytes) else str(v),
    )
