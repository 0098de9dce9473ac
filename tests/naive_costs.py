"""What each core's time goes to, and how long a tick lasts, one neuron and packet after another.

Written from docs: neurons cost what they do in their order; a spike's packets leave when the costs so
far have passed; a core takes in packets one after another. For axons that count.
"""

from collections import defaultdict

from emulator.chip_costs import by_kind
from emulator.ways import ways

REPEAT = 0


def packets_of(program, source, payload):
    """Packets of one spike: (core, copies, events of each kind)."""
    found = []
    first, last = int(program.source_row[source]), int(program.source_row[source + 1])
    for row in range(first, last):
        core = int(program.row_core[row])
        times = abs(payload) if program.row_payload[row] == REPEAT else 1
        if row == first or program.row_packet[row] or core != found[-1][0]:
            found.append((core, times, [0, 0, 0]))
        found[-1][2][program.row_kind[row]] += times * int(program.row_size[row])
    return found


def updates(program, chip, active, spikes, inputs):
    """Time of each core, and when the packets of each source leave: ([n_cores], {source: ps})."""
    timing, n = chip.timing, program.n_neurons
    spent, leaves = [0] * program.n_cores, {}

    def does(core, source, is_active, payloads):
        spent[core] += (timing.neuron_active_ps if is_active else timing.neuron_inactive_ps).value
        spent[core] += timing.spike_ps.value * bool(payloads)
        for payload in payloads:
            copies = sum(times for _, times, _ in packets_of(program, source, payload))
            spent[core] += copies * timing.axon_out_ps.value
            leaves.setdefault(source, []).append(spent[core])

    for channel, core in enumerate(program.channel_core.tolist()):
        if core >= 0:
            payloads = [y for c, y in inputs if c == channel]
            does(core, n + channel, bool(payloads), payloads)
    for core in range(program.n_cores):
        for neuron in range(int(program.core_start[core]), int(program.core_start[core + 1])):
            payloads = [spikes[neuron]] if neuron in spikes else []
            does(core, neuron, active[neuron], payloads)
    return spent, leaves


def durations(program, chip, spent, leaves, spikes, inputs, barrier_ps):
    """Length of a tick in fabrics ideal and simple."""
    timing, n = chip.timing, program.n_neurons
    event_ps = [cost.value for cost in by_kind(timing.synaptic_event_ps)]
    arrivals, work = defaultdict(list), [0] * program.n_cores
    sources = [*spikes.items(), *((n + channel, payload) for channel, payload in inputs)]
    taken = defaultdict(int)
    for source, payload in sources:
        sender = int(program.source_core[source])
        left = 0
        if sender >= 0:
            left = leaves[source][taken[source]]
            taken[source] += 1
        for core, copies, events in packets_of(program, source, payload):
            way = 0
            if sender >= 0:
                way = int(ways(program.core[sender], program.core[core], chip).latency_ps)
            arrivals[core].append(left + way)
            work[core] += copies * timing.axon_in_ps.value
            work[core] += sum(ps * count for ps, count in zip(event_ps, events, strict=True))
    ideal, simple = [0], [0]
    for core in range(program.n_cores):
        came = arrivals[core]
        ideal.append(max(spent[core], *came, min(came) + work[core]) if came else spent[core])
        simple.append(max(spent[core], work[core]))
    return max(ideal) + barrier_ps, max(simple) + barrier_ps
