"""Chips and programs made at random, for tests of the integer machine."""

import numpy as np

from emulator import fabric, ideal, linked, queued, simulation
from emulator import lane as lanes
from emulator.arithmetic import DECAYS, OVERFLOWS, hashed
from emulator.chip import Chip
from emulator.chip_file import load_chip
from emulator.machine import advance_of
from emulator.neuron import RESETS
from emulator.program import Program, ProgramPopulation
from emulator.stimulus import Stimulus
from mapping.assemble import Rows, row_tables
from traces.jit import python_of, specialised


def uncompiled_machines(monkeypatch):
    """Let engines advance neurons as plain Python; what carries packets stays as it is."""

    def plain(program, chip, **how):
        return advance_of(program, chip, **how, compiled=False)

    monkeypatch.setattr(lanes, "advance_of", plain)


def uncompiled(monkeypatch):
    """Let engines run the kernels as plain Python, so that new rules cost no compilation."""

    def plainly(kernels, bound):
        return specialised(kernels, bound, compiled=False)

    uncompiled_machines(monkeypatch)
    for module in (queued, linked, simulation):
        monkeypatch.setattr(module, "specialised", plainly)
    for module in (queued, linked):
        monkeypatch.setattr(module, "_compiled", module._compiled.__wrapped__)
    monkeypatch.setattr(fabric, "ideal_ticks", python_of(ideal.ideal_ticks))
    for name in ("carry", "carry_crowds"):
        monkeypatch.setattr(ideal, name, python_of(getattr(ideal, name)))


def chance(seed, tick, neuron, which):
    """Noise of stochastic rounding, as the machine draws it."""
    hash_ = python_of(hashed)
    return hash_(hash_(seed, 0, 0, 0), tick, neuron, which)


def chip_with(base="generic", *, numbers=None, arithmetic=None):
    """A chip with other numbers and rules, checked like one from a file."""
    plain = load_chip(base).model_dump()
    plain["numbers"] |= numbers or {}
    plain["arithmetic"] |= arithmetic or {}
    return Chip.model_validate(plain)


def random_chip(rng):
    """Rules and widths at random, as far as they suit each other."""
    pick = lambda names: str(rng.choice(sorted(names)))  # noqa: E731
    each = rng.random() < 0.25
    form = str(rng.choice(["sum", "increment", "bias-first"], p=[0.5, 0.3, 0.2]))
    current, membrane = pick(DECAYS), pick(DECAYS)
    bits = int(rng.integers(1, 13))
    lower = "none" if each else pick(["none", "spike", "reset"])
    rules = {
        "accumulate": "each" if each else "sum",
        "current_order": "add-decay-use" if each else pick(
            ["decay-add-use", "add-use-decay", "add-decay-use"]),
        "input_latency": 0 if each else int(rng.integers(0, 2)),
        "current_decay": current, "membrane_decay": membrane,
        "input_overflow": "none" if each else pick(OVERFLOWS),
        "current_overflow": pick(OVERFLOWS),
        "drive_overflow": pick(OVERFLOWS) if form == "sum" else "none",
        "membrane_form": form,
        "membrane_overflow": pick(OVERFLOWS),
        "compare": pick([">", ">="]),
        "refractory": pick(["none", "hold", "freeze", *([] if form == "increment" else ["skip"])]),
        "lower_threshold": lower,
        "axons": "counting" if each or rng.random() < 0.7 else "binary",
        "resets": dict.fromkeys(RESETS[1:], 1),
    }  # fmt: skip
    numbers = {
        "decay_bits": bits, "input_shift": int(rng.integers(0, 4)),
        "input_bits": int(rng.integers(6, 14)), "current_bits": int(rng.integers(6, 16)),
        "drive_bits": int(rng.integers(6, 16)), "membrane_bits": int(rng.integers(6, 16)),
        "spikes_per_tick_max": 31,
        "input_payload_max": int(rng.integers(0, 3)),
    }  # fmt: skip
    plain = load_chip("generic").model_dump()
    plain["numbers"] |= numbers
    plain["arithmetic"] |= rules
    if each:
        plain["limits"]["delay_max"]["value"] = 0
    return Chip.model_validate(plain)


N, CHANNELS = 14, 6


def random_program(rng, chip):
    """A small program with every column that the chip's rules allow, on three cores."""
    rules, numbers = chip.arithmetic, chip.numbers
    each = rules.accumulate == "each"
    n_currents = 2 if each and rng.random() < 0.5 else 1
    n_sums = 1 if each or rng.random() < 0.5 else 3
    order = rng.permutation(N)
    population = (order >= 8).astype(int)
    index = np.where(population, order - 8, order)
    cores = [0, 5, 9, N]
    if each:
        cores = [0, N]

    def keep(register, shape):
        if getattr(rules, f"{register}_decay") == "shift":
            return rng.integers(0, 9, shape)
        return rng.integers(0, 2**numbers.decay_bits + 1, shape)

    columns = {}
    half = 2 ** (numbers.membrane_bits - 1)
    if rules.refractory != "none" and rng.random() < 0.7:
        columns["refractory"] = rng.integers(0, 5, N)
    if rng.random() < 0.3:
        columns["reset_every"] = rng.integers(0, 7, N)
        columns["reset_phase"] = rng.integers(0, 3, N)
    if rng.random() < 0.3:
        columns["membrane_min"] = -rng.integers(0, half, N)
        columns["membrane_max"] = rng.integers(0, half, N)
    if rng.random() < 0.3:
        columns["reset_to"] = rng.integers(-20, 20, N)
    if rules.lower_threshold != "none" and rng.random() < 0.8:
        columns["lower"] = -rng.integers(1, half // 2 + 2, N)
        columns["lower_to"] = rng.integers(-5, 5, N)
    resets = rng.choice(len(RESETS), N)
    if "lower" in columns:
        resets[resets == RESETS.index("subtract-repeat")] = RESETS.index("zero")
    columns["spikes_max"] = rng.integers(1, 8, N)
    if each and "refractory" not in columns and rng.random() < 0.5:
        columns["alias"] = np.where(rng.random(N) < 0.3, rng.integers(0, N, N), -1)
        resets[:] = RESETS.index("subtract-repeat")
    signed = "lower" in columns and rules.lower_threshold == "spike"
    rows = []
    sources = N + CHANNELS
    for number in range(40):
        source = int(rng.integers(sources))
        core = int(rng.integers(len(cores) - 1))
        size = int(rng.integers(1, 5))
        width = cores[core + 1] - cores[core]
        dense = bool(rng.random() < 0.4) and size <= width
        start = int(rng.integers(0, width - size + 1)) if dense else 0
        target = [cores[core] + start] if dense else rng.integers(0, width, size)
        rows.append(
            Rows(
                source=np.array([source]), size=np.array([size]),
                weight=rng.integers(-60, 61, size), target=np.asarray(target), core=core,
                dense=dense, shift=int(rng.integers(0, 3)),
                delay=0 if each else int(rng.integers(0, 4)), exponent=number,
                group=int(rng.integers(n_currents if each else n_sums)),
                payload=int(rng.integers(1, 3)) if signed else 0 if each else int(rng.integers(0, 3)),
            )
        )  # fmt: skip
    tables = row_tables(rows, sources)
    if rules.axons == "binary":
        columns["row_axon"] = rng.integers(0, 12, tables["row_size"].size)
    return Program(
        chip=chip.name, dt_s=1e-3,
        populations=tuple(
            ProgramPopulation(name=name, shape=(size,), spiking=True, output=True, lag=0, scale=1.0)
            for name, size in (("a", 8), ("b", N - 8))
        ),
        inputs=(("in", CHANNELS),),
        core=np.arange(len(cores) - 1), core_start=np.array(cores),
        population=population, index=index, compartments=np.ones(N, int),
        keep_current=keep("current", (n_currents, N)), keep_membrane=keep("membrane", N),
        bias=rng.integers(-9, 10, N) * (rng.random(N) < 0.5),
        threshold=rng.integers(1, max(half // 2, 2), N),
        initial_current=np.zeros((n_currents, N), int),
        initial_membrane=rng.integers(-9, 10, N) * (rng.random(N) < 0.3),
        sum_shift=rng.integers(-2, 3, (n_sums, N)), reset=resets, **columns, **tables,
    )  # fmt: skip


def random_stimulus(rng, n_ticks):
    """Input spikes, some of them several in one tick."""
    counts = rng.integers(0, 4, (n_ticks, CHANNELS)) * (rng.random((n_ticks, CHANNELS)) < 0.4)
    tick, channel = np.nonzero(counts)
    return Stimulus(spike_tick=tick, spike_channel=channel, spike_payload=counts[tick, channel])
