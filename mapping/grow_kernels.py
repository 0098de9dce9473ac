"""Fill cores one after another with neurons that hear the same sources."""

from typing import Any

from numpy.typing import NDArray

from mapping.move_kernels import IN_AXONS, NEURONS, WORDS, Edges, Rules
from traces.jit import kernel

Array = NDArray[Any]

NOWHERE = -1


@kernel
def fill_in_order(
    edges: Edges, rules: Rules, order: Array, border: Array, core: Array, listed: Array
) -> int:
    """Fill cores up to a limit in a given order; return their number.

    Parameters
    ----------
    order : int64 [n]
    border : bool [n]
        Whether a new core begins with this entry of ``order``.
    core : int32 [n]
        Set here.
    listed : int64 [n]
        Zeros: synapses of each source on the core being filled.
    """
    c = first = in_axons = words = 0
    for at in range(order.size):
        u = order[at]
        more_axons, more_words = take(edges, rules, listed, u)
        full = (
            at - first + 1 > rules.limit[NEURONS]
            or in_axons + more_axons > rules.limit[IN_AXONS]
            or words + more_words > rules.limit[WORDS]
        )
        if at > first and (border[at] or full):
            for k in range(first, at + 1):
                drop(edges, listed, order[k])
            c += 1
            first, in_axons, words = at, 0, 0
            more_axons, more_words = take(edges, rules, listed, u)
        core[u] = c
        in_axons += more_axons
        words += more_words
    return c + 1 if order.size else 0


@kernel
def take(edges: Edges, rules: Rules, listed: Array, u: int) -> tuple[int, int]:
    """List a neuron's synapses on the core being filled; return added in-axons and words."""
    axons = words = 0
    for k in range(edges.source_start[u], edges.source_start[u + 1]):
        s = edges.source[k]
        n = listed[s]
        listed[s] = n + 1
        words += rules.words[n + 1] - rules.words[n]
        if n == 0:
            axons += 1
    if edges.own[u]:
        n = listed[u]
        listed[u] = n + 1
        words += rules.words[n + 1] - rules.words[n]
        if n == 0:
            axons += 1
    return axons, words


@kernel
def drop(edges: Edges, listed: Array, u: int) -> None:
    """Take a neuron's synapses off again."""
    for k in range(edges.source_start[u], edges.source_start[u + 1]):
        listed[edges.source[k]] -= 1
    if edges.own[u]:
        listed[u] -= 1


@kernel
def grow(
    edges: Edges, rules: Rules, seeds: Array, total: Array, noise: Array, core: Array,
    listed: Array, heard: Array, frontier: Array,
) -> int:  # fmt: skip
    """Add to each core the neuron with the largest share of its sources there; return cores.

    Neurons without sources are left at `NOWHERE`.

    Parameters
    ----------
    seeds : int64 [n]
        Order in which neurons begin a core where nobody near is left.
    total : float64 [n]
        Rates of all sources of each neuron.
    noise : float64 [n]
        Small numbers that decide between equal shares.
    core : int32 [n]
        Filled with `NOWHERE`.
    listed, heard : int64 [n], float64 [n]
        Zeros.
    frontier : int64 [n]
        Scratch.
    """
    c = next_seed = 0
    chosen = -1
    while True:
        if chosen < 0:
            while next_seed < seeds.size and (
                core[seeds[next_seed]] != NOWHERE or total[seeds[next_seed]] <= 0
            ):
                next_seed += 1
            if next_seed == seeds.size:
                return c
            chosen = seeds[next_seed]
        held = in_axons = words = n_front = 0
        while chosen >= 0:
            more_axons, more_words = take(edges, rules, listed, chosen)
            if held > 0 and (
                held + 1 > rules.limit[NEURONS]
                or in_axons + more_axons > rules.limit[IN_AXONS]
                or words + more_words > rules.limit[WORDS]
            ):
                drop(edges, listed, chosen)
                break
            core[chosen] = c
            held += 1
            in_axons += more_axons
            words += more_words
            for k in range(edges.source_start[chosen], edges.source_start[chosen + 1]):
                s = edges.source[k]
                if listed[s] != 1:
                    continue
                for j in range(edges.start[s], edges.start[s + 1]):
                    t = edges.target[j]
                    if core[t] == NOWHERE:
                        if heard[t] == 0:
                            frontier[n_front] = t
                            n_front += 1
                        heard[t] += edges.rate[s]
            chosen, most, k = -1, -1.0, 0
            while k < n_front:
                t = frontier[k]
                if core[t] != NOWHERE:
                    n_front -= 1
                    frontier[k] = frontier[n_front]
                    heard[t] = 0.0
                    continue
                share = heard[t] / total[t] + noise[t]
                if share > most:
                    chosen, most = t, share
                k += 1
        for k in range(n_front):
            heard[frontier[k]] = 0.0
        listed[:] = 0
        c += 1
