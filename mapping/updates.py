"""One tick of one population in float: one function for each rule of `mapping.network.Rule`.

``euler`` is in the head of `mapping.network`. The others are Nengo's (nengo 4, ``neurons.py``). With the
share of the membrane that leaks in a whole tick, ``l = dt / tau_mem``, and the current ``J`` that it
would settle at, ``v_leak + (i + push) / l``, which is constant within the tick::

    within-tick   v += (J - v) * (1 - (1 - l) ** s)     s: share of the tick in which it does not rest
                  where v > threshold: it was reached log(1 - (v - threshold) / (J - threshold)) /
                  log(1 - l) ticks before the end of this one, and refractory_s counts from there;
                  v = v_reset
    regular       v += max(i + push, 0), then one spike for each time the threshold fits, >=
    regular-lif   v += (threshold - v_reset) / (refractory_s / dt + log(1 + (threshold - v_reset) /
                  (J - threshold)) / -log(1 - l)) where J > threshold, then as regular

With ``tau_mem = dt / (1 - exp(-dt / tau_rc))`` the power is ``exp(-s dt / tau_rc)``: Nengo's step.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mapping.network import Population, current_keep, rest_ticks
from traces.jit import kernel

Array = NDArray[Any]

_RESETS = {"zero": 0, "subtract": 1, "subtract-once": 2}


class Neurons(NamedTuple):
    """Constants of one population; arrays float64 [n], the threshold empty where none spikes.

    ``refractory``: ticks of rest after a spike; empty where there is none, under the rule ``euler``.
    ``push`` and ``v_min`` are empty where no neuron has one.
    """

    keep_i: Array
    leak: Array
    v_leak: Array
    bias: Array
    push: Array
    threshold: Array
    v_reset: Array
    v_min: Array
    refractory: Array
    reset: int
    at_threshold: bool


class State(NamedTuple):
    """What changes in a run; arrays [n].

    ``resting``: ticks of rest that are left, a fraction where spikes fall within ticks; there, less
    than 0 says for how long it has not rested. ``above``: still over threshold after the last reset.
    """

    i: Array
    v: Array
    above: Array
    resting: Array


class Fired(NamedTuple):
    """Who fired in a tick, and how often; arrays [n], of which the first entries count."""

    who: Array
    times: Array


def neurons_of(population: Population, dt_s: float) -> Neurons:
    """Collect what kernels want of a population."""
    rest: Array = rest_ticks(population, dt_s).astype(np.float64)
    if population.rule != "euler":
        rest = np.asarray(population.refractory_s) / dt_s
    elif not rest.any():
        rest = rest[:0]
    return Neurons(
        keep_i=current_keep(population, dt_s),
        leak=dt_s / np.asarray(population.tau_mem_s),
        v_leak=np.array(population.v_leak),
        bias=np.array(population.bias),
        push=_unless_all(population.push, 0.0),
        threshold=np.empty(0) if population.threshold is None else np.array(population.threshold),
        v_reset=np.array(population.v_reset),
        v_min=_unless_all(population.v_min, -np.inf),
        refractory=rest,
        reset=_RESETS[population.reset],
        at_threshold=population.compare == ">=",
    )


def _unless_all(values: Array | float, nothing: float) -> Array:
    array = np.array(values)
    return array[:0] if np.all(array == nothing) else array


@kernel
def euler(neurons: Neurons, arrived: Array, state: State, fired: Fired) -> int:
    """Advance one population by one tick; list who fired."""
    i, v, above, resting = state
    n_fired = 0
    for n in range(v.size):
        i[n] = neurons.keep_i[n] * i[n] + (arrived[n] + neurons.bias[n])
        arrived[n] = 0.0
        if resting[n] > 0:
            resting[n] -= 1
            continue
        v[n] = v[n] + neurons.leak[n] * (neurons.v_leak[n] - v[n]) + i[n]
        if neurons.push.size:
            v[n] += neurons.push[n]
        if neurons.v_min.size and v[n] < neurons.v_min[n]:
            v[n] = neurons.v_min[n]
        if not neurons.threshold.size:
            continue
        threshold = neurons.threshold[n]
        height = threshold - neurons.v_reset[n]
        tested = v[n] - height if neurons.reset == 2 and above[n] else v[n]
        if tested > threshold or (neurons.at_threshold and tested == threshold):
            fired.who[n_fired] = n
            fired.times[n_fired] = 1
            n_fired += 1
            v[n] = neurons.v_reset[n] if neurons.reset == 0 else v[n] - height
            if neurons.refractory.size:
                resting[n] = neurons.refractory[n]
        above[n] = v[n] > threshold or (neurons.at_threshold and v[n] == threshold)
    return n_fired


@kernel
def within_tick(neurons: Neurons, arrived: Array, state: State, fired: Fired) -> int:
    """Advance one population by one tick, exactly for a constant current; list who fired."""
    i, v, _, resting = state
    n_fired = 0
    for n in range(v.size):
        i[n] = neurons.keep_i[n] * i[n] + (arrived[n] + neurons.bias[n])
        arrived[n] = 0.0
        drive = i[n]
        if neurons.push.size:
            drive += neurons.push[n]
        settles = neurons.v_leak[n] + drive / neurons.leak[n]
        fades = np.log1p(-neurons.leak[n])
        resting[n] -= 1
        awake = min(max(1 - resting[n], 0.0), 1.0)
        v[n] -= (settles - v[n]) * np.expm1(awake * fades)
        over = v[n] - neurons.threshold[n]
        if over > 0:
            fired.who[n_fired] = n
            fired.times[n_fired] = 1
            n_fired += 1
            since = np.log1p(-over / (settles - neurons.threshold[n])) / fades
            resting[n] = neurons.refractory[n] + 1 - since
            v[n] = neurons.v_reset[n]
        elif neurons.v_min.size and v[n] < neurons.v_min[n]:
            v[n] = neurons.v_min[n]
    return n_fired


@kernel
def regular(neurons: Neurons, arrived: Array, state: State, fired: Fired) -> int:
    """Advance one population by one tick; list who fired, and how often."""
    i, v, _, _ = state
    n_fired = 0
    for n in range(v.size):
        i[n] = neurons.keep_i[n] * i[n] + (arrived[n] + neurons.bias[n])
        arrived[n] = 0.0
        drive = i[n]
        if neurons.push.size:
            drive += neurons.push[n]
        v[n] += max(drive, 0.0)
        n_fired = _repeated(n, neurons, v, fired, n_fired)
    return n_fired


@kernel
def regular_lif(neurons: Neurons, arrived: Array, state: State, fired: Fired) -> int:
    """Advance one population by one tick; list who fired, and how often."""
    i, v, _, _ = state
    n_fired = 0
    for n in range(v.size):
        i[n] = neurons.keep_i[n] * i[n] + (arrived[n] + neurons.bias[n])
        arrived[n] = 0.0
        drive = i[n]
        if neurons.push.size:
            drive += neurons.push[n]
        over = neurons.v_leak[n] + drive / neurons.leak[n] - neurons.threshold[n]
        if over > 0:
            height = neurons.threshold[n] - neurons.v_reset[n]
            charging = np.log1p(height / over) / -np.log1p(-neurons.leak[n])
            v[n] += height / (neurons.refractory[n] + charging)
        n_fired = _repeated(n, neurons, v, fired, n_fired)
    return n_fired


@kernel
def _repeated(n: int, neurons: Neurons, v: Array, fired: Fired, n_fired: int) -> int:
    """Fire as often as the threshold fits, and take it off."""
    height = neurons.threshold[n] - neurons.v_reset[n]
    times = np.floor((v[n] - neurons.v_reset[n]) / height)
    if times < 1:
        return n_fired
    fired.who[n_fired] = n
    fired.times[n_fired] = times
    v[n] -= times * height
    return n_fired + 1


UPDATES: Mapping[str, Callable[[Neurons, Array, State, Fired], int]] = {
    "euler": euler,
    "within-tick": within_tick,
    "regular": regular,
    "regular-lif": regular_lif,
}
