"""Chips with networks, and programs on them, made at random."""

from dataclasses import replace

import numpy as np
from random_machines import CHANNELS, random_chip, random_program, random_stimulus

from emulator.chip import Chip
from emulator.chip_faults import link_texts
from emulator.routers import neighbours, place_of
from emulator.without import chip_without

TICKS = 12
TOPOLOGIES = ("mesh", "torus", "tree", "crossbar", "chips")


def with_fabric(rng, chip, topology, *, multicast=False):
    """A chip of 4 × 2 routers with two cores each, or two such chips, and costs at random."""
    plain = chip.model_dump()
    plain["mesh"] |= {"width": 4, "height": 2, "cores_per_router": 2}
    draw = lambda most: int(rng.integers(0, most)) * int(rng.random() < 0.8)  # noqa: E731
    names = (
        "neuron_active_ps", "neuron_inactive_ps", "spike_ps", "axon_out_ps", "synaptic_event_ps",
        "axon_in_ps", "hop_ew_ps", "hop_ns_ps", "local_spike_ps",
    )  # fmt: skip
    plain["timing"] = {name: {"value": draw(40)} for name in names} | {"barrier": [[1, draw(100)]]}
    plain["fabric"] |= {
        "topology": "mesh" if topology == "chips" else topology, "multicast": multicast,
        "packet_bits": draw(4), "link_bit_ps": {"value": draw(3)},
        **{f"{name}_buffer": {"value": int(rng.integers(0, 3))} for name in ("link", "core")},
        "injection_buffer": {"value": int(rng.integers(0, 3))},
    }  # fmt: skip
    if rng.random() < 0.5:
        plain["fabric"] |= {"link_ps": {"value": draw(20)}, "ejection_ps": {"value": draw(20)}}
    if topology == "tree":
        plain["fabric"]["fan_out"] = [2, 4]
    if topology == "chips":
        plain["fabric"] |= {"chips_x": 1, "chips_y": 2, "off_chip_hop_ps": {"value": draw(200)}}
    return Chip.model_validate(plain)


def with_faults(rng, chip, *, least=3, n=6):
    """The chip without some cores, routers and links, as far as they leave it in one piece."""
    pairs = [[place_of(int(k), chip) for k in pair] for pair in neighbours(chip).T]
    wires = [wire for one, other in pairs for wire in ((one, other), (other, one))]
    draws = [
        lambda: f"core {rng.integers(chip.n_cores)}",
        lambda: f"reserved {rng.integers(chip.n_cores)}",
    ]
    if wires:
        draws += 3 * [
            lambda: "link " + link_texts([wires[rng.integers(len(wires))]])[0],
            lambda: "link " + link_texts(two_way(rng, pairs))[0],
        ]
        draws.append(lambda: "router " + ",".join(map(str, wires[rng.integers(len(wires))][0])))
    for _ in range(n):
        try:
            less = chip_without(chip, [draws[rng.integers(len(draws))]()])
        except ValueError:
            continue
        if less.usable.size >= least:
            chip = less
    return chip


def two_way(rng, pairs):
    one, other = pairs[rng.integers(len(pairs))]
    return [(one, other), (other, one)]


def case(seed, topology, *, faulty=False, **how):
    rng = np.random.default_rng(seed)
    chip = random_chip(rng)
    program = random_program(rng, chip)
    chip = with_fabric(rng, chip, topology, **how)
    if faulty:
        chip = with_faults(rng, chip)
    program = replace(program, core=rng.permutation(chip.usable)[: program.n_cores])
    if rng.random() < 0.7:
        program = replace(program, channel_core=rng.integers(-1, program.n_cores, CHANNELS))
    return program, chip, [random_stimulus(rng, TICKS) for _ in range(2)]
