"""Read a network file of lava-dl (``.net``, HDF5) into layers of plain values.

Nothing of the file is trusted: whatever HDF5 or the file itself has wrong becomes one error that
names the layer and the field.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from mapping.errors import NetxError

Integers = NDArray[np.int64]

MOST_VALUES = 2**27
"""A larger array is taken for damage, not for a layer; one GiB once it is read."""
_DEEPEST = 4
_HINT = "is it a network saved by lava-dl (export_hdf5)?"


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer of the file.

    Attributes
    ----------
    where : str
        File, number and type, as errors name them.
    number : int
    kind : str
        Its ``type``.
    values : mapping of field to value
        Fields of groups carry the group's name: ``neuron/vThMant``.
    """

    where: str
    number: int
    kind: str
    values: Mapping[str, Any]

    def wrong(self, field: str, text: str) -> NetxError:
        """Return an error that names this layer and a field of it."""
        return NetxError(f"{self.where}: {field}: {text}")

    def has(self, *fields: str) -> bool:
        """Whether any of these fields, or of these groups, is there."""
        return any(
            name == field or name.startswith(f"{field}/")
            for name in self.values
            for field in fields
        )

    def text(self, field: str) -> str:
        """Return a word.

        Raises
        ------
        NetxError
        """
        return _word(self._value(field), lambda text: self.wrong(field, text))

    def whole(self, field: str, default: int | None = None) -> Integers:
        """Return an array of whole numbers, in whatever type they are stored.

        Raises
        ------
        NetxError
            If the field is missing, or holds anything else.
        """
        array = np.asarray(self._value(field, default))
        if array.dtype.kind not in "biuf":
            raise self.wrong(field, f"must hold numbers, but is {array.dtype}")
        if not array.size:
            raise self.wrong(field, f"holds no values (shape {array.shape})")
        bad = ~np.isfinite(array)
        if bad.any():
            raise self.wrong(field, f"{int(bad.sum())} of {array.size} values are NaN or infinite")
        bad = (array != np.rint(array)) | (np.abs(array.astype(np.float64)) >= 2**31)
        if bad.any():
            raise self.wrong(
                field,
                f"{int(bad.sum())} of {array.size} values are no whole numbers of 32 bits, the "
                f"first is {array[bad][0] if array.ndim else array.item()}; "
                f"was the network quantised before it was saved?",
            )
        return array.astype(np.int64)

    def between(
        self, field: str, low: int, high: int, default: int | None = None, why: str = ""
    ) -> Integers:
        """Return whole numbers of a range.

        Raises
        ------
        NetxError
            Which counts what lies outside.
        """
        values = self.whole(field, default)
        n_bad = int(np.count_nonzero((values < low) | (values > high)))
        if n_bad:
            raise self.wrong(
                field,
                f"{n_bad} of {values.size} values are outside {low:,}..{high:,}{why} "
                f"({values.min():,}..{values.max():,})",
            )
        return values

    def number_of(self, field: str, low: int, high: int, default: int | None = None) -> int:
        """Return one whole number of a range."""
        values = self.between(field, low, high, default)
        if values.size != 1:
            raise self.wrong(field, f"must be one number, but has shape {values.shape}")
        return int(values.ravel()[0])

    def pair(self, field: str, low: int, high: int, default: int | None = None) -> tuple[int, int]:
        """Return a number for rows and one for columns; a single one stands for both."""
        values = self.between(field, low, high, default).ravel()
        if values.size not in (1, 2):
            raise self.wrong(field, f"must be one number or two, but holds {values.size}")
        return int(values[0]), int(values[-1])

    def _value(self, field: str, default: Any = None) -> Any:
        value = self.values.get(field, default)
        if value is None:
            raise NetxError(
                f"{self.where}: has no {field!r}; there are {', '.join(sorted(self.values))}"
            )
        return value


def read_layers(path: str | Path) -> tuple[Layer, ...]:
    """Read all layers in their order.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    NetxError
        If it is no such file, is truncated, or misses what every such file has.
    """
    path = Path(path)
    if path.is_dir():
        raise NetxError(f"{path}: this is a folder, not a network file")
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file")
    try:
        with h5py.File(path, "r") as file:
            tree = _group_of_layers(file, path)
    except NetxError:
        raise
    except Exception as error:  # h5py raises many kinds on damaged files
        raise NetxError(f"{path}: cannot be read ({error}); {_HINT}") from error
    names = sorted(tree, key=int)
    if [int(name) for name in names] != list(range(len(names))):
        raise NetxError(
            f"{path}: the layers are numbered {', '.join(names)}, but 0 to {len(names) - 1} without "
            f"a gap are needed"
        )
    return tuple(_layer(path, number, tree[name]) for number, name in enumerate(names))


def _group_of_layers(file: Any, path: Path) -> dict[str, dict[str, Any]]:
    if not isinstance(file.get("layer"), h5py.Group):
        raise NetxError(f"{path}: no group 'layer' in it; {_HINT}")
    tree = {}
    for name, item in file["layer"].items():
        where = f"{path}: layer {name}"
        if not name.isdecimal() or not isinstance(item, h5py.Group):
            raise NetxError(f"{where}: layers are groups with a number as their name; {_HINT}")
        tree[name] = dict(_fields(item, "", where))
    if not tree:
        raise NetxError(f"{path}: there is no layer in it; {_HINT}")
    return tree


def _fields(group: Any, prefix: str, where: str) -> list[tuple[str, Any]]:
    fields: list[tuple[str, Any]] = []
    if prefix.count("/") > _DEEPEST:
        raise NetxError(f"{where}: {prefix}: groups {_DEEPEST} deep; {_HINT}")
    for name in group:
        field = prefix + name
        try:
            item = group[name]
            if isinstance(item, h5py.Group):
                fields += _fields(item, f"{field}/", where)
                continue
            if item.size is not None and item.size > MOST_VALUES:
                raise NetxError(
                    f"{where}: {field}: {item.size:,} values, but at most {MOST_VALUES:,} are read"
                )
            fields.append((field, item[()]))
        except NetxError:
            raise
        except Exception as error:  # as above
            raise NetxError(
                f"{where}: {field}: cannot be read ({error}); is the file complete?"
            ) from error
    return fields


def _layer(path: Path, number: int, values: Mapping[str, Any]) -> Layer:
    where = f"{path}: layer {number}"
    if "type" not in values:
        raise NetxError(f"{where}: has no 'type'; {_HINT}")
    kind = _word(values["type"], lambda text: NetxError(f"{where}: type: {text}"))
    return Layer(where=f"{where} ({kind})", number=number, kind=kind, values=values)


def _word(value: Any, error: Any) -> str:
    """Take a string out of the wrappings that HDF5 has for it."""
    while isinstance(value, np.ndarray | np.generic) and not isinstance(value, bytes | str):
        if value.size != 1:
            raise error(f"must be one word, but has shape {value.shape}")
        value = value.ravel()[0] if isinstance(value, np.ndarray) else value.item()
    if isinstance(value, bytes):
        value = value.decode("ascii", errors="replace")
    if not isinstance(value, str):
        raise error(f"must be a word, but is {value!r}")
    return value
