"""Moves of neurons between cores: what they save, and who makes them.

Synapses of a neuron onto itself are left out here: its spikes reach its own core at no hop wherever
it lies. Only in counting what cores hold they take part, as ``own``.

Two tables make proposals cheap. ``reach[e, c]`` is how many targets net ``e`` has on core ``c``.
``fare[u, c]`` is what hops depend on where ``u`` lies, were it on core ``c``: the ways of its own
spikes, and of those spikes of its sources that go to ``c`` for nobody else. A move costs the
difference of two entries; only a move that is made has to look at synapses.
"""

from math import log
from typing import Any, NamedTuple

from numpy.typing import NDArray

from traces.jit import inlined, lean

Array = NDArray[Any]

# Columns of ``use`` and of ``limit``; one more follows for each table of profiles.
NEURONS, COMPARTMENTS, IN_AXONS, OUT_AXONS, WORDS = range(5)
N_RESOURCES = 5

AIMLESS = 0.02
"""Share of the moves that change nothing that is made: a dense layer has hardly any others."""
PROPOSED = 10
"""Steps of a proposal that is not worth a closer look."""
MOVED = 6
"""Steps that it takes to count a source anew."""
ROW = 8
"""Neighbouring entries of a table that take one step together."""
LEAST = 1e-9
"""Hops below which a gain is taken for rounding."""


class Edges(NamedTuple):
    """Who reaches whom, both ways, without synapses onto oneself.

    Attributes
    ----------
    start, target : int64 [n_nets + 1], int32 [n_synapses]
    source_start, source : int64 [n + 1], int32 [n_synapses]
        Nets that end at a neuron.
    rate : float64 [n_nets]
    own : bool [n_nets]
        Whether a net reaches the neuron that it comes from.
    owner : int32 [n_nets]
        Neuron that a net comes from, -1 from outside.
    first : int64 [n + 1]
        Nets of each neuron.
    kind : int64 [n_nets]
        Row of ``Rules.words``.
    """

    start: Array
    target: Array
    source_start: Array
    source: Array
    rate: Array
    own: Array
    owner: Array
    first: Array
    kind: Array


class Cut(NamedTuple):
    """A partition, changed in place.

    Attributes
    ----------
    core : int32 [n]
    reach : uint16 or uint32 [n_nets, n_cores]
    mixed : int32 [n_nets, n_cores]
        Numbers of those targets, XORed: where there is one, it is known at once.
    member : int32 [n_cores, room + 1]
        Neurons of each core, in no order; one seat more for who comes first in an exchange.
    seat : int32 [n]
        Where each neuron stands in its core's row.
    use : int64 [n_cores, 5 + n_tables]
        Neurons, compartments, in-axons, out-axons, words of synapse memory, distinct profiles.
    having : int32 [n_cores, n_profiles]
        Neurons with each profile.
    """

    core: Array
    reach: Array
    mixed: Array
    member: Array
    seat: Array
    use: Array
    having: Array


class Rules(NamedTuple):
    """What a core holds, and what neurons take of it.

    Attributes
    ----------
    limit : int64 [5 + n_tables]
    words : int64 [n_kinds, room + 2 or more]
        Words of synapse memory of a list of so many synapses.
    compartments : int64 [n]
    profile : int64 [n, n_tables]
        Numbered through all tables.
    """

    limit: Array
    words: Array
    compartments: Array
    profile: Array


@lean
def fill_counts(edges: Edges, cut: Cut, rules: Rules) -> None:
    """Count everything of a partition whose ``core`` is set and whose other arrays are 0."""
    n_nets, n_cores = cut.reach.shape
    for u in range(cut.core.size):
        _sit(cut, rules, u, cut.core[u])
    for e in range(n_nets):
        for k in range(edges.start[e], edges.start[e + 1]):
            cut.reach[e, cut.core[edges.target[k]]] += 1
            cut.mixed[e, cut.core[edges.target[k]]] ^= edges.target[k]
        for c in range(n_cores):
            listed = _listed(edges, cut, e, c)
            if listed > 0:
                cut.use[c, IN_AXONS] += 1
                cut.use[c, WORDS] += rules.words[edges.kind[e], listed]
                if edges.owner[e] >= 0:
                    cut.use[cut.core[edges.owner[e]], OUT_AXONS] += 1


@lean
def count_lists(
    edges: Edges, core: Array, rules: Rules, use: Array, listed: Array, touched: Array
) -> None:
    """Add axons and words of a partition to ``use``, without any table.

    Parameters
    ----------
    use : int64 [n_cores, 5 or more]
    listed, touched : int64 [n_cores]
        Zeros, and scratch.
    """
    for e in range(edges.rate.size):
        n = 0
        for k in range(edges.start[e], edges.start[e + 1] + edges.own[e]):
            end = k == edges.start[e + 1]
            c = core[edges.owner[e]] if end else core[edges.target[k]]
            if listed[c] == 0:
                touched[n] = c
                n += 1
            listed[c] += 1
        for k in range(n):
            c = touched[k]
            use[c, IN_AXONS] += 1
            use[c, WORDS] += rules.words[edges.kind[e], listed[c]]
            listed[c] = 0
        if edges.owner[e] >= 0:
            use[core[edges.owner[e]], OUT_AXONS] += n


@inlined
def _sit(cut: Cut, rules: Rules, u: int, c: int) -> None:
    """Take up what a neuron takes without its synapses."""
    cut.seat[u] = cut.use[c, NEURONS]
    cut.member[c, cut.seat[u]] = u
    cut.use[c, NEURONS] += 1
    cut.use[c, COMPARTMENTS] += rules.compartments[u]
    for k in range(rules.profile.shape[1]):
        p = rules.profile[u, k]
        if cut.having[c, p] == 0:
            cut.use[c, N_RESOURCES + k] += 1
        cut.having[c, p] += 1


@inlined
def _rise(cut: Cut, rules: Rules, u: int, c: int) -> None:
    """Give back what `_sit` took up."""
    cut.use[c, NEURONS] -= 1
    last = cut.member[c, cut.use[c, NEURONS]]
    cut.member[c, cut.seat[u]] = last
    cut.seat[last] = cut.seat[u]
    cut.use[c, COMPARTMENTS] -= rules.compartments[u]
    for k in range(rules.profile.shape[1]):
        p = rules.profile[u, k]
        cut.having[c, p] -= 1
        if cut.having[c, p] == 0:
            cut.use[c, N_RESOURCES + k] -= 1


@inlined
def _listed(edges: Edges, cut: Cut, e: int, c: int) -> int:
    """Count synapses of net ``e`` on core ``c``, that onto its own neuron included."""
    listed = int(cut.reach[e, c])
    if edges.own[e] and cut.core[edges.owner[e]] == c:
        listed += 1
    return listed


@lean
def fill_fares(edges: Edges, cut: Cut, hop: Array, fare: Array, extra: Array) -> None:
    """Fill a table of zeros; ``extra`` float64 [n_cores] is scratch."""
    n_cores = hop.shape[0]
    for e in range(edges.first[-1]):
        u = edges.owner[e]
        rate, home = edges.rate[e], cut.core[u]
        for c in range(n_cores):
            if cut.reach[e, c] > 0:
                for d in range(n_cores):
                    fare[u, d] += rate * hop[d, c]
        for c in range(n_cores):
            extra[c] = rate * hop[home, c] * (cut.reach[e, c] == 0)
        for k in range(edges.start[e], edges.start[e + 1]):
            t = edges.target[k]
            for c in range(n_cores):
                fare[t, c] += extra[c]
            if cut.reach[e, cut.core[t]] == 1:
                fare[t, cut.core[t]] += rate * hop[home, cut.core[t]]


@lean
def excess(cut: Cut, rules: Rules) -> float:
    """Add up by which shares of a limit cores are over it."""
    over = 0.0
    for c in range(cut.use.shape[0]):
        for k in range(rules.limit.size):
            if cut.use[c, k] > rules.limit[k]:
                over += (cut.use[c, k] - rules.limit[k]) / rules.limit[k]
    return over


@inlined
def _is_over(cut: Cut, rules: Rules, c: int) -> bool:
    over = False
    for k in range(rules.limit.size):
        over = over or cut.use[c, k] > rules.limit[k]
    return over


@lean
def exchange_change(
    edges: Edges, cut: Cut, hop: Array, fare: Array, u: int, v: int, mark: Array, stamp: int
) -> float:
    """Hops that the network costs more with ``u`` and ``v`` on each other's core.

    Fares take each move alone. What both share is added: a common source reaches both cores as
    before, and spikes between the two go from and to where the other was.

    Parameters
    ----------
    mark : int64 [n_nets]
        Nowhere ``stamp``.
    """
    a, b = cut.core[u], cut.core[v]
    more = float(fare[u, b] - fare[u, a] + fare[v, a] - fare[v, b])
    for k in range(edges.source_start[u], edges.source_start[u + 1]):
        mark[edges.source[k]] = stamp
    for k in range(edges.source_start[v], edges.source_start[v + 1]):
        s = edges.source[k]
        if mark[s] == stamp and edges.owner[s] >= 0:
            home = cut.core[edges.owner[s]]
            if cut.reach[s, a] == 1:
                more += edges.rate[s] * hop[home, a]
            if cut.reach[s, b] == 1:
                more += edges.rate[s] * hop[home, b]
    for e in range(edges.first[v], edges.first[v + 1]):
        if mark[e] == stamp:
            more += _between(edges, cut, hop, e, a, b)
    for k in range(edges.source_start[v], edges.source_start[v + 1]):
        if edges.owner[edges.source[k]] == u:
            more += _between(edges, cut, hop, edges.source[k], b, a)
    return more


@inlined
def _between(edges: Edges, cut: Cut, hop: Array, e: int, a: int, b: int) -> float:
    """Correct fares for a net from ``b`` that reaches ``a``, when both its ends change places."""
    # The fare of its neuron took the target for resting on a, the fare of the target the neuron
    # for resting on b.
    way = float(edges.rate[e] * hop[a, b])
    more = 0.0
    if cut.reach[e, a] == 1:
        more += way  # the fare of the target took back what that of the neuron takes back, too
    if cut.reach[e, b] == 0:
        more += way  # b is reached from a now
    return more


@lean
def move(edges: Edges, cut: Cut, rules: Rules, u: int, to: int) -> int:
    """Put a neuron on another core and return steps; fares are left as they are."""
    core, reach, use, words = cut.core, cut.reach, cut.use, rules.words
    at = core[u]
    for e in range(edges.first[u], edges.first[u + 1]):
        reached = 0
        for c in range(reach.shape[1]):
            if _listed(edges, cut, e, c) > 0:
                reached += 1
        use[at, OUT_AXONS] -= reached
        if edges.own[e]:
            kind, here, there = edges.kind[e], int(reach[e, at]), int(reach[e, to])
            use[at, WORDS] += words[kind, here] - words[kind, here + 1]
            use[to, WORDS] += words[kind, there + 1] - words[kind, there]
            if here == 0:
                use[at, IN_AXONS] -= 1
                reached -= 1
            if there == 0:
                use[to, IN_AXONS] += 1
                reached += 1
        use[to, OUT_AXONS] += reached
    core[u] = to
    first = edges.source_start[u]
    for k in range(first, edges.source_start[u + 1]):
        s = edges.source[k]
        kind = edges.kind[s]
        here, there = _listed(edges, cut, s, at), _listed(edges, cut, s, to)
        use[at, WORDS] += words[kind, here - 1] - words[kind, here]
        use[to, WORDS] += words[kind, there + 1] - words[kind, there]
        out = (there == 0) - (here == 1)
        use[at, IN_AXONS] -= here == 1
        use[to, IN_AXONS] += there == 0
        if out != 0 and edges.owner[s] >= 0:
            use[core[edges.owner[s]], OUT_AXONS] += out
        reach[s, at] -= 1
        reach[s, to] += 1
        cut.mixed[s, at] ^= u
        cut.mixed[s, to] ^= u
    _rise(cut, rules, u, at)
    _sit(cut, rules, u, to)
    n_nets, n_sources = edges.first[u + 1] - edges.first[u], edges.source_start[u + 1] - first
    return int(MOVED * n_sources + n_nets * reach.shape[1])


@lean
def renew_fares(
    edges: Edges, cut: Cut, hop: Array, fare: Array, u: int, at: int, extra: Array
) -> int:
    """Follow the move of ``u`` away from ``at``, which has just been made; return steps.

    Parameters
    ----------
    extra : float64 [n_cores]
        Scratch.
    """
    to = cut.core[u]
    n_cores = hop.shape[0]
    steps = edges.source_start[u + 1] - edges.source_start[u]
    for k in range(edges.source_start[u], edges.source_start[u + 1]):
        s = edges.source[k]
        here, there = int(cut.reach[s, at]), int(cut.reach[s, to])
        if (here > 1 and there > 2) or edges.owner[s] < 0:
            continue
        home = cut.core[edges.owner[s]]
        left, come = edges.rate[s] * hop[home, at], edges.rate[s] * hop[home, to]
        if here == 0:
            steps += _charge(edges, fare, hop, s, u, at, left, -edges.rate[s])
        elif here == 1:
            fare[cut.mixed[s, at], at] += left
        if there == 1:
            steps += _charge(edges, fare, hop, s, u, to, -come, edges.rate[s])
        elif there == 2:
            fare[cut.mixed[s, to] ^ u, to] -= come
    for e in range(edges.first[u], edges.first[u + 1]):
        rate = edges.rate[e]
        for c in range(n_cores):
            extra[c] = rate * (hop[to, c] - hop[at, c]) * (cut.reach[e, c] == 0)
        for k in range(edges.start[e], edges.start[e + 1]):
            t = edges.target[k]
            home = cut.core[t]
            for c in range(n_cores):
                fare[t, c] += extra[c]
            if cut.reach[e, home] == 1:
                fare[t, home] += rate * (hop[to, home] - hop[at, home])
        steps += (edges.start[e + 1] - edges.start[e]) * (2 + n_cores // ROW)
    return int(steps)


@inlined
def _charge(
    edges: Edges, fare: Array, hop: Array, s: int, u: int, c: int, way: float, sent: float
) -> int:
    """Let other targets pay ``way`` for core ``c``, and the neuron of ``s`` for ``sent`` spikes."""
    for j in range(edges.start[s], edges.start[s + 1]):
        if edges.target[j] != u:
            fare[edges.target[j], c] += way
    for d in range(hop.shape[0]):
        fare[edges.owner[s], d] += sent * hop[d, c]
    return int(edges.start[s + 1] - edges.start[s] + hop.shape[0] // ROW)


@inlined
def _candidate(edges: Edges, cut: Cut, u: int, way: float, pick: float) -> int:
    """Pick the core of a neuron with a common source, of a source, of a target, or any core."""
    first, n_sources = edges.source_start[u], edges.source_start[u + 1] - edges.source_start[u]
    first_target, end_target = edges.start[edges.first[u]], edges.start[edges.first[u + 1]]
    if way < 0.7 and n_sources > 0:
        at = pick * n_sources
        s = edges.source[first + int(at)]
        if way < 0.2 and edges.owner[s] >= 0:
            return int(cut.core[edges.owner[s]])
        fan = edges.start[s + 1] - edges.start[s]
        return int(cut.core[edges.target[edges.start[s] + int((at - int(at)) * fan)]])
    if way < 0.9 and end_target > first_target:
        return int(cut.core[edges.target[first_target + int(pick * (end_target - first_target))]])
    return int(pick * cut.use.shape[0])


@lean
def refine(
    edges: Edges, cut: Cut, rules: Rules, closed: Array, hop: Array, fare: Array, chance: Array,
    heat_first: float, heat_last: float, mark: Array, first_stamp: int, extra: Array,
    limited: bool, price: float, work: Array, most_work: int, until_legal: bool,
) -> float:  # fmt: skip
    """Propose a move or an exchange for each row of ``chance``; return the hops that are added.

    Parameters
    ----------
    closed : bool [n_cores]
        Cores that nobody leaves or joins.
    hop : float64 [n_cores, n_cores]
    chance : float64 [n, 5]
        Uniform in [0, 1).
    heat_first, heat_last : float
        Cost that is accepted with chance 1/e.
    mark : int64 [n_nets]
        Below ``first_stamp``.
    work : int64 [1]
        Steps are added: entries of tables that are looked at, about. It ends at ``most_work``.
    limited : bool
        Whether more than the neurons of a core is limited; then no move makes cores exceed a limit
        further, and ``price`` hops are paid to come one limit's worth nearer to it.
    until_legal : bool
        Whether to end as soon as no core exceeds a limit.
    """
    n_rows, n = chance.shape[0], cut.core.size
    room = min(cut.member.shape[1] - 1, rules.limit[NEURONS])
    added = 0.0
    over = excess(cut, rules) if limited else 0.0
    for step in range(n_rows):
        if work[0] > most_work or (until_legal and over <= 0):
            break
        work[0] += PROPOSED
        u = int(chance[step, 0] * n)
        at = cut.core[u]
        if closed[at]:
            continue
        to = _candidate(edges, cut, u, chance[step, 1], chance[step, 2])
        if to == at or closed[to] or cut.use[to, NEURONS] == 0:
            continue
        v = -1
        seat = chance[step, 3] * 2
        if cut.use[to, NEURONS] >= room or seat < 1:
            v = cut.member[to, int((seat % 1) * cut.use[to, NEURONS])]
        elif cut.use[at, NEURONS] == 1:
            continue  # a core is never left empty
        heat = heat_first + (heat_last - heat_first) * step / n_rows
        if heat > 0:
            most = -heat * log(1 - chance[step, 4])
        else:  # few moves that change nothing: they are as dear to make as those that help
            most = 0.0 if chance[step, 4] < AIMLESS else -LEAST
        more = fare[u, to] - fare[u, at]
        if v >= 0:
            more += fare[v, at] - fare[v, to]
        repairs = over > 0 and (_is_over(cut, rules, at) or _is_over(cut, rules, to))
        if more > most and not repairs:
            continue  # what both share only adds to the cost of an exchange
        if v >= 0:
            work[0] += edges.source_start[u + 1] - edges.source_start[u]
            work[0] += 2 * (edges.source_start[v + 1] - edges.source_start[v])
            more = exchange_change(edges, cut, hop, fare, u, v, mark, first_stamp + step)
            if more > most and not repairs:
                continue
        work[0] += move(edges, cut, rules, u, to)
        if limited:
            if v >= 0:
                work[0] += move(edges, cut, rules, v, at)
            now = excess(cut, rules)
            work[0] += cut.use.size
            if v >= 0:
                work[0] += move(edges, cut, rules, v, to)
            if now > over + 1e-12 or (more > most and more + price * (now - over) > 0):
                work[0] += move(edges, cut, rules, u, at)
                continue
            over = now
        work[0] += renew_fares(edges, cut, hop, fare, u, at, extra)
        if v >= 0:
            work[0] += move(edges, cut, rules, v, at)
            work[0] += renew_fares(edges, cut, hop, fare, v, to, extra)
        added += more
    return added
