"""The content hash: equal for equal recordings, however the file is laid out.

SHA-256 over everything but ``/provenance``, in sorted order of paths: attributes of each group and
dataset (name and canonical JSON of the value; ``content_sha256`` and ``complete`` left out), and
for each dataset its dtype, shape and little-endian bytes. Chunking and compression do not matter.
"""

import hashlib
import json
from typing import Any

import h5py
import numpy as np

_LEFT_OUT = ("content_sha256", "complete")
_PIECE = 1 << 20


def content_hash_of(file: Any) -> str:
    """Hash an open file."""
    digest = hashlib.sha256()
    paths: list[str] = []
    file.visit(paths.append)
    for path in ["/", *sorted(paths)]:
        if path.split("/")[0] == "provenance":
            continue
        item = file[path]
        digest.update(path.encode() + b"\0")
        for name in sorted(item.attrs):
            if name not in _LEFT_OUT:
                digest.update(f"{name}={_canonical(item.attrs[name])}\n".encode())
        if isinstance(item, h5py.Dataset):
            dtype = item.dtype.newbyteorder("<")
            digest.update(f"{dtype.str}{item.shape}".encode())
            rows = max(_PIECE // max(int(np.prod(item.shape[1:], dtype=np.int64)), 1), 1)
            for start in range(0, item.shape[0], rows):
                piece = np.ascontiguousarray(item[start : start + rows], dtype=dtype)
                digest.update(piece.tobytes())
    return digest.hexdigest()


def _canonical(value: Any) -> str:
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    return json.dumps(value, default=lambda v: v.decode() if isinstance(v, bytes) else str(v))
