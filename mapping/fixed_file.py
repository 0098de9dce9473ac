"""Networks in a chip's integers as plain values and arrays."""

from dataclasses import asdict, fields
from typing import Any

import numpy as np

from mapping.fixed import FixedNetwork, FixedPopulation, FixedProjection, TensorError
from mapping.network import Network
from mapping.network_file import of, packed_linear, unpacked_linear

Packed = tuple[dict[str, Any], dict[str, Any]]


def packed(fixed: FixedNetwork) -> Packed:
    """Split a network into plain values and arrays; the network in float stays outside."""
    arrays: dict[str, Any] = {}
    populations, projections = [], []
    for number, population in enumerate(fixed.populations):
        plain = {}
        for field in fields(population):
            value = getattr(population, field.name)
            if isinstance(value, np.ndarray):
                arrays[f"population{number}_{field.name}"] = value
            else:
                plain[field.name] = value
        populations.append(plain)
    for number, projection in enumerate(fixed.projections):
        plain, tensors = packed_linear(projection.linear, f"projection{number}_")
        own = ("source", "target", "exponent", "shift", "delay")
        projections.append({name: getattr(projection, name) for name in own} | {"linear": plain})
        arrays |= tensors
    header = {
        "direct": sorted(fixed.direct),
        "populations": populations,
        "projections": projections,
        "errors": [asdict(error) for error in fixed.errors],
        "notes": fixed.notes,
    }
    return header, arrays


def unpacked(header: dict[str, Any], arrays: dict[str, Any], network: Network) -> FixedNetwork:
    """Put together what `packed` split."""
    return FixedNetwork(
        network=network,
        direct=frozenset(header["direct"]),
        populations=tuple(
            FixedPopulation(
                **{**plain, "shape": tuple(plain["shape"])}, **of(f"population{number}_", arrays)
            )
            for number, plain in enumerate(header["populations"])
        ),
        projections=tuple(
            FixedProjection(
                **{
                    **plain,
                    "linear": unpacked_linear(plain["linear"], of(f"projection{number}_", arrays)),
                }
            )
            for number, plain in enumerate(header["projections"])
        ),
        errors=tuple(TensorError(**plain) for plain in header["errors"]),
        notes=tuple(header["notes"]),
    )
