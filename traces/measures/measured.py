"""What was measured between two traces, as values and as plain data for a table or JSON."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from numpy.typing import NDArray

from traces.measures.alarm import Alarm

Array = NDArray[Any]


class Summary(NamedTuple):
    """One measure of many trains.

    ``mean`` over the ``n`` trains for which it is defined, None if there is none; the train that is
    furthest from being equal has the value ``worst`` and is that of ``neuron`` in ``sample``. Measures
    of a whole population have no such train, and ``n`` is the number of its neurons.
    """

    mean: float | None
    n: int
    worst: float | None = None
    population: str | None = None
    neuron: int | None = None
    sample: int | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """A population, or a layer of several.

    Attributes
    ----------
    name : str
    depth : int
        Ticks by which it trails the input in the trace where that is more. Populations of one
        depth make a layer.
    n_neurons, n_trains, n_ticks : int
        A train is that of one neuron in one sample; ticks are those of all samples together.
    n_left_out : int
        Trains whose payloads stand for too many spikes; they count in rates alone.
    n_spikes_a, n_spikes_b : int
        Each counts as often as its payload is large.
    rate_a, rate_b : float
        Spikes per neuron and tick.
    values : mapping of str to Summary
    neurons : mapping of str to float64 [n_neurons]
        Mean over samples of each measure of trains, not a number where it is never defined.
    """

    name: str
    depth: int
    n_neurons: int
    n_trains: int
    n_ticks: int
    n_left_out: int
    n_spikes_a: int
    n_spikes_b: int
    rate_a: float
    rate_b: float
    values: Mapping[str, Summary]
    neurons: Mapping[str, Array]


@dataclass(frozen=True, kw_only=True, eq=False)
class Measures:
    """Two traces measured against each other.

    Attributes
    ----------
    dt_s : float
        Seconds of a tick.
    parameters : mapping of str to mapping
        Of each measure that has some, in ticks as they were given.
    populations, layers : tuple of Measured
    alarms : tuple of Alarm
        Of trace a and trace b.
    notes : tuple of str
        What could not be measured, and why.
    """

    dt_s: float
    parameters: Mapping[str, Mapping[str, float]]
    populations: tuple[Measured, ...]
    layers: tuple[Measured, ...]
    alarms: tuple[Alarm, ...]
    notes: tuple[str, ...]


def plain(measures: Measures) -> dict[str, Any]:
    """Turn measures into what `json.dumps` takes; what is not a number becomes None.

    Parameters are there in ticks and in seconds: ``cost_per_tick`` and ``cost_per_s``, ``tau_ticks``
    and ``tau_s``.
    """
    return {
        "dt_s": measures.dt_s,
        "parameters": {
            name: {k: v for told in given.items() for k, v in _in_both(*told, measures.dt_s)}
            for name, given in measures.parameters.items()
        },
        "populations": [_row(each) for each in measures.populations],
        "layers": [_row(each) for each in measures.layers],
        "alarms": [
            alarm._asdict() | {"neurons": alarm.neurons.tolist()} for alarm in measures.alarms
        ],
        "notes": list(measures.notes),
    }


def _in_both(name: str, value: float, dt_s: float) -> tuple[tuple[str, float | None], ...]:
    if name.endswith("_per_tick"):
        seconds = name.removesuffix("_per_tick") + "_per_s", value / dt_s
    else:
        seconds = name.removesuffix("_ticks") + "_s", value * dt_s
    return (name, _number(value)), (seconds[0], _number(seconds[1]))


def _row(measured: Measured) -> dict[str, Any]:
    told = ("name", "depth", "n_neurons", "n_trains", "n_ticks", "n_left_out",
            "n_spikes_a", "n_spikes_b", "rate_a", "rate_b")  # fmt: skip
    row: dict[str, Any] = {name: getattr(measured, name) for name in told}
    row["values"] = {name: value._asdict() for name, value in measured.values.items()}
    return row


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
