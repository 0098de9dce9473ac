"""Synapses between neurons: one time constant for each population, as its synaptic current has one."""

from collections.abc import Sequence
from typing import Any

from mapping.nengo_walk import Term


class Synapses:
    """Reads time constants; problems and notes are collected.

    Parameters
    ----------
    approximate : bool
        Replace what is no `Lowpass`, and take the slowest where they differ, instead of refusing.
    """

    def __init__(self, nengo: Any, dt_s: float, *, approximate: bool) -> None:
        self._nengo, self._dt_s, self._approximate = nengo, dt_s, approximate
        self.problems: list[str] = []
        self.notes: list[str] = []

    def shared(self, name: str, terms: Sequence[Term]) -> float:
        """Time constant of all that neurons send to a population, in seconds; 0 for no filter."""
        found = {term.filters: term for term in terms}
        times = {self._time(name, term) for term in found.values()}
        if len(times) < 2:
            return times.pop() if times else 0.0
        listed = ", ".join(f"{1000 * tau:.6g} ms" for tau in sorted(times))
        if self._approximate:
            self.notes.append(
                f"{name}: neurons reach it through synapses of {listed}; all take the slowest, "
                "since a neuron has one synaptic current"
            )
        else:
            self.problems.append(
                f"{name}: neurons reach it through synapses of {listed}, but a neuron has one synaptic "
                "current; give them one time constant, or take the slowest for all (approximate=True)"
            )
        return max(times)

    def _time(self, name: str, term: Term) -> float:
        filters, lowpass = term.filters, self._nengo.Lowpass
        if not filters:
            self.notes.append(
                f"{name}: {term.origin} reaches it without a synapse, within the tick in Nengo; here "
                "its spikes take a tick"
            )
            return 0.0
        if len(filters) == 1 and isinstance(filters[0], lowpass):
            return float(filters[0].tau)
        known = (lowpass, self._nengo.Alpha)
        told = " then ".join(map(str, filters))
        if not all(isinstance(synapse, known) for synapse in filters):
            self.problems.append(
                f"{name}: {term.origin} reaches it through {told}, but a synaptic current is a Lowpass; "
                "use one"
            )
            return 0.0
        # An Alpha is two low-pass filters of the same time constant.
        delay = sum(s.tau * (2 if isinstance(s, self._nengo.Alpha) else 1) for s in filters)
        if self._approximate:
            self.notes.append(
                f"{name}: {term.origin} reaches it through {told}; Lowpass(tau={delay:.6g}) with the same "
                "mean delay takes its place"
            )
        else:
            self.problems.append(
                f"{name}: {term.origin} reaches it through {told}, but a synaptic current is one Lowpass; "
                f"use Lowpass(tau={delay:.6g}) with the same mean delay, or let it be replaced "
                "(approximate=True)"
            )
        return float(delay)
