"""From analog values to input spikes: rate, time, phase, burst, change and population codes.

One function of one signature for each code, all in `ENCODINGS`: values of one sample in 0..1, float64
[ticks, n], give numbers of spikes, int64 [ticks, m]. Static data is held for the window first, so
that every code takes values that change, except those that say they do not. Every function gets a
generator, whether it needs one or not, so that a seed decides everything.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from inspect import signature
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Encode = Callable[..., Array]


class EncodingError(ValueError):
    """An encoding is not there, takes other parameters, or cannot carry the data."""


def poisson(values: Array, rng: np.random.Generator, *, rate: float = 0.5) -> Array:
    """Draw the spikes of each tick from a Poisson distribution.

    ``n[t] ~ Poisson(rate * x[t])``; several in a tick happen.

    Parameters
    ----------
    rate : float
        Spikes a tick of the value 1.
    """
    return rng.poisson(_positive("rate", rate) * values)


def bernoulli(values: Array, rng: np.random.Generator, *, rate: float = 0.5) -> Array:
    """Toss a coin in each tick: at most one spike.

    ``P(n[t] = 1) = rate * x[t]``

    Parameters
    ----------
    rate : float
        Probability of a spike for the value 1; at most 1.
    """
    return (rng.random(values.shape) < _share("rate", rate) * values).astype(np.int64)


def regular(values: Array, rng: np.random.Generator, *, rate: float = 0.5) -> Array:
    """Spike evenly, from a random place in the first interval on.

    ``n[t] = floor(phase + rate * sum(x[0..t])) - floor(phase + rate * sum(x[0..t-1]))`` with a
    phase from 0 to 1 for each channel, so that channels of one value are not in step.

    Parameters
    ----------
    rate : float
        Spikes a tick of the value 1.
    """
    phase = rng.random((values.shape[1],))
    return _crossings(values * _positive("rate", rate), phase)


def accumulate(values: Array, rng: np.random.Generator, *, threshold: float = 1.0) -> Array:
    """Accumulate and fire: an integrator for each channel, without leak, reset by subtraction.

    ``v[t] = v[t-1] + x[t]``; for each ``threshold`` that is reached a spike, and v is lowered by
    it. This is how Loihi's tutorials turn pixels into spikes.

    Parameters
    ----------
    threshold : float
    """
    return _crossings(values / _positive("threshold", threshold), np.zeros(values.shape[1]))


def ttfs(values: Array, rng: np.random.Generator, *, least: float = 0.0) -> Array:
    """Time to first spike: one spike, the earlier the larger the value.

    ``t = round((1 - x) * (T - 1))``; none where ``x <= least``. Takes the value of the first tick.

    Parameters
    ----------
    least : float
        Values up to this one stay silent, which costs no spike and tells the same.
    """
    first = _static("ttfs", values)
    counts = np.zeros(values.shape, np.int64)
    channel = np.flatnonzero(first > least)
    tick = np.rint((1 - first[channel]) * (len(values) - 1)).astype(np.int64)
    counts[tick, channel] = 1
    return counts


def phase(values: Array, rng: np.random.Generator, *, bits: int = 8) -> Array:
    """Send the bits of a value one after another, the highest first, again and again.

    Bit ``k`` of ``round(x * (2**bits - 1))`` comes in tick ``k`` of each period of ``bits`` ticks
    as ``2**(bits - 1 - k)`` spikes: weighted spikes (Kim et al., Neurocomputing 311, 2018), whose
    weight travels as a payload. Takes the value of the period's first tick.

    Parameters
    ----------
    bits : int
        Of a value, and ticks of a period; from 1 to 16.
    """
    if not 1 <= int(bits) <= 16 or bits != int(bits):
        raise EncodingError(f"bits must be a whole number from 1 to 16, but is {bits}")
    n_bits = int(bits)
    tick = np.arange(len(values))
    place = n_bits - 1 - tick % n_bits
    whole = np.rint(values[tick - tick % n_bits] * (2**n_bits - 1)).astype(np.int64)
    weight = (1 << place)[:, None]
    return np.asarray(whole & weight)


def burst(
    values: Array, rng: np.random.Generator, *, spikes: int = 5, least: int = 1, most: int = 8
) -> Array:
    """Send a burst: the larger the value, the more spikes, and the closer together.

    ``ceil(x * spikes)`` spikes with ``round(most - x * (most - least))`` ticks from one to the next
    (Park et al., DAC 2019; Guo et al., Front. Neurosci. 15, 2021). Takes the value of the first
    tick.

    Parameters
    ----------
    spikes : int
        Of the value 1.
    least, most : int
        Ticks between two spikes of the value 1, and of the value 0.
    """
    if not 1 <= least <= most or spikes < 1:
        raise EncodingError(
            f"a burst needs spikes >= 1 and 1 <= least <= most, but has spikes={spikes}, "
            f"least={least}, most={most}"
        )
    first = _static("burst", values)
    n = np.ceil(first * spikes).astype(np.int64)
    gap = np.rint(most - first * (most - least)).astype(np.int64)
    last = int(((n - 1) * gap).max(initial=0))
    if last >= len(values):
        raise EncodingError(
            f"a burst of the data lasts {last + 1} ticks, but there are {len(values)}; use fewer "
            f"spikes, a smaller most, or more ticks"
        )
    counts = np.zeros(values.shape, np.int64)
    for k in range(int(n.max(initial=0))):
        channel = np.flatnonzero(n > k)
        counts[k * gap[channel], channel] = 1
    return counts


def delta(values: Array, rng: np.random.Generator, *, threshold: float = 0.1) -> Array:
    """Send on change, as event cameras do: two channels for each value, up and down.

    While ``x[t] - r >= threshold``: a spike up and ``r = r + threshold``; while ``r - x[t] >=
    threshold``: a spike down and ``r = r - threshold``. ``r`` begins as 0. Channel ``2 * c`` of
    the network's input is up, ``2 * c + 1`` down (Lichtsteiner et al., IEEE JSSC 43, 2008, in
    linear instead of logarithmic values).

    Parameters
    ----------
    threshold : float
    """
    step = _positive("threshold", threshold)
    known = np.zeros(values.shape[1], np.int64)
    counts = np.zeros((len(values), values.shape[1], 2), np.int64)
    for tick, now in enumerate(values):
        # A hair's width, so that a change of exactly one threshold counts.
        steps = np.trunc((now - known * step) / step * (1 + 1e-12)).astype(np.int64)
        counts[tick, :, 0], counts[tick, :, 1] = np.maximum(steps, 0), np.maximum(-steps, 0)
        known += steps
    return counts.reshape(len(values), -1)


def population(
    values: Array, rng: np.random.Generator, *, neurons: int = 5, beta: float = 1.5,
    rate: float = 0.5,
) -> Array:  # fmt: skip
    """Let several channels share each value, each with a range of its own.

    Channel ``j`` of a value answers with ``a = exp(-(x - c_j)**2 / (2 * w**2))``, with centres
    ``c_j = (j - 0.5) / (neurons - 2)`` and ``w = 1 / (beta * (neurons - 2))`` (Bohte et al.,
    Neurocomputing 48, 2002), and spikes regularly with ``rate * a`` spikes a tick. Channels of the
    network's input: those of the first value, then those of the next.

    Parameters
    ----------
    neurons : int
        Channels of each value; at least 3.
    beta : float
        How narrow the ranges are.
    rate : float
        Spikes a tick at the centre of a range.
    """
    if neurons < 3 or neurons != int(neurons):
        raise EncodingError(f"neurons must be a whole number from 3 on, but is {neurons}")
    centre = (np.arange(int(neurons)) - 0.5) / (neurons - 2)
    width = 1 / (_positive("beta", beta) * (neurons - 2))
    answer = np.exp(-((values[:, :, None] - centre) ** 2) / (2 * width**2))
    return regular(answer.reshape(len(values), -1), rng, rate=rate)


ENCODINGS: dict[str, Encode] = {
    "poisson": poisson,
    "bernoulli": bernoulli,
    "regular": regular,
    "accumulate": accumulate,
    "ttfs": ttfs,
    "phase": phase,
    "burst": burst,
    "delta": delta,
    "population": population,
}  # fmt: skip
"""Codes by name."""


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """A code with its parameters, and the range of the data.

    Attributes
    ----------
    name : str
        A key of `ENCODINGS`.
    low, high : float
        Data of ``low`` becomes 0, of ``high`` 1.
    parameters : mapping
        Of the function; the others stay at their defaults.

    Raises
    ------
    EncodingError
        If there is no such code or parameter, or the range is none.
    """

    name: str
    low: float = 0.0
    high: float = 1.0
    parameters: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.name not in ENCODINGS:
            raise EncodingError(
                f"there is no encoding {self.name!r}; there are {', '.join(ENCODINGS)}"
            )
        known = parameters_of(self.name)
        unknown = sorted(set(self.parameters) - set(known))
        if unknown:
            raise EncodingError(
                f"encoding {self.name} has no parameter {', '.join(unknown)}; it has "
                f"{', '.join([*known, 'low', 'high'])}"
            )
        if not self.low < self.high or not np.isfinite([self.low, self.high]).all():
            raise EncodingError(
                f"encoding {self.name}: low must be below high, but they are {self.low:g} and "
                f"{self.high:g}"
            )

    @staticmethod
    def parse(text: str) -> "Encoding":
        """Read ``name`` or ``name:key=value,key=value``, such as ``poisson:rate=0.2,high=255``.

        Raises
        ------
        EncodingError
        """
        name, _, rest = text.partition(":")
        values: dict[str, float] = {}
        for part in filter(None, rest.split(",")):
            key, sign, value = part.partition("=")
            try:
                values[key.strip()] = float(value) if sign else float("nan")
            except ValueError:
                values[key.strip()] = float("nan")
            if np.isnan(values[key.strip()]):
                raise EncodingError(f"encoding {text!r}: {part!r} is not of the form key=number")
        span = {key: values.pop(key) for key in ("low", "high") if key in values}
        whole = {k: int(v) if v == int(v) else v for k, v in values.items() if np.isfinite(v)}
        return Encoding(name=name.strip(), parameters={**values, **whole}, **span)

    def spikes(self, values: Array, n_ticks: int, seed: int | tuple[int, ...]) -> Array:
        """Encode one sample.

        Parameters
        ----------
        values : float array [n] or [n_ticks, n]
            Without a tick axis they are held.
        n_ticks : int
        seed : int or tuple of int
            Say, (seed of the run, number of the sample).

        Returns
        -------
        int64 [n_ticks, m]
            ``m`` is n, times 2 for `delta`, times ``neurons`` for `population`.

        Raises
        ------
        EncodingError
            If values lie outside of the range, or the code cannot carry them in so many ticks.
        """
        given = np.asarray(values, np.float64)
        held = np.broadcast_to(given, (n_ticks, given.shape[-1])) if given.ndim == 1 else given
        if held.shape[0] != n_ticks:
            raise EncodingError(f"{held.shape[0]} ticks of values, but {n_ticks} are wanted")
        if given.size and not self.low <= given.min() <= given.max() <= self.high:
            raise EncodingError(
                f"encoding {self.name} carries values from {self.low:g} to {self.high:g}, but the "
                f"data spans {given.min():g} to {given.max():g}; say so: "
                f"{self.name}:low={given.min():g},high={given.max():g}"
            )
        scaled = (held - self.low) / (self.high - self.low)
        code = ENCODINGS[self.name]
        found = code(scaled, np.random.default_rng(seed), **self.parameters)
        return np.asarray(found, np.int64)

    def width(self, n: int) -> int:
        """Channels that so many values take."""
        if self.name == "delta":
            return 2 * n
        if self.name == "population":
            return n * int(self.parameters.get("neurons", parameters_of(self.name)["neurons"]))
        return n


def parameters_of(name: str) -> dict[str, float]:
    """Parameters of a code, and their defaults."""
    given = signature(ENCODINGS[name]).parameters.values()
    return {p.name: p.default for p in given if p.kind is p.KEYWORD_ONLY}


def _crossings(rate: Array, phase: Array) -> Array:
    """Whole numbers that a running sum passes in each tick."""
    # Sums of tenths and the like fall short of whole numbers by rounding.
    passed = np.floor(phase + np.cumsum(rate, axis=0) + 1e-9).astype(np.int64)
    return np.diff(passed, axis=0, prepend=np.zeros((1, rate.shape[1]), np.int64))


def _static(name: str, values: Array) -> Array:
    if np.any(values != values[:1]):
        raise EncodingError(
            f"encoding {name} carries one value for each channel, but the data changes from tick "
            f"to tick; use another, such as accumulate or delta"
        )
    return np.asarray(values[0])


def _positive(name: str, value: float) -> float:
    if not 0 < value < np.inf:
        raise EncodingError(f"{name} must be above 0, but is {value:g}")
    return float(value)


def _share(name: str, value: float) -> float:
    if not 0 < value <= 1:
        raise EncodingError(f"{name} must be above 0 and at most 1, but is {value:g}")
    return float(value)
