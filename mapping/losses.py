"""What a chip's formats take away: errors of each tensor, and notes on those that matter."""

from collections.abc import Iterator

import numpy as np

from emulator.chip import Chip
from mapping.assemble import lags
from mapping.fixed import TensorError
from mapping.linear import Floats
from mapping.network import Network, Population

TOLERATED = 0.05
"""Share by which a threshold, a time constant or a bias may change without a note."""
ZEROED = 0.25
"""Share of weights that may become 0 without a note."""


def tensor_error(
    tensor: str,
    exact: Floats,
    rounded: Floats,
    *,
    bits: int,
    scale: float,
    low: float,
    high: float,
    each: bool = False,
) -> TensorError:
    """Compare a tensor with what is loaded, both in steps of its format.

    Parameters
    ----------
    low, high : float
        Least and largest value of the format.
    each : bool
        Judge every value by itself, not by the largest; the larger of both counts, so that a
        value that vanished is wrong by 1.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        if each:
            size = np.maximum(np.abs(exact), np.abs(rounded))
        else:
            size = np.abs(exact).max(initial=0.0)
        error = np.abs(rounded - exact) / np.where(size > 0, size, 1.0)
    return TensorError(
        tensor=tensor,
        bits=bits,
        scale=scale,
        rms=float(np.sqrt(np.mean(error**2))) if error.size else 0.0,
        worst=float(error.max(initial=0.0)),
        n=int(exact.size),
        n_zeroed=int(np.count_nonzero((rounded == 0) & (exact != 0))),
        n_clipped=int(np.count_nonzero((exact > high + 0.5) | (exact < low - 0.5))),
        n_wrong=int(np.count_nonzero(error > TOLERATED)) if each else 0,
    )


def cut_note(error: TensorError) -> Iterator[str]:
    """Name values that were cut to their format."""
    if error.n_clipped:
        yield (
            f"{error.tensor}: {error.n_clipped:,} of {error.n:,} values are cut to the chip's "
            f"{error.bits}-bit format"
        )


def weight_notes(error: TensorError, rounded: Floats, n_nonzero: int, high: int) -> Iterator[str]:
    """Name weights that are rounded roughly or away."""
    yield from cut_note(error)
    if error.n_zeroed > ZEROED * n_nonzero:
        yield (
            f"{error.tensor}: {error.n_zeroed:,} of {n_nonzero:,} became 0, being smaller than "
            f"half a step of the {error.bits}-bit format that holds the largest"
        )
    largest = int(np.abs(rounded).max(initial=0.0))
    if 0 < largest < high // 8:
        yield (
            f"{error.tensor}: the largest is only {largest} of {high} steps, as weights are small "
            f"beside the threshold; rounding changes them by up to {100 * error.worst:.0f} %"
        )


def threshold_notes(error: TensorError) -> Iterator[str]:
    """Name thresholds that moved."""
    yield from cut_note(error)
    if error.n_wrong:
        yield (
            f"{error.tensor}: {error.n_wrong:,} of {error.n:,} change by more than "
            f"{100 * TOLERATED:.0f} %, the worst by {100 * error.worst:.0f} %; all neurons of a "
            f"population share one scale"
        )


def decay_notes(tensor: str, leak: Floats, loaded: Floats) -> Iterator[str]:
    """Name time constants that the chip does not have.

    Parameters
    ----------
    leak, loaded : float64 [n]
        Share lost each tick, wanted and on the chip.
    """
    gone = (loaded == 0) & (leak > 0)
    if gone.any():
        yield (
            f"{tensor}: {np.count_nonzero(gone):,} of {leak.size:,} leaks vanished, the time "
            f"constant of up to {1 / leak[gone].min():,.0f} ticks being too long for the chip"
        )
    size = np.maximum(leak, loaded)
    wrong = ~gone & (np.abs(leak - loaded) > TOLERATED * size)
    if wrong.any():
        worst = int(
            np.argmax(np.where(wrong, np.abs(leak - loaded) / np.where(size > 0, size, 1), 0))
        )
        wanted = f"{1 / leak[worst]:,.4g} ticks" if leak[worst] > 0 else "no leak"
        yield (
            f"{tensor}: {np.count_nonzero(wrong):,} of {leak.size:,} time constants change by more "
            f"than {100 * TOLERATED:.0f} %, the worst from {wanted} to {1 / loaded[worst]:,.4g} ticks"
        )


def bias_notes(
    error: TensorError, exact: Floats, rounded: Floats, matters: Floats
) -> Iterator[str]:
    """Name biases that vanished or changed, of those that do something."""
    yield from cut_note(error)
    gone = matters & (rounded == 0)
    if gone.any():
        yield (
            f"{error.tensor}: {np.count_nonzero(gone):,} of {np.count_nonzero(matters):,} vanished, "
            f"being less than half a membrane unit a tick"
        )
    with np.errstate(over="ignore"):
        off = np.abs(rounded - exact) > TOLERATED * np.abs(exact)
    coarse = matters & (rounded != 0) & off & (np.abs(exact) < np.abs(rounded).max(initial=0.0) + 1)
    if coarse.any():
        yield (
            f"{error.tensor}: {np.count_nonzero(coarse):,} of {np.count_nonzero(matters):,} change "
            f"by more than {100 * TOLERATED:.0f} %, being only a few membrane units a tick"
        )


def timing_notes(network: Network, direct: frozenset[str], input_latency: int) -> Iterator[str]:
    """Name spikes that meet others later or earlier than in the network as it was trained.

    On a chip each projection takes a tick, so where ways of different length meet, those on the
    shorter one are early; a loop of several populations comes back later.
    """
    lag = lags(network, direct, input_latency)
    first = {part.name: 0 if part.name in direct else input_latency for part in network.inputs}
    recurrent = network.recurrent
    for population in network.populations:
        late: dict[str, int] = {}
        for index, projection in enumerate(network.projections):
            if projection.target != population.name:
                continue
            source = projection.source
            if index not in recurrent:
                late[source] = lag[source] + first.get(source, 1)
            elif lag[source] > lag[population.name]:
                yield (
                    f"{projection.name}: feedback comes {lag[source] - lag[population.name]} ticks "
                    f"later than in the network, which runs through all populations in one tick"
                )
        # The first tick that input can reach it; a bias acts from the start.
        before = max(late.values(), default=0)
        if before and np.any(np.asarray(population.bias)):
            yield (
                f"{population.name}: its bias acts from the first tick, {before} before input can "
                f"arrive, on a chip and in float in chip timing; in the network as it was trained "
                f"both begin together"
            )
        if late and min(late.values()) < max(late.values()):
            ways = ", ".join(f"from {source} {ticks}" for source, ticks in late.items())
            yield (
                f"{population.name}: ways of different length meet; ticks behind the input: {ways}; "
                f"the shorter arrive early on a chip, where each projection takes a tick"
            )


_RULES = {
    "within-tick": "spikes fall within a tick in Nengo, and rest ends within one; on a chip both are "
    "whole ticks, so that a neuron fires later by half a tick on average, and high rates "
    "are lower; decoders can be solved for that (whole_ticks of import_nengo)",
    "regular": "a negative current is nothing in Nengo; on a chip it lowers what the membrane holds",
    "regular-lif": "Nengo fires evenly at a rate that it calculates; on a chip a LIF neuron with the "
    "same curve fires, in whole ticks",
}
"""What a rule of `mapping.network.Rule` becomes on a chip."""


def rule_notes(population: Population, chip_reset: str, chip: Chip) -> Iterator[str]:
    """Name rules of spiking neurons that differ between network and chip."""
    name, reset = population.name, population.reset
    if population.rule != "euler":
        yield f"{name}: {_RULES[population.rule]}"
    elif population.compare != chip.arithmetic.compare:
        yield (
            f"{name}: fires at v {population.compare} threshold, {chip.name} at v "
            f"{chip.arithmetic.compare} threshold; only a membrane exactly on it differs"
        )
    if reset != chip_reset:
        yield (
            f"{name}: reset {reset} is run as {chip_reset}: {chip.name} fires up to "
            f"{chip.numbers.spikes_per_tick_max} spikes a tick, the network one"
        )
