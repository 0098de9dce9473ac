"""A machine of unbounded integers, one neuron after another, written from docs/arithmetic.md.

It reads a program and a chip and knows nothing of kernels, cores or packets.
"""

import math
from fractions import Fraction

from random_machines import chance


def rounded(exact, rule, draw):
    low = math.floor(exact)
    rest = exact - low
    if rule == "floor":
        return low
    if rule == "toward-zero":
        return math.trunc(exact)
    if rule == "away":
        return math.ceil(exact) if exact > 0 else low
    if rule == "stochastic":
        return low + (Fraction(draw, 2**32) < rest)
    assert rule == "nearest-even"
    return low + (rest > Fraction(1, 2) or (rest == Fraction(1, 2) and low % 2 == 1))


def fitted(x, bits, rule):
    half = 2 ** (bits - 1)
    if rule == "wrap":
        return (x + half) % (2 * half) - half
    if rule == "saturate":
        return max(1 - half, min(half - 1, x))
    if rule == "saturate-twos":
        return max(-half, min(half - 1, x))
    if rule == "wrap-once":
        return x - 2 * half if x > half else x + 2 * half if x <= -half else x
    assert rule == "none"
    return x


class Machine:
    """State of a program while it runs."""

    def __init__(self, program, chip, seed=0):
        self.program, self.chip, self.seed = program, chip, seed
        n = range(program.n_neurons)
        self.u = [[int(x) for x in row] for row in program.initial_current]
        self.v = [int(x) for x in program.initial_membrane]
        self.push = [int(x) for x in program.bias]
        self.shown = [0 for _ in n]
        self.above = [False for _ in n]
        self.resting = [0 for _ in n]
        self.active = [False for _ in n]  # in the last tick
        self.sent = []  # (arrives at, source is a neuron, source, payload)
        self.counts = dict.fromkeys(("input", "current", "drive", "membrane"), 0)
        starts = [sum(p.size for p in program.populations[:k]) for k in range(99)]
        self.identity = [
            starts[p] + int(i) for p, i in zip(program.population, program.index, strict=True)
        ]

    def fit(self, what, x, bits, rule):
        y = fitted(x, bits, rule)
        self.counts[what] += x != y
        return y

    def decay(self, x, keep, rule, tick, n, which):
        if rule == "shift":
            less = x >> keep
            return x - (1 if less == 0 and x > 0 else less)
        draw = chance(self.seed, tick, self.identity[n], which)
        return rounded(Fraction(x * keep, 2**self.chip.numbers.decay_bits), rule, draw)

    def synapses(self, source):
        """Every synapse of a source: (target neuron, weight, row)."""
        p = self.program
        for row in range(p.source_row[source], p.source_row[source + 1]):
            first, at, start = (
                int(p.row_weight[row]),
                int(p.row_target[row]),
                p.core_start[p.row_core[row]],
            )
            for k in range(int(p.row_size[row])):
                target = at + k if p.row_dense[row] else int(start) + int(p.target[at + k])
                yield target, int(p.weight[first + k]) * 2 ** int(p.row_shift[row]), row

    def arriving(self, tick, inputs):
        """Sums of weights [n_sums][n] that act at this tick."""
        p = self.program
        sums = [[0] * p.n_neurons for _ in range(p.n_sums)]
        hit = set()
        latency = self.chip.arithmetic.input_latency
        oldest = tick - 1 - int(p.row_delay.max(initial=0))
        # In the order in which they were sent: of several on one binary axon the first one counts.
        events = [(t, 0, t + latency, p.n_neurons + c, y) for t, c, y in inputs if t >= oldest]
        events += [(t, 1, t + 1, n, y) for t, n, y in self.sent if t >= oldest]
        for *_, at, source, payload in sorted(events, key=lambda event: event[:2]):
            for target, weight, row in self.synapses(source):
                if at + int(p.row_delay[row]) != tick:
                    continue
                times = 1 if p.row_payload[row] == 2 else payload
                if p.row_axon.size:
                    key = int(p.row_axon[row])
                    owner = (at, source, row)
                    if any(k == key and o != owner for k, o in hit):
                        continue
                    hit.add((key, owner))
                sums[int(p.row_group[row])][target] += weight * times
        return sums

    def tick(self, tick, inputs, currents=()):
        """Advance everything; return spikes as {neuron: payload}."""
        for t, n, value in currents:
            if t == tick:
                self.push[n] = int(self.program.bias[n]) + value
        p, rules, numbers = self.program, self.chip.arithmetic, self.chip.numbers
        inputs = [(t, c, min(y, numbers.input_payload_max or y)) for t, c, y in inputs]
        each = rules.accumulate == "each"
        if each:
            now = [(p.n_neurons + c, y) for t, c, y in inputs if t == tick]
            late = [(n, y) for t, n, y in self.sent if t == tick - 1]
            for source, payload in now + sorted(late, key=lambda s: self.identity[s[0]]):
                for target, weight, row in self.synapses(source):
                    u = self.u[int(p.row_group[row])]
                    for _ in range(payload):
                        u[target] = self.fit(
                            "current",
                            u[target] + weight,
                            numbers.current_bits,
                            rules.current_overflow,
                        )
        sums = None if each else self.arriving(tick, inputs)
        spikes, handed = {}, [0] * p.n_neurons
        for n in range(p.n_neurons):
            s = self.neuron(tick, n, sums, handed)
            if s:
                spikes[n] = s
            if p.alias.size and s and p.alias[n] >= 0:
                other = int(p.alias[n])
                most = int(p.spikes_max[n])
                if other > n:
                    handed[other] = min(handed[other] + s, most)
                else:
                    spikes[other] = min(spikes.get(other, 0) + s, most)
        self.sent += [(tick, n, s) for n, s in sorted(spikes.items())]
        return spikes

    def neuron(self, tick, n, sums, handed):
        p, rules, numbers = self.program, self.chip.arithmetic, self.chip.numbers
        # Active is what holds anything but 0, gets any, or would do something at 0.
        held = [self.v[n], self.push[n], self.resting[n], handed[n], *(u[n] for u in self.u)]
        self.active[n] = any(held) or any(s[n] for s in sums or ()) or self.restless(n)
        if p.reset_every.size and p.reset_every[n] and tick % p.reset_every[n] == p.reset_phase[n]:
            self.v[n] = 0
            for u in self.u:
                u[n] = 0
        resting = self.resting[n] > 0
        self.resting[n] = max(self.resting[n] - 1, 0)
        drive = 0
        for k, u in enumerate(self.u):
            taken = 0
            if sums is not None:
                total = sum(
                    math.floor(s[n] * Fraction(2) ** int(p.sum_shift[g, n]))
                    for g, s in enumerate(sums)
                )
                total = total * 2**numbers.input_shift
                if not (rules.refractory == "skip" and resting):
                    taken = self.fit("input", total, numbers.input_bits, rules.input_overflow)
            keep = int(p.keep_current[k, n])
            if rules.current_order == "decay-add-use":
                x = self.decay(u[n], keep, rules.current_decay, tick, n, k) + taken
            elif rules.current_order == "add-decay-use":
                x = self.decay(u[n] + taken, keep, rules.current_decay, tick, n, k)
            else:
                x = u[n] + taken
            used = self.fit("current", x, numbers.current_bits, rules.current_overflow)
            u[n] = used
            if rules.current_order == "add-use-decay":
                self.shown[n] = used
                u[n] = self.decay(used, keep, rules.current_decay, tick, n, k)
            drive += used
        v, push = self.v[n], self.push[n]
        kept = self.decay(v, int(p.keep_membrane[n]), rules.membrane_decay, tick, n, -1)
        bits, overflow = numbers.membrane_bits, rules.membrane_overflow
        if resting and rules.refractory == "freeze":
            return 0
        if resting and rules.refractory == "hold":
            self.v[n] = 0
            return 0 if p.reset[n] == 0 else self.fire(n, handed)
        if rules.membrane_form in ("sum", "bias-first"):  # the same in integers without a limit
            skips = rules.refractory == "skip" and resting
            driven = 0
            if not skips:
                driven = self.fit("drive", drive + push, numbers.drive_bits, rules.drive_overflow)
            wanted = kept + driven
            new = fitted(wanted, bits, overflow)
        else:
            change = fitted(kept - v, bits, "wrap") + drive
            wanted = v + change + push
            new = fitted(
                v + fitted(fitted(change, bits, overflow) + push, bits, overflow), bits, overflow
            )
        self.counts["membrane"] += new != wanted
        if p.membrane_min.size:  # a limit of the program, which is no overflow
            new = max(int(p.membrane_min[n]), min(int(p.membrane_max[n]), new))
        self.v[n] = new
        if p.reset[n] == 0 or (rules.refractory == "skip" and resting):
            return 0
        return self.fire(n, handed)

    def restless(self, n):
        p = self.program
        limited = p.membrane_min.size and not p.membrane_min[n] <= 0 <= p.membrane_max[n]
        below = p.lower.size and p.lower[n] > 0
        return bool((p.reset[n] != 0 and p.threshold[n] <= 0) or limited or below)

    def fire(self, n, handed):
        p, rules = self.program, self.chip.arithmetic
        v, height = self.v[n], int(p.threshold[n])

        def crosses(x):
            return x >= height if rules.compare == ">=" else x > height

        name = ("none", "zero", "subtract", "subtract-once", "subtract-repeat", "stay")[p.reset[n]]
        if name == "subtract-repeat":
            spikes = handed[n]
            while spikes < p.spikes_max[n] and crosses(v):
                v, spikes = v - height, spikes + 1
            self.v[n] = v
            return self.rested(n, spikes)
        spikes = 0
        if crosses(v - height if name == "subtract-once" and self.above[n] else v):
            spikes = 1
            if name == "zero":
                v = int(p.reset_to[n]) if p.reset_to.size else 0
            elif name != "stay":
                v -= height
        elif p.lower.size and v < p.lower[n]:
            spikes = -1 if rules.lower_threshold == "spike" else 0
            v = int(p.lower_to[n])
        if p.lower.size and rules.lower_threshold == "reset" and v != self.v[n]:
            v = self.fit("membrane", v, self.chip.numbers.membrane_bits, rules.membrane_overflow)
        self.v[n], self.above[n] = v, crosses(v)
        return self.rested(n, spikes)

    def rested(self, n, spikes):
        if self.program.refractory.size and spikes:
            self.resting[n] = max(int(self.program.refractory[n]) - 1, 0)
        return spikes
