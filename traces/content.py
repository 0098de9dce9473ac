"""The content hash: equal for equal recordings, however the file is laid out.

SHA-256 over everything but ``/provenance`` and ``/attached``; ``docs/trace-format.md`` has the
exact rule. Order of creation, chunks and compression do not matter.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from traces.errors import TraceFormatError

_OWN_HASH = ("provenance", "attached")
"""Groups that the hash leaves out; bundles have their own."""
_LEFT_OUT = ("content_sha256", "complete")
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
        with h5py.File(path, "r") as file:
            return content_hash_of(file)
    except (OSError, RuntimeError) as error:
        raise TraceFormatError(f"{path}: no HDF5 file, or a damaged one ({error})") from None


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


def _canonical(value: Any) -> str:
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    return json.dumps(
        value,
        default=lambda v: v.decode(errors="backslashreplace") if isinstance(v, bytes) else str(v),
    )
