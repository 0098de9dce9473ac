"""Which figures rest on constants that nobody published, and how text marks them.

Every output takes its marks from here: a star behind the figure, and one line that names what is
behind the stars.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from emulator.chip import Chip
from emulator.chip_bounds import cost_rows, is_assumed

STAR = "*"

Marks = Mapping[str, tuple[str, ...]]

_USED = {
    "neurons": ("energy.neuron_active_pj", "energy.neuron_inactive_pj", "energy.spike_pj"),
    "synapses": ("energy.synaptic_event_pj",),
    "network": (
        "energy.local_spike_pj", "energy.axon_out_pj", "energy.hop_ew_pj", "energy.hop_ns_pj",
        "energy.off_chip_hop_pj",
    ),
    "static": ("energy.static_power_w",),
    "time": ("timing.",),
}  # fmt: skip
"""Beginnings of the keys behind each figure."""


CONTENDED = ("links", "queued", "simpy")
"""Fabrics that rest on service times and depths of buffers."""


def marks_of(chip: Chip, fabric: str = "ideal") -> dict[str, tuple[str, ...]]:
    """List the assumed constants behind each figure: the parts of the energy, ``energy``, ``time``.

    Static power flows as long as a run lasts, so where there is any it rests on the time, too.
    """
    assumed = [row.key for row in cost_rows(chip) if is_assumed(row)]
    found = {
        figure: tuple(key for key in assumed if key.startswith(used))
        for figure, used in _USED.items()
    }
    if fabric in CONTENDED and chip.timing is not None:
        found["time"] += tuple(
            row.key
            for row in chip.rows()
            if row.key.startswith("fabric.") and row.confidence == "assumed" and row.value
        )
    power = None if chip.energy is None else chip.energy.static_power_w
    if power is not None and (power.value or power.high):
        found["static"] += found["time"]
    parts = ("neurons", "synapses", "network", "static")
    found["energy"] = tuple(dict.fromkeys(key for part in parts for key in found[part]))
    return found


def starred(text: str, figure: str, marks: Marks) -> str:
    """Put a star behind a figure that rests on assumed constants."""
    return f"{text}{STAR}" if marks.get(figure) else text


def footnote(marks: Marks, figures: Iterable[str] | None = None) -> list[str]:
    """Name what is behind the stars, in one line or none; of all figures if none are named."""
    keys = dict.fromkeys(key for figure in (figures or marks) for key in marks.get(figure, ()))
    return [f"{STAR} rests on assumed constants: {', '.join(keys)}"] if keys else []


def one_sided(costs: Mapping[str, Any] | None) -> list[str]:
    """Name costs of which a band knows one end alone, in one line or none."""
    named = costs["one_sided"] if costs else []
    return [f"no band closes it: {', '.join(named)}"] if named else []
