"""Slow, obvious twins of the fast code, written from the equations."""

import math
import operator

import numpy as np

RESETS = ("none", "zero", "subtract", "subtract-once")


def keep(x, factor, bits):
    """What is left of x after a decay that keeps factor / 2**bits, rounded towards zero."""
    return int(math.copysign(abs(int(x)) * int(factor) // 2**bits, int(x)))


def fit(x, bits, rule):
    """Put x into a signed register."""
    half = 2 ** (bits - 1)
    if rule == "wrap":
        return (int(x) + half) % (2 * half) - half
    return max(-(half - 1), min(half - 1, int(x)))


def simulate_integers(fixed, chip, spikes, n_ticks):
    """Dense integer network without cores, axons or routes.

    Parameters
    ----------
    spikes : dict of input name to int array [ticks, channels]

    Returns
    -------
    dict of population name to a bool array [n_ticks, n]
    """
    from mapping.linear import matrix

    latency = chip.arithmetic.input_latency
    pops = {p.name: p for p in fixed.populations}
    u = {n: [int(x) for x in p.initial_current] for n, p in pops.items()}
    v = {n: [int(x) for x in p.initial_membrane] for n, p in pops.items()}
    above = {n: [False] * p.size for n, p in pops.items()}
    fired = {n: np.zeros((n_ticks, p.size), bool) for n, p in pops.items()}
    weights = [matrix(p.linear).astype(int) * 2**p.shift for p in fixed.projections]
    for t in range(n_ticks):
        arriving = {n: np.zeros(p.size, int) for n, p in pops.items()}
        for projection, w in zip(fixed.projections, weights, strict=True):
            outside = projection.source in spikes
            at = t - projection.delay - (latency if outside else 1)
            history = spikes[projection.source] if outside else fired[projection.source]
            if 0 <= at < len(history):
                arriving[projection.target] += w @ history[at].astype(int)
        for name, p in pops.items():
            for n in range(p.size):
                x = keep(u[name][n], p.keep_current[n], chip.numbers.decay_bits)
                x += int(arriving[name][n]) << p.sum_shift << chip.numbers.input_shift
                half = 2 ** (chip.numbers.current_bits - 1)
                if not -half <= x < half:
                    x = fit(x, chip.numbers.current_bits, chip.arithmetic.current_overflow)
                y = (
                    keep(v[name][n], p.keep_membrane[n], chip.numbers.decay_bits)
                    + x
                    + int(p.bias[n])
                )
                half = 2 ** (chip.numbers.membrane_bits - 1)
                if not -half < y < half:
                    y = fit(y, chip.numbers.membrane_bits, chip.arithmetic.membrane_overflow)
                if p.threshold is not None:
                    height = int(p.threshold[n])
                    once = p.reset == "subtract-once" and above[name][n]
                    test = y - height if once else y
                    if test > height or (chip.arithmetic.compare == ">=" and test == height):
                        fired[name][t, n] = True
                        y = 0 if p.reset == "zero" else y - height
                    above[name][n] = y > height or (chip.arithmetic.compare == ">=" and y == height)
                u[name][n], v[name][n] = x, y
    return fired


def simulate_float(
    network, n_ticks, *, spikes=None, currents=None, timing="instant", input_latency=1
):
    """The float update equation with full matrices and a history of every tick.

    Parameters
    ----------
    spikes, currents : dict of input name to array [ticks, channels]

    Returns
    -------
    fired, i, v : dicts of population name to array [n_ticks, n]
    """
    from mapping.linear import matrix

    spikes, currents, dt = spikes or {}, currents or {}, network.dt_s
    sizes = {p.name: p.size for p in network.populations}
    fired, i, v = ({n: np.zeros((n_ticks, s)) for n, s in sizes.items()} for _ in range(3))
    arrived = {n: np.zeros((n_ticks, s)) for n, s in sizes.items()}

    def send(projection, values, tick, ticks):
        if tick + ticks < n_ticks:
            arrived[projection.target][tick + ticks] += matrix(projection.linear) @ values

    for projection in network.projections:
        delay = round(projection.delay_s / dt)
        late = delay + (input_latency if timing == "chip" else 0)
        for tick, values in enumerate(spikes.get(projection.source, ())):
            send(projection, values, tick, late)
        for tick, values in enumerate(currents.get(projection.source, ())):
            send(projection, values * projection.current_gain, tick, delay)
    for t in range(n_ticks):
        for p in network.order:
            i_before, v_before = (x[p.name][t - 1] if t else np.zeros(p.size) for x in (i, v))
            for n in range(p.size):
                tau = p.tau_syn_s[n]
                x = (i_before[n] * (1 - dt / tau) if tau else 0) + arrived[p.name][t, n] + p.bias[n]
                y = v_before[n] + dt / p.tau_mem_s[n] * (p.v_leak[n] - v_before[n]) + x
                if p.spiking:
                    passes = operator.ge if p.compare == ">=" else operator.gt
                    height = p.threshold[n] - p.v_reset[n]
                    # snnTorch subtracts before it looks where the membrane was still above.
                    once = p.reset == "subtract-once" and t and passes(v_before[n], p.threshold[n])
                    if passes(y - height if once else y, p.threshold[n]):
                        fired[p.name][t, n] = 1
                        y = p.v_reset[n] if p.reset == "zero" else y - height
                i[p.name][t, n], v[p.name][t, n] = x, y
            for k, projection in enumerate(network.projections):
                if projection.source == p.name:
                    delay = round(projection.delay_s / dt)
                    back = network.feedback if timing == "instant" else network.recurrent
                    late = delay if timing == "instant" else delay + 1
                    if k in back:
                        late = max(delay, 1)
                    send(projection, fired[p.name][t], t, late)
    return fired, i, v


def fit_potential(v, bits, rule):
    """Put v into a register of two's complement; "wrap" or "saturate"."""
    half = 2 ** (bits - 1)
    if rule == "wrap":
        return (v + half) % (2 * half) - half
    return max(-half, min(half - 1, v))


def simulate_crossbars(cores, arriving, n_ticks, *, bits, rule):
    """Crossbar cores neuron by neuron and axon by axon.

    Parameters
    ----------
    cores : dict of place to `mapping.crossbar.CrossbarCore`
    arriving : list of (tick, core, axon) from outside

    Returns
    -------
    fired : set of (tick, core, neuron)
    potentials : dict of core to a list of lists [n_ticks][n]
    counts : dict of the number of merged spikes, synaptic events and overflows
    """
    hit, fired = set(), set()
    counts = {"merged": 0, "synaptic": 0, "overflows": 0}
    potentials = {place: [] for place in cores}
    v = {place: [int(x) for x in core.initial] for place, core in cores.items()}

    def arrive(tick, place, axon):
        if (tick, place, axon) in hit:
            counts["merged"] += 1
        elif place in cores:
            hit.add((tick, place, axon))
            counts["synaptic"] += int(cores[place].connected[axon].sum())

    def fitted(x):
        y = fit_potential(x, bits, rule)
        counts["overflows"] += x != y
        return y

    for t in range(n_ticks):
        for tick, place, axon in arriving:
            if tick == t:
                arrive(t, place, axon)
        for place, core in cores.items():
            for n in range(core.n_neurons):
                x = v[place][n] + int(core.leak[n])
                for axon in range(core.n_axons):
                    if (t, place, axon) in hit and core.connected[axon, n]:
                        x += int(core.weight[n, core.axon_type[axon]])
                x = fitted(x)
                mode = ("absolute", "linear", "none")[core.reset[n]]
                if x >= core.threshold[n]:
                    fired.add((t, place, n))
                    if mode == "absolute":
                        x = fitted(int(core.reset_to[n]))
                    elif mode == "linear":
                        x = fitted(x - int(core.threshold[n]))
                elif x < core.lower[n]:
                    if core.saturates[n]:
                        x = int(core.lower[n])
                    elif mode == "absolute":
                        x = fitted(-int(core.reset_to[n]))
                    elif mode == "linear":
                        x = fitted(x - int(core.lower[n]))
                v[place][n] = x
        for tick, place, n in sorted(fired):
            if tick == t and cores[place].to_core[n] >= 0:
                core = cores[place]
                arrive(t + int(core.delay[n]), int(core.to_core[n]), int(core.to_axon[n]))
        for place in cores:
            potentials[place].append(list(v[place]))
    return fired, potentials, counts
