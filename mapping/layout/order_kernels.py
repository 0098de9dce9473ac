"""Fill cores one after another, in a given order or with neurons that hear the same nets."""

from typing import Any, NamedTuple

from numpy.typing import NDArray

from mapping.layout.move_kernels import (
    COMPARTMENTS,
    IN_AXONS,
    N_RESOURCES,
    NEURONS,
    WORDS,
    Edges,
    Rules,
)
from traces.jit import inlined, lean

Array = NDArray[Any]

NOWHERE = -1
SILENT = 1e-9
"""Shares up to this are none: what decides between equal shares stays below."""


class Filling(NamedTuple):
    """The core that is being filled; all zeros when it is empty.

    Attributes
    ----------
    held : int64 [5 + n_tables]
        What it holds; out-axons depend on the cores to come and are left out.
    listed : int32 [n_nets]
        Synapses of each net.
    having : int32 [n_profiles]
        Neurons with each profile.
    """

    held: Array
    listed: Array
    having: Array


@lean
def _add(edges: Edges, rules: Rules, filling: Filling, u: int, step: int) -> None:
    """Take a neuron up (``step`` 1), or back out (-1)."""
    held = filling.held
    held[NEURONS] += step
    held[COMPARTMENTS] += step * rules.compartments[u]
    for k in range(rules.profile.shape[1]):
        p = rules.profile[u, k]
        before = filling.having[p]
        filling.having[p] += step
        held[N_RESOURCES + k] += (before + step > 0) - (before > 0)
    for k in range(edges.source_start[u], edges.source_start[u + 1]):
        _list(edges, rules, filling, edges.source[k], step)
    for e in range(edges.first[u], edges.first[u + 1]):
        if edges.own[e]:
            _list(edges, rules, filling, e, step)


@inlined
def _list(edges: Edges, rules: Rules, filling: Filling, e: int, step: int) -> None:
    kind, before = edges.kind[e], int(filling.listed[e])
    filling.listed[e] = before + step
    filling.held[WORDS] += rules.words[kind, before + step] - rules.words[kind, before]
    filling.held[IN_AXONS] += (before + step > 0) - (before > 0)


@inlined
def _is_full(rules: Rules, filling: Filling) -> bool:
    full = False
    for k in range(rules.limit.size):
        full = full or filling.held[k] > rules.limit[k]
    return full


@lean
def fill_in_order(
    edges: Edges, rules: Rules, filling: Filling, order: Array, border: Array, core: Array
) -> int:
    """Fill cores up to a limit in a given order; return their number.

    Parameters
    ----------
    order : int64 [n]
    border : bool [n]
        Whether a new core begins with this entry of ``order``.
    core : int32 [n]
        Set here.
    """
    c = first = 0
    for at in range(order.size):
        u = order[at]
        _add(edges, rules, filling, u, 1)
        if at > first and (border[at] or _is_full(rules, filling)):
            for k in range(first, at):
                _add(edges, rules, filling, order[k], -1)
            c += 1
            first = at
        core[u] = c
    for k in range(first, order.size):
        _add(edges, rules, filling, order[k], -1)
    return c + 1 if order.size else 0


@lean
def grow(
    edges: Edges, rules: Rules, filling: Filling, seeds: Array, share: Array, noise: Array,
    core: Array, score: Array, top: Array, shift: int, member: Array, target: Array, end: Array,
) -> int:  # fmt: skip
    """Add to each core the neuron with the largest share of its nets there; return cores.

    Neurons that hear nothing are left `NOWHERE`. The best of each block of neurons is kept in
    ``top``: scores only rise while a core is filled, so that it is renewed in one step.

    Parameters
    ----------
    seeds : int64 [n]
        Order in which neurons begin where nobody near is left.
    share : float64 [n]
        One over the rates of all nets that end at each neuron, 0 where there is none.
    noise : float64 [n]
        Positive numbers below `SILENT` that decide between equal shares.
    core : int32 [n]
        Filled with `NOWHERE`.
    score, top : float64 [n], float64 [n_blocks]
        Scratch.
    shift : int
        A block has ``2 ** shift`` neurons.
    member : int64 [n]
        Scratch.
    target, end : int32 [n_synapses], int64 [n_nets]
        Copies of all targets, and of where those of each net end; both are used up.
    """
    n = seeds.size
    block = 1 << shift
    c = held = next_seed = 0
    _forget(noise, core, score, top, block)
    while True:
        chosen = _best(score, top, block)
        if chosen < 0:
            while next_seed < n and (
                core[seeds[next_seed]] != NOWHERE or share[seeds[next_seed]] == 0
            ):
                next_seed += 1
            if next_seed == n:
                break
            chosen = seeds[next_seed]
        _add(edges, rules, filling, chosen, 1)
        if held > 0 and _is_full(rules, filling):
            _add(edges, rules, filling, chosen, -1)
            for k in range(held):
                _add(edges, rules, filling, member[k], -1)
            _forget(noise, core, score, top, block)
            c += 1
            held = 0
            _add(edges, rules, filling, chosen, 1)
        core[chosen] = c
        member[held] = chosen
        held += 1
        score[chosen] = -1.0
        _renew(score, top, block, chosen // block)
        for k in range(edges.source_start[chosen], edges.source_start[chosen + 1]):
            s = edges.source[k]
            if filling.listed[s] != 1:
                continue
            rate, j = edges.rate[s], edges.start[s]
            while j < end[s]:
                t = target[j]
                if score[t] < 0:  # it has its core, and is not asked for again
                    end[s] -= 1
                    target[j] = target[end[s]]
                    continue
                score[t] += rate * share[t]
                if score[t] > top[t >> shift]:
                    top[t >> shift] = score[t]
                j += 1
    for k in range(held):
        _add(edges, rules, filling, member[k], -1)
    return c + (held > 0)


@lean
def _forget(noise: Array, core: Array, score: Array, top: Array, block: int) -> None:
    for u in range(score.size):
        score[u] = noise[u] if core[u] == NOWHERE else -1.0
    for b in range(top.size):
        _renew(score, top, block, b)


@inlined
def _renew(score: Array, top: Array, block: int, b: int) -> None:
    most = -1.0
    for u in range(b * block, min((b + 1) * block, score.size)):
        most = max(most, score[u])
    top[b] = most


@inlined
def _best(score: Array, top: Array, block: int) -> int:
    """Return the neuron with the highest score, -1 where nobody hears anything."""
    best, most = -1, SILENT
    for b in range(top.size):
        if top[b] > most:
            best, most = b, top[b]
    if best >= 0:
        for u in range(best * block, min((best + 1) * block, score.size)):
            if score[u] == most:
                return u
    return -1
