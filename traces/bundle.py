"""Bundles: plain values and named arrays in one HDF5 group, with a hash of their own.

What a run was made from travels in bundles (`docs/trace-format.md`): the owner of a value says how
it is packed into a header and arrays, and this file alone knows how these lie in the file.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

from traces.errors import TraceFormatError

Array = NDArray[Any]

_SMALL = 64
"""Arrays of fewer values are not worth compressing."""


class Bundle(NamedTuple):
    """Plain values, as JSON keeps them, and arrays by name."""

    header: dict[str, Any]
    arrays: dict[str, Array]


def write_bundle(
    group: Any, header: Mapping[str, Any], arrays: Mapping[str, Array], *, compress: bool = True
) -> None:
    """Write a bundle into an empty group.

    Parameters
    ----------
    group : h5py.Group
    header : mapping
        Values that JSON can hold.
    arrays : mapping of name to array of numbers or bools
    compress : bool
        Whether arrays are packed with gzip.
    """
    text = json.dumps(header)
    # A dataset, since attributes end at 64 KiB.
    group["header"] = np.frombuffer(text.encode(), np.uint8)
    columns = group.create_group("arrays")
    packed = {"compression": "gzip", "compression_opts": 1, "shuffle": True} if compress else {}
    for name, values in arrays.items():
        array = np.asarray(values)
        about = {**packed, "fletcher32": True} if array.size > _SMALL else {}
        columns.create_dataset(name, data=array, **about)
    group.attrs["sha256"] = _hash(text, arrays)


def read_bundle(group: Any) -> Bundle:
    """Read what `write_bundle` wrote.

    Raises
    ------
    TraceFormatError
        If anything is missing or differs from its hash.
    """
    where = f"{group.file.filename}: {group.name}"
    try:
        text = bytes(group["header"][()]).decode()
        arrays = {name: group["arrays"][name][()] for name in group["arrays"]}
        told, header = str(group.attrs["sha256"]), json.loads(text)
    except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise TraceFormatError(f"{where} is damaged ({error})") from None
    if _hash(text, arrays) != told:
        raise TraceFormatError(f"{where} differs from its hash; it was changed or damaged")
    return Bundle(header, arrays)


def is_bundle(item: object) -> bool:
    """Whether an item of a file looks like a bundle."""
    return isinstance(item, h5py.Group) and "header" in item and "arrays" in item


def _hash(text: str, arrays: Mapping[str, Array]) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        digest.update(f"\0{name} {array.dtype.newbyteorder('<').str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes())
    return digest.hexdigest()
