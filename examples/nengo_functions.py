"""What a chip makes of Nengo: a communication channel, a square and an integrator, decoded.

    python examples/nengo_functions.py [--chip loihi] [--neurons 200] [--seconds 2]

Each model is built by Nengo, which solves the decoders, and runs in float (where every spike is Nengo's)
and on the chip. The error is the root mean square of decoded minus wanted, after the first 200 ms;
what is wanted goes through the same synapses. Needs ``pip install 'spikefab[nengo]'``.
"""

import argparse
from collections.abc import Callable
from typing import Any, NamedTuple

import nengo
import numpy as np
from numpy.typing import NDArray

import spikefab
from mapping.nengo_host import filtered

Array = NDArray[np.float64]
TAU_S = 0.02
RECURRENT_TAU_S = 0.1


class Case(NamedTuple):
    """A model with a probe ``out``, and what that should show."""

    name: str
    model: Any
    wanted: Callable[[Array], Array]


def sine(t: float) -> float:
    return float(np.sin(2 * np.pi * t))


def function_of_a_sine(function: Any, n: int, neurons: Any, rates: Any) -> Any:
    """Node to ensemble to function in a second ensemble."""
    with nengo.Network(seed=7) as net:
        a, b = (
            nengo.Ensemble(n, 1, neuron_type=neurons, max_rates=rates, label=label)
            for label in "ab"
        )
        nengo.Connection(nengo.Node(sine), a, synapse=None)
        nengo.Connection(a, b, function=function, synapse=TAU_S)
        nengo.Probe(b, synapse=TAU_S, label="out")
    return net


def integrator(n: int, neurons: Any, rates: Any) -> Any:
    """An ensemble that feeds itself, so that it holds the integral of its input."""
    with nengo.Network(seed=7) as net:
        a = nengo.Ensemble(n, 1, neuron_type=neurons, max_rates=rates, label="a")
        nengo.Connection(
            nengo.Node(sine), a, transform=2 * RECURRENT_TAU_S, synapse=RECURRENT_TAU_S
        )
        nengo.Connection(a, a, synapse=RECURRENT_TAU_S)
        nengo.Probe(a, synapse=TAU_S, label="out")
    return net


def cases(n: int, neurons: Any, rates: Any) -> list[Case]:
    twice, once = [nengo.Lowpass(TAU_S)] * 2, [nengo.Lowpass(TAU_S)]

    def shown(synapses: Any, function: Callable[[Array], Array]) -> Callable[[Array], Array]:
        return lambda t: filtered(function(np.sin(2 * np.pi * t))[:, None], synapses, t[0])

    def integral(t: Array) -> Array:
        exact = (1 - np.cos(2 * np.pi * t)) / np.pi
        return filtered(exact[:, None], once, t[0])

    return [
        Case("x", function_of_a_sine(None, n, neurons, rates), shown(twice, lambda x: x)),
        Case("x²", function_of_a_sine(np.square, n, neurons, rates), shown(twice, np.square)),
        Case("integral", integrator(n, neurons, rates), integral),
    ]


NEURONS = {
    "LIF, decoders for Nengo's": (nengo.LIF(), (200, 400), False),
    "LIF, decoders for whole ticks": (nengo.LIF(), (200, 400), True),
    "LIF at most 80 Hz, for whole ticks": (nengo.LIF(), (40, 80), True),
    "SpikingRectifiedLinear": (nengo.SpikingRectifiedLinear(), (100, 200), False),
}
"""Neurons, their greatest rates in Hz, and whether decoders are solved for whole ticks."""


def errors(chip: Any, n: int, seconds: float) -> dict[tuple[str, str], spikefab.DecodedError]:
    """Run everything; errors by neurons and function."""
    found = {}
    for label, (neurons, rates, whole_ticks) in NEURONS.items():
        for case in cases(n, neurons, nengo.dists.Uniform(*rates)):
            run = spikefab.run_nengo(case.model, chip, duration_s=seconds, whole_ticks=whole_ticks)
            found[label, case.name] = run.error("out", case.wanted(run.times_s), from_s=0.2)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--chip", default="loihi")
    parser.add_argument("--neurons", type=int, default=200, help="of each ensemble")
    parser.add_argument("--seconds", type=float, default=2.0)
    args = parser.parse_args()
    print(f"{'neurons':36}{'function':10}{'float':>8}{args.chip:>10}{'between':>9}")
    found = errors(spikefab.load_chip(args.chip), args.neurons, args.seconds)
    for (label, function), error in found.items():
        print(
            f"{label:36}{function:10}{error.float_rmse:8.4f}{error.chip_rmse:10.4f}"
            f"{error.between_rmse:9.4f}"
        )


if __name__ == "__main__":
    main()
