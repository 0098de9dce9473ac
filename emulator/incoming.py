"""A stimulus as the kernels take it."""

import numpy as np

from emulator import neuron
from emulator.kernels import Events
from emulator.loading import Loaded
from emulator.stimulus import Stimulus


def events_of(loaded: Loaded, stimulus: Stimulus) -> Events:
    """Cut payloads to what the chip takes, and sort channels where they lie on cores."""
    columns = dict(vars(stimulus))
    most = loaded.chip.numbers.input_payload_max
    if most:
        columns["spike_payload"] = np.minimum(columns["spike_payload"], most)
    if loaded.places.channel_core.size:
        tick, channel = stimulus.spike_tick, stimulus.spike_channel
        if np.any((tick[1:] == tick[:-1]) & (channel[1:] < channel[:-1])):
            order = np.lexsort((channel, tick))
            for name in ("spike_channel", "spike_payload"):
                columns[name] = columns[name][order]
    return Events(**columns, sent_ps=np.zeros(stimulus.spike_tick.size, np.int64))


def with_sent(
    events: Events, tick: int, at: int, more: list[tuple[int, int]], loaded: Loaded
) -> Events:
    """Add input spikes to a tick; ``at`` is the first event that has not happened."""
    channel, payload = np.array(more, np.int64).T
    following = {
        "spike_tick": np.full(channel.size, tick), "spike_channel": channel,
        "spike_payload": payload, "sent_ps": np.zeros(channel.size, np.int64),
    }  # fmt: skip
    columns = {
        name: np.concatenate([getattr(events, name)[at:], added])
        for name, added in following.items()
    }
    keys = [columns["spike_tick"]]
    if loaded.places.channel_core.size:
        keys.insert(0, columns["spike_channel"])
    order = np.lexsort(keys)
    return events._replace(
        **{
            name: np.concatenate([getattr(events, name)[:at], column[order]])
            for name, column in columns.items()
        }
    )


def check_signs(loaded: Loaded, stimulus: Stimulus) -> None:
    """Refuse negative factors where a payload is a number of spikes.

    Raises
    ------
    ValueError
    """
    negative = stimulus.spike_channel[stimulus.spike_payload < 0]
    if not negative.size:
        return
    program = loaded.program
    repeats = program.row_payload == neuron.AS_REPEAT
    if loaded.chip.arithmetic.accumulate == "each":
        repeats = np.ones_like(repeats)
    counting = np.intersect1d(negative, program.row_source[repeats] - program.n_neurons)
    if counting.size:
        raise ValueError(
            f"channel {counting[0]} has payloads down to {stimulus.spike_payload.min():,}, but "
            "its synapses take a payload as that many spikes; only rows whose row_payload is "
            "value or presence take negative ones"
        )
