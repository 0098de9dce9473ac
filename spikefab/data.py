"""Data sets: ``x`` with samples, with or without a tick axis, and ``y`` with classes; or spikes."""

from collections.abc import Collection
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from mapping.drive import Drive
from mapping.encodings import Encoding
from mapping.network import Input, Network, Population
from mapping.stimuli.reading import Wanted, kind_of, read_counts

Array = NDArray[Any]

MOST_SPIKES = 2**31 - 1
"""Of one channel in one tick."""


class DataError(ValueError):
    """A data file is broken or does not suit the network."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Samples:
    """Samples for a network with one input.

    Attributes
    ----------
    x : array [samples, n_channels] or [samples, ticks, n_channels]
    y : int64 [samples] or None
    n_ticks : int
        Ticks in which input is applied.
    spiking : bool
        Whether ``x`` counts spikes; otherwise it is current.
    """

    x: Array
    y: Array | None
    n_ticks: int
    spiking: bool

    def __len__(self) -> int:
        return len(self.x)

    def drive(self, index: int, network: Network) -> Drive:
        """Input of one sample."""
        name = network.inputs[0].name
        values = self.x[index]
        if self.spiking:
            return Drive(n_ticks=self.n_ticks, spikes={name: values.astype(np.int64)})
        return Drive(n_ticks=self.n_ticks, currents={name: values.astype(np.float64)})


def load_samples(
    path: str | Path,
    network: Network,
    *,
    ticks: int | None = None,
    encoding: str | None = None,
    n_samples: int | None = None,
    need_classes: bool = False,
    readout: str | None = None,
    population: str | None = None,
    sensor: tuple[int, ...] | None = None,
    seed: int = 0,
) -> Samples:
    """Read ``x`` and ``y`` from ``.npz`` or ``.h5``, or spikes, and fit them to a network's input.

    Spikes come from a trace, SONATA, ``.csv``, ``.bs2`` or AEDAT: see `mapping.stimuli.reading`.

    Parameters
    ----------
    ticks : int, optional
        How long static samples are held; cuts data with a tick axis.
    encoding : str, optional
        ``direct``, ``spikes``, or a code that turns values into spikes, as
        `mapping.encodings.Encoding.parse` reads it. By default static data is current (``direct``),
        and data with a tick axis counts spikes if it holds only whole numbers from 0 on.
    n_samples : int, optional
        Take only the first so many.
    need_classes : bool
        Whether data without ``y`` is refused.
    readout : str, optional
        Output whose classes ``y`` holds; the first by default.
    population : str, optional
        Whose spikes, where a file of spikes has those of several.
    sensor : tuple of int, optional
        Polarities, rows and columns of a camera, where the input is flat.
    seed : int
        Of codes that draw at random; each sample has its own.

    Raises
    ------
    FileNotFoundError, DataError, StimulusError
    MissingExtraError
        If the file needs a library that is not installed.
    NetworkError
        If there is no such output.
    """
    path = Path(path)
    if kind_of(path) is not None:
        _only_input(network)
        _check_counts(path, ticks, n_samples, encoding=encoding, need_classes=need_classes)
        network.readout(readout)
        wanted = Wanted(network.inputs[0], network.dt_s, population, sensor)
        x = read_counts(path, wanted, ticks=ticks, n_samples=n_samples)
        return Samples(x=x, y=None, n_ticks=x.shape[1], spiking=True)
    for option, value in (("population", population), ("sensor", sensor)):
        if value is not None:
            raise DataError(f"{path}: --{option} is for files of spikes, which this is not")
    arrays, names = _read(path)
    if "x" not in arrays:
        raise DataError(f"{path}: no array 'x' in it; there are {', '.join(names) or 'none'}")
    if need_classes and "y" not in arrays:
        raise DataError(
            f"{path}: no array 'y' with one class a sample, so accuracy cannot be measured; there "
            f"are {', '.join(names)}"
        )
    return fit_samples(
        arrays["x"], arrays.get("y"), network, ticks=ticks, encoding=encoding,
        n_samples=n_samples, readout=readout, seed=seed, where=str(path),
    )  # fmt: skip


def static_values(path: Path, part: Input) -> Array:
    """Read the samples of a data file as one value for each channel; in their own type.

    Values that change from tick to tick become samples of their own.

    Returns
    -------
    array [samples, n_channels]

    Raises
    ------
    FileNotFoundError, DataError
    """
    if kind_of(path) is not None:
        raise DataError(f"{path}: holds spikes; activations are measured on values")
    arrays, names = _read(path)
    if "x" not in arrays:
        raise DataError(f"{path}: no array 'x' in it; there are {', '.join(names) or 'none'}")
    x, _ = _shaped(_checked(arrays["x"], str(path)), part, str(path))
    return x.reshape(-1, part.size)


def _only_input(network: Network) -> Input:
    if len(network.inputs) != 1:
        names = ", ".join(part.name for part in network.inputs)
        raise DataError(
            f"the network has {len(network.inputs)} inputs ({names}), but data files feed one"
        )
    return network.inputs[0]


def _check_counts(
    path: Path, ticks: int | None, n_samples: int | None, *, encoding: str | None,
    need_classes: bool,
) -> None:  # fmt: skip
    for option, value in (("ticks", ticks), ("samples", n_samples)):
        if value is not None and value < 1:
            raise DataError(f"--{option} must be at least 1, but is {value}")
    if encoding not in (None, "spikes"):
        entering = "direct current" if encoding == "direct" else f"the code {encoding}"
        raise DataError(f"{path}: holds spikes, which cannot enter as {entering}")
    if need_classes:
        raise DataError(f"{path}: spikes without classes, so accuracy cannot be measured")


def _read(path: Path) -> tuple[dict[str, Array], list[str]]:
    """Return ``x`` and ``y`` where they are there, and the names of all arrays."""
    kind = path.suffix.lower()
    try:
        if path.is_dir():
            raise DataError(f"{path}: this is a folder; give a .npz or .h5 file")
        if not path.exists():
            raise FileNotFoundError(f"{path}: there is no such file")
        if kind == ".npz":
            return _read_archive(path)
        if kind in (".h5", ".hdf5"):
            with h5py.File(path, "r") as file:
                names = _named(file)
                found = {name: file.get(own) for name, own in names.items()}  # None: a dead link
                sets = {n: s[()] for n, s in found.items() if isinstance(s, h5py.Dataset)}
                return sets, sorted(file)
    except (DataError, FileNotFoundError):
        raise
    except (OSError, ValueError, RuntimeError, EOFError, KeyError, TypeError) as error:
        raise DataError(f"{path}: cannot be read as {path.suffix} ({error})") from error
    except Exception as error:  # zipfile and zlib raise their own kinds on damaged archives
        raise DataError(f"{path}: damaged ({error})") from error
    raise DataError(
        f"{path}: data is read from .npz or .h5, spikes also from .csv, .bs2 and .aedat, not "
        f"{path.suffix or 'a file without suffix'}"
    )


def _read_archive(path: Path) -> tuple[dict[str, Array], list[str]]:
    with path.open("rb") as file:  # which NumPy would leave open if it is damaged
        loaded = np.load(file, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            raise DataError(
                f"{path}: one array without a name, as np.save writes it; write it with "
                f"np.savez(path, x=…, y=…)"
            )
        # Arrays come in when asked for, so that others may be of any kind.
        with loaded:
            wanted = {name: loaded[own] for name, own in _named(loaded.files).items()}
            return wanted, sorted(loaded.files)


def _named(there: Collection[str]) -> dict[str, str]:
    """How a file calls x and y: some write X, as statisticians do."""
    return {name: own for name in ("x", "y") for own in (name.upper(), name) if own in there}


def fit_samples(
    x: Array,
    y: Array | None,
    network: Network,
    *,
    ticks: int | None = None,
    encoding: str | None = None,
    n_samples: int | None = None,
    readout: str | None = None,
    seed: int = 0,
    where: str = "data",
) -> Samples:
    """Bring arrays into the network's shape; see `load_samples`."""
    _only_input(network)
    if ticks is not None and ticks < 1:
        raise DataError(f"--ticks must be at least 1, but is {ticks}")
    code = None if encoding in (None, "direct", "spikes") else Encoding.parse(str(encoding))
    x = _checked(x, where)
    if n_samples is not None:
        if n_samples < 1:
            raise DataError(f"--samples must be at least 1, but is {n_samples}")
        if n_samples > len(x):
            raise DataError(f"{where}: {n_samples} samples were asked for, but it has {len(x)}")
    x, timed = _shaped(x, _encoded(network.inputs[0], code), where)
    y = None if y is None else _classes(y, len(x), where)
    check_classes(y, network, readout, where)
    # Decided by all of it, so that the first samples or ticks mean what they mean in a whole run.
    whole = _counts(x)
    spiking = timed and whole if encoding is None else encoding == "spikes"
    if spiking:
        _refuse_no_counts(x, whole, where)
    x, y = x[:n_samples], None if y is None else y[:n_samples]
    if timed:
        length = x.shape[1] if ticks is None else ticks
        if length > x.shape[1]:
            raise DataError(f"{where}: --ticks {length}, but the data lasts {x.shape[1]} ticks")
        x = x[:, :length]
    elif ticks is None:
        raise DataError(
            f"{where}: x has no tick axis, so say for how many ticks each sample is held (--ticks)"
        )
    else:
        length = ticks
    if code is not None:
        x, spiking = _in_code(x, code, length, seed), True
    elif spiking and not timed:
        x = np.broadcast_to(x[:, None], (len(x), length, x.shape[1]))
    y = None if y is None else y.astype(np.int64)
    return Samples(x=x, y=y, n_ticks=length, spiking=bool(spiking))


def _encoded(part: Input, code: Encoding | None) -> Input:
    """What the data must have, before a code that spreads each value over several channels."""
    each = 1 if code is None else code.width(1)
    if code is None or each == 1:
        return part
    if part.size % each:
        raise DataError(
            f"encoding {code.name} makes {each} channels of each value, but input {part.name!r} "
            f"has {part.size} channels {part.shape}"
        )
    return Input(name=part.name, shape=(part.size // each,))


def _in_code(x: Array, code: Encoding, n_ticks: int, seed: int) -> Array:
    """Spikes of all samples, each with a seed of its own, in the narrowest type."""
    found = []
    for index, values in enumerate(x):
        counts = code.spikes(values, n_ticks, (seed, index))
        found.append(counts.astype(np.min_scalar_type(int(counts.max(initial=0)))))
    return np.stack(found)


def _checked(x: Array, where: str) -> Array:
    x = np.asarray(x)
    if x.dtype.kind not in "biuf":
        raise DataError(f"{where}: x holds {x.dtype}, not numbers")
    if x.ndim < 2 or 0 in x.shape:
        raise DataError(
            f"{where}: x has shape {x.shape}; samples × input shape is needed, none empty"
        )
    if x.dtype.kind == "f" and x.dtype.itemsize > 8:
        with np.errstate(over="ignore"):
            x = x.astype(np.float64)
    if not np.all(np.isfinite(x)):
        raise DataError(f"{where}: x holds {int((~np.isfinite(x)).sum())} NaN or infinite values")
    return x


def _refuse_no_counts(x: Array, whole: bool, where: str) -> None:
    if not whole:
        raise DataError(
            f"{where}: encoding spikes needs whole numbers from 0 on, but x holds "
            f"{x.min():g}..{x.max():g}; use direct"
        )
    if float(x.max()) > MOST_SPIKES:
        raise DataError(
            f"{where}: x holds whole numbers up to {x.max():g}, but a channel spikes at most "
            f"{MOST_SPIKES:,} times in a tick; use --encoding direct for currents"
        )


def _shaped(x: Array, part: Input, where: str) -> tuple[Array, bool]:
    """Tell samples × input from samples × ticks × input."""
    for fits in (_fits_exactly, _fits_folded):
        static = fits(x.shape[1:], part)
        timed = x.ndim > 2 and fits(x.shape[2:], part)
        if static and timed:
            raise DataError(
                f"{where}: x has shape {x.shape}, which reads as {x.shape[0]} static samples of "
                f"{x.shape[1:]} and as {x.shape[0]} samples × {x.shape[1]} ticks of {x.shape[2:]}; "
                f"flatten the input axes of the reading you mean"
            )
        if static:
            return x.reshape(len(x), part.size), False
        if timed:
            return x.reshape(len(x), x.shape[1], part.size), True
    found = f"{prod(x.shape[1:])} values a sample"
    if x.ndim > 2:
        found += f", or {x.shape[1]} ticks of {prod(x.shape[2:])} values"
    raise DataError(
        f"{where}: x has shape {x.shape}: {found}, but input {part.name!r} takes {part.size} "
        f"{part.shape}; x must be samples × input or samples × ticks × input, flat or with the "
        f"input's axes in that order"
    )


def _fits_exactly(shape: tuple[int, ...], part: Input) -> bool:
    return shape in (part.shape, (part.size,))


def _fits_folded(shape: tuple[int, ...], part: Input) -> bool:
    """Whether a shape differs only by axes of size 1, or folds what the network takes flat."""
    own, given = (tuple(n for n in axes if n != 1) for axes in (part.shape, shape))
    return prod(shape) == part.size and (len(own) < 2 or given == own)


def _classes(y: Array, n: int, where: str) -> Array:
    y = np.asarray(y)
    if y.shape != (n,) or y.dtype.kind not in "iu":
        raise DataError(
            f"{where}: y must be {n} whole numbers, one class a sample, but is {y.dtype} {y.shape}"
        )
    return y


def check_classes(
    y: Array | None, network: Network, readout: str | None, where: str = "data"
) -> Population:
    """Return the output that classes are read from; it must have a neuron for every class.

    Raises
    ------
    DataError
        If it has not.
    NetworkError
        If there is no such output.
    """
    output = network.readout(readout)
    if y is None or not y.size:
        return output
    least, most = int(y.min()), int(y.max())
    if least < 0 or most >= output.size:
        wrong = least if least < 0 else most
        raise DataError(
            f"{where}: y holds class {wrong}, but the output {output.name!r} has {output.size} "
            f"neurons, one for each class from 0 to {output.size - 1}"
            + ("; name another output with --readout" if len(network.outputs) > 1 else "")
        )
    return output


def _counts(x: Array) -> bool:
    return bool(x.dtype.kind == "b" or (np.all(x >= 0) and np.all(x == np.rint(x))))
