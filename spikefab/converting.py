"""Rate networks at the front door: read by suffix, scaled by data, made of spikes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mapping.ann.convert import DT_S, Converted, convert, largest_activations
from mapping.ann.npz_import import import_weights
from mapping.ann.onnx_import import import_onnx
from mapping.ann.rate_network import RateNetwork
from spikefab.data import static_values
from spikefab.telling import BadInputError

Array = NDArray[Any]

MOST_SAMPLES = 1000
"""Samples that activations are measured on, spread over the data."""
BYTES = 255.0
"""What bytes are divided by: networks are trained on pixels from 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class Choices:
    """How rates become spikes.

    Attributes
    ----------
    scale : tuple of str
        Spikes a tick at the largest activation: a number, or ``layer=number``.
    percentile : float
        Of a layer's activations, what counts as its largest.
    max_pool : str
        What becomes of max pooling; see `import_onnx`.
    input_scale : float, optional
        What the data is multiplied by; by default bytes are divided by 255, all else is taken as
        it is.
    output : str
        See `mapping.ann.convert.convert`.
    """

    scale: tuple[str, ...] = ()
    percentile: float = 100.0
    max_pool: str = "refuse"
    input_scale: float | None = None
    output: str = "membrane"


def is_rate_network(path: Path) -> bool:
    """Whether a file is read as a network of rates."""
    return path.suffix.lower() in (".onnx", ".npz")


def read_rate_network(path: Path, choices: Choices) -> RateNetwork:
    """Read a network of rates by its file's suffix."""
    if path.suffix.lower() == ".onnx":
        return import_onnx(path, max_pool=choices.max_pool)
    return import_weights(path)


def converted(
    path: Path, data: Path | None, choices: Choices, *, dt_s: float | None = None
) -> Converted:
    """Read a network of rates and make a spiking one of it.

    Parameters
    ----------
    data : Path, optional
        What activations are measured on; without it each layer's largest is taken as 1.

    Raises
    ------
    BadInputError
        If a choice cannot be; and what the importer and the data raise.
    """
    rate = read_rate_network(path, choices)
    factor, x = _values(rate, data, choices)
    notes = [*rate.notes]
    if x is None:
        largest = {layer.name: 1.0 for layer in rate.layers}
        notes.append("no data: each layer's largest activation is taken as 1")
    else:
        largest = largest_activations(rate, x * factor, percentile=choices.percentile)
        notes.append(f"firing rates are scaled by the largest activations of {len(x):,} samples")
    if factor != 1:
        notes.append(f"the data is multiplied by {factor:g}")
    if not 0 < factor < np.inf:
        raise BadInputError(f"--input-scale {factor:g}: must be above 0")
    told = RateNetwork(
        inputs=rate.inputs, layers=rate.layers, outputs=rate.outputs, notes=tuple(notes)
    )
    return convert(
        told, largest, scale=_scale(choices.scale), output=choices.output,  # type: ignore[arg-type]
        dt_s=DT_S if dt_s is None else dt_s, input_unit=factor,
    )  # fmt: skip


def _values(rate: RateNetwork, data: Path | None, choices: Choices) -> tuple[float, Array | None]:
    if data is None:
        return 1.0 if choices.input_scale is None else choices.input_scale, None
    if len(rate.inputs) != 1:
        names = ", ".join(part.name for part in rate.inputs)
        raise BadInputError(f"the network has {len(rate.inputs)} inputs ({names}), data feeds one")
    x = static_values(data, rate.inputs[0])
    factor = choices.input_scale
    if factor is None:
        factor = 1 / BYTES if x.dtype == np.uint8 and x.max(initial=0) > 1 else 1.0
    kept = np.unique(np.linspace(0, len(x) - 1, min(len(x), MOST_SAMPLES)).astype(np.int64))
    return factor, x[kept].astype(np.float64)


def _scale(texts: tuple[str, ...]) -> float | dict[str, float]:
    found: dict[str, float] = {}
    for text in texts:
        name, sign, value = text.rpartition("=")
        try:
            number = float(value)
        except ValueError:
            raise BadInputError(
                f"--scale-firing-rates {text!r}: must be a number, or layer=number"
            ) from None
        if not sign:
            if len(texts) > 1:
                raise BadInputError(
                    f"--scale-firing-rates {text}: one number for all layers, or layer=number for "
                    f"each, not both"
                )
            return number
        found[name] = number
    return found or 1.0
