"""The bare loop of `ceiling.py` on a standard network, without cores, packets or traces."""

import time
from collections.abc import Callable

import numpy as np
from standard import Standard, shared_module


def ceiling_of(network: Standard, n_ticks: int) -> Callable[[], tuple[float, int]]:
    """Return what runs the loop once and returns seconds and spikes; compiled already."""
    loop = shared_module("ceiling")
    run = loop.run_ff if network.name == "W1" else loop.run_rec
    arguments = _feedforward if network.name == "W1" else _recurrent

    def once(ticks: int = n_ticks) -> tuple[float, int]:
        columns = arguments(network, ticks)
        began = time.perf_counter()
        spikes = run(ticks, *columns)
        return time.perf_counter() - began, int(np.sum(spikes))

    once(2)
    return once


def _feedforward(network: Standard, n_ticks: int) -> tuple[object, ...]:
    sizes, events = network.net["sizes"][1:], network.stimulus(n_ticks)
    starts = np.searchsorted(events.spike_tick, np.arange(n_ticks + 1))
    zeros = [np.zeros(size, np.int32) for size in (*sizes, *sizes, *sizes)]
    fired = [np.zeros(size, np.int64) for size in sizes]
    heights = [np.int32(64 * v) for v in network.net["vth"]]
    return events.spike_channel, starts, *zeros, *heights, *network.net["weights"], *fired


def _recurrent(network: Standard, n_ticks: int) -> tuple[object, ...]:
    net = network.net
    n = net["n"]
    target = net["dst"].astype(np.uint16) if n <= 1 << 16 else net["dst"]
    height = np.int32(64 * net["vth"])
    state = np.zeros(n, np.int32), np.zeros(n, np.int32)
    return *state, net["bias"], height, target, net["w"], np.zeros(n, np.int64)
