"""A network of any kind of file, and how it gets onto a chip."""

from functools import partial
from pathlib import Path
from typing import Any, Protocol

from emulator.chip import Chip
from mapping.network import Network
from mapping.network_file import is_network, load_network
from mapping.netx_import import import_netx
from mapping.nir_import import import_nir
from mapping.plan import Choices as PlanChoices
from spikefab.converting import Choices, converted, is_rate_network
from spikefab.data import Samples
from spikefab.deployment import Deployment, deploy, deploy_fixed
from spikefab.telling import BadInputError


class Loading(Protocol):
    """Load a network onto its chip."""

    def __call__(
        self, *, direct: bool, samples: Samples | None = None, choices: PlanChoices | None = None
    ) -> Deployment:
        """Map and assemble; see `spikefab.deployment.deploy`."""


def import_network(
    path: Path,
    chip: Chip,
    conventions: dict[str, Any],
    *,
    seed: int = 0,
    quantiser: str = "spikefab",
    data: Path | None = None,
) -> tuple[Network, Loading]:
    """Read a network by its file's suffix; the second result loads it.

    Parameters
    ----------
    conventions : dict
        ``dt_s``, ``reset``, ``spike``, ``compare``, ``input_shape``; what the file does not say.
        ``conversion``: `spikefab.converting.Choices` for networks of rates.
    seed : int
        For stochastic rounding of constants.
    quantiser : str
        How float becomes integers; a key of `mapping.quantisers.QUANTISERS`.
    data : Path, optional
        What a network of rates is scaled by.

    Raises
    ------
    BadInputError
        If a convention means nothing for this kind of file; and whatever the importer raises.
    """
    conversion = conventions.get("conversion")
    conventions = {key: value for key, value in conventions.items() if key != "conversion"}
    if path.suffix == ".npz" and is_network(path):
        refuse_for_rates(conventions)
        network = load_network(path)
        return network, partial(deploy, network, chip, seed=seed, quantiser=quantiser)
    if is_rate_network(path):
        refuse_for_rates(conventions)
        made = converted(path, data, conversion or Choices(), dt_s=conventions.get("dt_s"))
        return made.network, partial(deploy, made.network, chip, seed=seed, quantiser=quantiser)
    if conversion not in (None, Choices()):
        raise BadInputError(f"{path}: spikes already; rates alone are converted (.onnx, .npz)")
    if path.suffix != ".net":
        refuse_for_nir(conventions)
        given = {key: value for key, value in conventions.items() if key != "input_shape"}
        network = import_nir(path, **given)
        return network, partial(deploy, network, chip, seed=seed, quantiser=quantiser)
    if quantiser != "spikefab":
        raise BadInputError(f"--quantiser {quantiser}: a .net file holds integers already")
    refuse_for_netx(conventions)
    fixed = import_netx(
        path, chip, dt_s=conventions.get("dt_s"), compare=conventions.get("compare"),
        input_shape=input_sizes(conventions.get("input_shape")),
    )  # fmt: skip
    return fixed.network, partial(deploy_fixed, fixed, chip)


def refuse_for_rates(conventions: dict[str, Any]) -> None:
    """Refuse conventions that mean nothing for a network of rates.

    Raises
    ------
    BadInputError
    """
    for key in ("reset", "spike", "compare", "input_shape"):
        if conventions.get(key) is not None:
            raise BadInputError(
                f"--{key.replace('_', '-')} {conventions[key]}: rates are converted to neurons that "
                f"integrate and reset by subtraction, whose spikes are 1; leave it out"
            )


def refuse_for_nir(conventions: dict[str, Any]) -> None:
    """Refuse conventions that mean nothing for a NIR file.

    Raises
    ------
    BadInputError
    """
    if conventions.get("input_shape") is not None:
        raise BadInputError("--input-shape is for .net files; a NIR file has it")


def refuse_for_netx(conventions: dict[str, Any]) -> None:
    """Refuse conventions that mean nothing for a file of lava-dl.

    Raises
    ------
    BadInputError
    """
    for key in ("reset", "spike"):
        if conventions.get(key) not in (None, "zero"):
            raise BadInputError(
                f"--{key} {conventions[key]}: networks of lava-dl reset to zero and their spikes "
                f"are 1; leave it out"
            )


def input_sizes(text: str | None) -> tuple[int, ...] | None:
    """Read the option ``--input-shape``.

    Raises
    ------
    BadInputError
        If it is no shape.
    """
    if text is None:
        return None
    sizes = _sizes(text)
    if not 1 <= len(sizes) <= 3 or min(sizes) < 1:
        raise BadInputError(
            f"--input-shape {text!r} must be channels,rows,columns, such as 2,34,34"
        )
    return sizes


def sensor_sizes(text: str | None) -> tuple[int, ...] | None:
    """Read the option ``--sensor``.

    Raises
    ------
    BadInputError
        If it is no shape.
    """
    if text is None:
        return None
    sizes = _sizes(text)
    if len(sizes) != 3 or min(sizes) < 1:
        raise BadInputError(f"--sensor {text!r} must be polarities,rows,columns, such as 2,34,34")
    return sizes


def _sizes(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        return ()
