"""The plain loop in NumPy: whole arrays a tick, in integers. No emulator; what one must beat."""

from collections.abc import Callable
from typing import Any

import numpy as np
from peer_outcome import Outcome, Spent


def step(membrane: Any, arrived: Any, threshold: int, decay: int) -> Any:
    """Advance a population in place by one tick; return which neurons fire."""
    kept = np.abs(membrane) * (4096 - decay) >> 12  # towards zero
    membrane[:] = np.where(membrane < 0, -kept, kept)
    membrane += 64 * arrived
    fired = np.flatnonzero(membrane > 64 * threshold)
    membrane[fired] = 0
    return fired


def feed_forward(net: dict[str, Any]) -> tuple[int, ...]:
    """Run W1; give the spikes of each layer."""
    inputs = [np.flatnonzero(row) for row in net["raster"]]
    membranes = [np.zeros(w.shape[1], np.int64) for w in net["weights"]]
    nothing = np.empty(0, np.int64)
    before, counts = [nothing] * len(membranes), [0] * len(membranes)
    for given in inputs:
        fired = [given]
        for layer, (membrane, weights) in enumerate(zip(membranes, net["weights"], strict=True)):
            arrived = weights[before[layer]].sum(axis=0, dtype=np.int64)
            fired.append(step(membrane, arrived, net["vth"][layer], net["dv"]))
            counts[layer] += fired[-1].size
        before = fired[:-1]
    return tuple(counts)


def recurrent(net: dict[str, Any]) -> tuple[int, ...]:
    """Run W2 or W3; give the spikes of all neurons."""
    n = net["n"]
    membrane, arrived = np.zeros(n, np.int64), np.zeros(n, np.int64)
    count = 0
    for _ in range(net["steps"]):
        fired = step(membrane, arrived + net["bias"], net["vth"], net["dv"])
        count += fired.size
        summed = np.bincount(net["dst"][fired].ravel(), net["w"][fired].ravel(), n)
        arrived = summed.astype(np.int64)
    return (count,)


def prepare(net: dict[str, Any], _: str) -> Callable[[], Outcome]:
    """There is nothing to build."""
    run = feed_forward if "raster" in net else recurrent

    def simulate() -> Outcome:
        begin = Spent.now()
        counts = run(net)
        return Outcome(*begin.since(), counts)

    return simulate
