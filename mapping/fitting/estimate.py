"""What a tick of a mapped network is expected to take, from mean spike rates alone.

No spike is simulated. Counts per tick follow from the rates: packets, one for each spike and
distinct core that hears it, hops of the ways between their cores, synaptic events. Every neuron is
taken to be updated as an active one, and packets to overlap with updates and to wait for nothing
(fabric ``simple``), so that time is that of the core that is busiest on average, and the barrier.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.energy import energy_j
from emulator.neuron import KINDS
from emulator.simple import generation_ps, reception_ps, tick_ps
from emulator.ways import n_routers_used, ways
from mapping.fitting.judging import Judgement
from mapping.linear import Convolution
from mapping.needs import Fan, Needs
from mapping.traffic import Rates, core_of

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Expected means of a tick.

    Attributes
    ----------
    spikes : float
        Of all populations.
    packets, local, from_outside : float
        Between cores; delivered on the own core; sent by inputs.
    hops : float
        Of the packets between cores.
    synaptic_events : float
    tick_s : float or None
        None without times.
    energy_j : float or None
        None without times or energies.
    """

    spikes: float
    packets: float
    local: float
    from_outside: float
    hops: float
    synaptic_events: float
    tick_s: float | None
    energy_j: float | None


def estimate(found: Judgement, rates: Rates) -> Estimate | None:
    """Estimate a tick; None where there is no place for every core.

    Parameters
    ----------
    rates : mapping of str to float64 [n]
        Spikes of each neuron or channel in a tick, by population or input; of those that are not
        named, 0.
    """
    if found.outline is None or not found.place:
        return None
    needs, chip = Needs.of(found.outline, found.chip), found.chip
    count = _counters(found, needs, rates)
    sizes = np.array([sum(part.neurons.size for part in c) for c in found.cores], np.float64)
    on = core_of(found.cores, needs.sizes)
    fired = {name: rates[name] for name in needs.sizes if name in rates}
    spikes = np.zeros(len(found.cores))
    for name, rate in fired.items():
        np.add.at(spikes, on[name], rate)
    count |= {"active": sizes, "inactive": np.zeros_like(sizes), "spikes": spikes}
    duration = None
    if chip.timing is not None:
        barrier = chip.timing.barrier_ps(n_routers_used(np.array(found.place), chip))
        duration = int(
            tick_ps(generation_ps(count, chip.timing), reception_ps(count, chip.timing), barrier)
        )
    energy = None if duration is None else energy_j(count, duration, chip)
    return Estimate(
        spikes=float(spikes.sum()), packets=float(count["packets"].sum()),
        local=float(count["local_packets"].sum()),
        from_outside=float(count["input_packets"].sum()),
        hops=float(sum(count[f"hops_{way}"].sum() for way in ("ew", "ns", "off_chip"))),
        synaptic_events=float(sum(count[f"{kind}_events"].sum() for kind in KINDS)),
        tick_s=None if duration is None else duration * 1e-12,
        energy_j=None if energy is None else energy.total,
    )  # fmt: skip


def _counters(found: Judgement, needs: Needs, rates: Rates) -> dict[str, Array]:
    """Expected counters of each core in a tick, named as those of a run; float64 [n_cores]."""
    n, on = len(found.cores), core_of(found.cores, needs.sizes)
    place = np.array(found.place)
    names = ("packets", "local_packets", "input_packets", "received", "hops_ew", "hops_ns",
             "hops_off_chip", *(f"{kind}_events" for kind in KINDS))  # fmt: skip
    count = {name: np.zeros(n) for name in names}
    for target, slices in enumerate(found.cores):
        for part in slices:
            for fan in needs.fans[part.population]:
                held, rate = fan.lists(part.neurons), rates.get(fan.projection.source)
                if rate is not None:
                    events = float(rate[held.source] @ held.size)
                    count[f"{_kind(fan)}_events"][target] += events
        for name, source in needs.heard(slices):
            rate = rates.get(name)
            if rate is None:
                continue
            count["received"][target] += rate[source].sum()
            if name not in on:
                count["input_packets"][target] += rate[source].sum()
                continue
            sent = np.bincount(on[name][source], weights=rate[source], minlength=n)
            count["local_packets"][target] += sent[target]
            sent[target] = 0.0
            count["packets"] += sent
            way = ways(place, place[target], found.chip)
            for hops in ("hops_ew", "hops_ns", "hops_off_chip"):
                count[hops] += sent * getattr(way, hops)
    return count


def _kind(fan: Fan) -> str:
    if isinstance(fan.projection.linear, Convolution):
        return "convolution"
    return "dense" if fan.dense else "sparse"
