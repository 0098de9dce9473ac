"""Networks in files: a JSON header and one array for each tensor, in an ``.npz`` archive."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mapping.errors import NetworkError
from mapping.linear import Convolution, Dense, Linear, Sparse
from mapping.network import LATER, PARAMETERS, Input, Network, Population, Projection

_FORMAT = "spikefab-network-1"


def packed(network: Network) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split a network into plain values and arrays."""
    arrays: dict[str, Any] = {}
    populations = []
    for number, population in enumerate(network.populations):
        # What later versions added is only said where it says something: hashes stay what they were.
        for name in PARAMETERS:
            said = name not in LATER or name in population.extras
            if said and getattr(population, name) is not None:
                arrays[f"population{number}_{name}"] = getattr(population, name)
        keep = ("name", "shape", "reset", "compare", "spiking")
        rule = {} if population.rule == "euler" else {"rule": population.rule}
        populations.append({name: getattr(population, name) for name in keep} | rule)
    projections = []
    for number, projection in enumerate(network.projections):
        plain, tensors = packed_linear(projection.linear, f"projection{number}_")
        own = ("source", "target", "delay_s", "current_gain")
        held = {name: getattr(projection, name) for name in own} | plain
        # Only where relays are: all other networks keep their checksum.
        projections.append(
            held | {"chip_ticks": projection.chip_ticks} if projection.chip_ticks else held
        )
        arrays |= tensors
    header = {
        "format": _FORMAT,
        "dt_s": network.dt_s,
        "inputs": [{"name": part.name, "shape": part.shape} for part in network.inputs],
        "populations": populations,
        "projections": projections,
        "outputs": network.outputs,
        "notes": network.notes,
    }
    return header, arrays


def packed_linear(linear: Linear, prefix: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split weights into plain values and arrays, whose names begin with ``prefix``."""
    plain: dict[str, Any] = {"kind": type(linear).__name__}
    arrays: dict[str, Any] = {}
    for name, value in vars(linear).items():
        if isinstance(value, np.ndarray):
            arrays[prefix + name] = value
        else:
            plain[name] = value
    return plain, arrays


def content_hash(network: Network) -> str:
    """Hash of everything that decides what a network does (notes do not)."""
    digest = hashlib.sha256()
    header, arrays = packed(network)
    header.pop("notes")
    digest.update(json.dumps(header, sort_keys=True).encode())
    for key in sorted(arrays):
        digest.update(key.encode())
        digest.update(np.ascontiguousarray(arrays[key]).tobytes())
    return digest.hexdigest()


def save_network(network: Network, path: str | Path) -> None:
    """Write a network to an ``.npz`` file (a JSON header and one array for each tensor).

    A file that is there already is replaced only once the new one is whole.
    """
    path = Path(path).resolve()
    header, arrays = packed(network)
    text = np.array(json.dumps(header))
    partial = path.with_name(f"{path.stem[:100]}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            np.savez_compressed(file, header=text, **arrays)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def is_network(path: str | Path) -> bool:
    """Whether a file looks like one that `save_network` wrote."""
    try:
        with Path(path).open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            return "header" in file.files
    except Exception:  # whoever reads it will say what is wrong
        return False


def load_network(path: str | Path) -> Network:
    """Read a network that `save_network` wrote.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    NetworkError
        If the file is none of these or is damaged.
    """
    try:
        # NumPy would leave a damaged file open.
        with Path(path).open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            header = json.loads(str(file["header"]))
            arrays = {key: file[key] for key in file.files if key != "header"}
        if header["format"] != _FORMAT:
            raise NetworkError(f"{path}: format {header['format']!r}, but this reads {_FORMAT!r}")
        return unpacked(header, arrays)
    except (FileNotFoundError, NetworkError):
        raise
    except Exception as error:  # zipfile, zlib and NumPy raise many kinds on damaged archives
        raise NetworkError(f"{path}: not a network saved by spikefab ({error})") from error


_KINDS: dict[str, Callable[..., Linear]] = {
    "Dense": Dense,
    "Sparse": Sparse,
    "Convolution": Convolution,
}


def of(prefix: str, arrays: dict[str, Any]) -> dict[str, Any]:
    """Arrays whose names begin so, by the rest of their names."""
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}


def unpacked_linear(plain: dict[str, Any], arrays: dict[str, Any]) -> Linear:
    """Put together what `packed_linear` split; arrays by their own names."""
    # JSON has lists alone.
    rest = {
        name: tuple(tuple(v) if isinstance(v, list) else v for v in value)
        if isinstance(value, list)
        else value
        for name, value in plain.items()
        if name != "kind"
    }
    return _KINDS[plain["kind"]](**rest, **arrays)


def unpacked(header: dict[str, Any], arrays: dict[str, Any]) -> Network:
    """Put together what `packed` split."""
    populations = [
        _population(plain, of(f"population{number}_", arrays))
        for number, plain in enumerate(header["populations"])
    ]
    projections = [
        _projection(plain, of(f"projection{number}_", arrays))
        for number, plain in enumerate(header["projections"])
    ]
    return Network(
        dt_s=header["dt_s"],
        inputs=tuple(Input(name=i["name"], shape=tuple(i["shape"])) for i in header["inputs"]),
        populations=tuple(populations),
        projections=tuple(projections),
        outputs=tuple(header["outputs"]),
        notes=tuple(header["notes"]),
    )


def _population(plain: dict[str, Any], parameters: dict[str, Any]) -> Population:
    shape = tuple(plain["shape"])
    if plain["spiking"] != ("threshold" in parameters):
        raise ValueError(f"population {plain['name']!r}: its thresholds are missing")
    return Population(
        name=plain["name"],
        shape=shape,
        reset=plain["reset"],
        compare=plain["compare"],
        rule=plain.get("rule", "euler"),
        **{"threshold": None} | {name: v.reshape(shape) for name, v in parameters.items()},
    )


def _projection(plain: dict[str, Any], arrays: dict[str, Any]) -> Projection:
    own = ("source", "target", "delay_s", "current_gain", "chip_ticks")
    return Projection(
        source=plain["source"],
        target=plain["target"],
        linear=unpacked_linear({k: v for k, v in plain.items() if k not in own}, arrays),
        delay_s=plain["delay_s"],
        # Older files have none, since a current was always worth a spike.
        current_gain=plain.get("current_gain", 1.0),
        chip_ticks=plain.get("chip_ticks", 0),
    )
