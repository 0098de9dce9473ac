"""Chips with networks, and programs on them, made at random."""

from dataclasses import replace

import numpy as np
from random_machines import CHANNELS, random_chip, random_program, random_stimulus

from emulator.chip import Chip

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


def case(seed, topology, **how):
    rng = np.random.default_rng(seed)
    chip = random_chip(rng)
    program = random_program(rng, chip)
    chip = with_fabric(rng, chip, topology, **how)
    program = replace(program, core=rng.permutation(chip.n_cores)[: program.n_cores])
    if rng.random() < 0.7:
        program = replace(program, channel_core=rng.integers(-1, program.n_cores, CHANNELS))
    return program, chip, [random_stimulus(rng, TICKS) for _ in range(2)]
