"""Recorded spikes, timed without neurons, take the picoseconds of a real run."""

from dataclasses import replace

import numpy as np
import pytest
from random_fabrics import TICKS, TOPOLOGIES, case, with_fabric

from emulator.engine import Engine
from emulator.errors import RetimingError
from emulator.happened import Happened
from emulator.retiming import Clock, Moved, Timer

pytestmark = pytest.mark.plain_python
SEEDS = range(12)


def run(program, chip, stimuli, fabric):
    """Times of every tick [samples, ticks], and what happened, by sample."""
    engine = Engine(program, chip, fabric=fabric, n_threads=1, block_ticks=5)
    blocks, update_ps = [], {}

    def observe(block):
        blocks.append(block)
        # The lane writes the next block's over it.
        update_ps[id(block)] = block.counted.activity.update_ps.copy()

    engine.run(stimuli, TICKS, observe)
    found = []
    for sample in range(len(stimuli)):
        mine = [block for block in blocks if block.sample == sample]
        activities = [block.counted.activity for block in mine]
        happened = Happened(
            n_ticks=TICKS,
            spike_tick=np.concatenate([b.spike_tick for b in mine]),
            spike_neuron=np.concatenate([b.spike_neuron for b in mine]),
            spike_payload=np.concatenate([b.spike_payload for b in mine]),
            input_tick=np.concatenate(
                [b.first_tick + np.repeat(np.arange(b.tick_ps.size), np.diff(a.input_start))
                 for b, a in zip(mine, activities, strict=True)]
            ),
            input_channel=np.concatenate([a.input_channel for a in activities]),
            input_payload=np.concatenate([a.input_payload for a in activities]),
        )  # fmt: skip
        recorded = (
            np.concatenate([a.spike_ps for a in activities]),
            np.concatenate([update_ps[id(b)] for b in mine]),
        )
        times = np.concatenate([b.tick_ps for b in mine])
        slowest = np.concatenate([b.slowest_core for b in mine])
        found.append((happened, recorded, times, slowest))
    return found


def other_times(seed, chip, topology, **how):
    """The chip with all costs drawn anew."""
    return with_fabric(np.random.default_rng(1000 + seed), chip, topology, **how)


def cut(happened, first, last):
    def within(kind):
        tick = getattr(happened, f"{kind}_tick")
        mine = (tick >= first) & (tick < last)
        names = [n for n in vars(happened) if n.startswith(kind)]
        return {n: getattr(happened, n)[mine] for n in names} | {f"{kind}_tick": tick[mine] - first}

    return Happened(n_ticks=last - first, **within("spike"), **within("input"))


@pytest.mark.parametrize("fabric", ["simple", "ideal", "links", "queued"])
@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_another_fabric_and_other_costs_take_the_times_of_a_real_run(topology, fabric):
    if fabric == "links" and topology == "torus":
        pytest.skip("links of a torus cannot be put in order")
    n_exact = n_spikes = 0
    for seed in SEEDS:
        program, chip, stimuli = case(seed, topology)
        new = other_times(seed, chip, topology)
        old_clock, clock = Clock(program, chip), Clock(program, new)
        timer = Timer(clock, fabric)
        real = run(program, new, stimuli, fabric)
        for (happened, recorded, *_), (*_, wanted, slowest) in zip(
            run(program, chip, stimuli, "ideal"), real, strict=True
        ):
            work = old_clock.work_of(happened, *recorded)
            if work is None and clock.active_ps:
                continue
            timer.begin()
            found = timer(happened, work)
            assert found.duration_ps.tolist() == wanted.tolist(), seed
            assert found.slowest_core.tolist() == slowest.tolist()
            n_exact += 1
            n_spikes += happened.spike_tick.size
    assert n_exact > len(SEEDS) / 2
    assert n_spikes > 100


def test_packets_that_fork_take_the_times_of_a_real_run():
    for seed in SEEDS:
        program, chip, stimuli = case(seed, "mesh", multicast=True)
        clock = Clock(program, chip)
        timer = Timer(clock, "queued")
        for happened, recorded, wanted, _ in run(program, chip, stimuli, "queued"):
            work = clock.work_of(happened, *recorded)
            timer.begin()
            assert timer(happened, work).duration_ps.tolist() == wanted.tolist()


@pytest.mark.parametrize("fabric", ["ideal", "queued"])
def test_another_placement_of_the_same_cores_takes_the_times_of_a_real_run(fabric):
    for seed in SEEDS:
        program, chip, stimuli = case(seed, "mesh")
        rng = np.random.default_rng(seed)
        new = replace(program, core=rng.permutation(chip.usable)[: program.n_cores])
        moved, old_clock = Moved(program, new), Clock(program, chip)
        assert moved.same_cores
        timer = Timer(Clock(new, chip), fabric)
        for (happened, recorded, *_), (*_, wanted, _) in zip(
            run(program, chip, stimuli, "ideal"), run(new, chip, stimuli, fabric), strict=True
        ):
            there, work = moved.happened(happened, old_clock.work_of(happened, *recorded))
            if work is None and old_clock.active_ps:
                continue
            timer.begin()
            assert timer(there, work).duration_ps.tolist() == wanted.tolist(), seed


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_without_recorded_times_a_band_holds_the_real_time(topology):
    narrower = 0
    for seed in SEEDS:
        program, chip, stimuli = case(seed, topology)
        clock = Clock(program, chip)
        for happened, _, wanted, _ in run(program, chip, stimuli, "ideal"):
            ends = []
            for work in (clock.least_work(happened), clock.most_work(happened)):
                timer = Timer(clock, "ideal")
                ends.append(timer(happened, work).duration_ps)
            low, high = np.minimum(*ends), np.maximum(*ends)
            assert np.all((low <= wanted) & (wanted <= high)), seed
            narrower += int(np.count_nonzero(low < high))
    assert narrower > 20


def test_windows_of_ticks_change_nothing():
    for seed in range(8):
        program, chip, stimuli = case(seed, "mesh")
        clock = Clock(program, chip)
        happened, recorded, wanted, _ = run(program, chip, stimuli, "ideal")[0]
        work = clock.work_of(happened, *recorded)
        timer, found = Timer(clock, "ideal"), []
        for first, last in ((0, 4), (4, 5), (5, TICKS)):
            mine = (happened.spike_tick >= first) & (happened.spike_tick < last)
            part = None if work is None else work._replace(
                upto=work.upto[mine], total=work.total[first:last]
            )  # fmt: skip
            found += timer(cut(happened, first, last), part).duration_ps.tolist()
        assert found == wanted.tolist(), seed


def test_times_of_another_chip_are_refused():
    refused = 0
    for seed in SEEDS:
        program, chip, stimuli = case(seed, "mesh")
        happened, recorded, *_ = run(program, chip, stimuli, "ideal")[0]
        other = Clock(program, other_times(seed + 50, chip, "mesh"))
        try:
            other.work_of(happened, *recorded)
        except RetimingError as error:
            assert "are not those of the recorded program" in str(error)  # noqa: PT017
            refused += 1
    assert refused > len(SEEDS) / 2


def test_programs_of_other_networks_are_refused():
    program, *_ = case(0, "mesh")
    with pytest.raises(RetimingError, match="another network: threshold of neurons differs"):
        Moved(program, replace(program, threshold=program.threshold + 1))
    with pytest.raises(RetimingError, match="inputs are"):
        Moved(program, replace(program, inputs=(("other", 6),)))
