"""From a network to a loaded chip in one call."""

from dataclasses import dataclass, replace

from emulator.chip import Chip
from emulator.program import Program
from mapping.deploy import laid_down, planned
from mapping.fixed import FixedNetwork
from mapping.mapping import Mapping, Resources, resources
from mapping.network import Network
from mapping.plan import Choices, Plan
from mapping.quantisers import QUANTISERS
from mapping.relayed import rates_of_relays, relayed
from spikefab.currents import Target, largest_currents, targets_of
from spikefab.data import Samples


@dataclass(frozen=True, kw_only=True, eq=False)
class Deployment:
    """A network that is mapped onto a chip.

    Attributes
    ----------
    mapping, program, used
        Where everything lies, what is loaded, and what it takes of each core.
    current_targets
        What the host computes of direct current, unrolled once for all samples.
    quantiser : str or None
        How float became integers; None for a network that came in integers.
    plan : Plan or None
        How the mapping was found; None where it was not asked to be kept.
    """

    network: Network
    chip: Chip
    fixed: FixedNetwork
    mapping: Mapping
    program: Program
    used: Resources
    current_targets: tuple[Target, ...] = ()
    quantiser: str | None = None
    plan: Plan | None = None


def deploy(
    network: Network,
    chip: Chip,
    *,
    direct: bool,
    samples: Samples | None = None,
    seed: int = 0,
    quantiser: str = "spikefab",
    choices: Choices | None = None,
    keep_plan: bool = False,
) -> Deployment:
    """Quantise, partition, place and assemble.

    Parameters
    ----------
    direct : bool
        Whether the host turns the input into bias currents.
    samples : Samples, optional
        Of direct current: the chip's bias format is made to hold the largest.
    seed : int
        For stochastic rounding of constants, where the chip has it.
    quantiser : str
        A key of `mapping.quantisers.QUANTISERS`.
    choices : Choices, optional
        How to plan.
    keep_plan : bool
        Whether to keep the plan, with lists of all synapses, which a run has no use for.

    Raises
    ------
    CapacityError, UnsupportedNodeError
    """
    names = frozenset(part.name for part in network.inputs) if direct else frozenset()
    targets = targets_of(network, names)
    largest = None
    if direct and samples is not None:
        drives = (samples.drive(index, network) for index in range(len(samples)))
        largest = largest_currents(targets, drives)
    round_ = QUANTISERS[quantiser]
    fixed = round_(network, chip, direct=names, largest_currents=largest, seed=seed)
    deployment = _mapped(fixed, targets, chip, choices, keep_plan=keep_plan)
    return replace(deployment, quantiser=quantiser)


def deploy_fixed(
    fixed: FixedNetwork,
    chip: Chip,
    *,
    direct: bool = False,
    samples: Samples | None = None,
    choices: Choices | None = None,
    keep_plan: bool = False,
) -> Deployment:
    """Partition, place and assemble a network that came in the chip's integers.

    Parameters
    ----------
    direct : bool
        Whether the host turns the input into bias currents; its weights are then not loaded.
    samples : Samples, optional
        Change nothing: all numbers are integers already.
    choices : Choices, optional
        How to plan.
    keep_plan : bool
        Whether to keep the plan, with lists of all synapses, which a run has no use for.

    Raises
    ------
    CapacityError
    """
    names = frozenset(part.name for part in fixed.network.inputs) if direct else frozenset()
    loaded = tuple(p for p in fixed.projections if p.source not in names)
    targets = targets_of(fixed.network, names)
    fixed = replace(fixed, direct=names, projections=loaded)
    return _mapped(fixed, targets, chip, choices, keep_plan=keep_plan)


def _mapped(
    fixed: FixedNetwork,
    targets: tuple[Target, ...],
    chip: Chip,
    choices: Choices | None,
    *,
    keep_plan: bool,
) -> Deployment:
    if choices is not None and choices.relays:
        plain, fixed = fixed, relayed(fixed, chip, choices.pins)
        choices = replace(choices, rates=rates_of_relays(choices.rates, plain, fixed))
    found = planned(fixed, chip, choices)
    mapping, program = laid_down(fixed, found)
    program.check(chip)
    return Deployment(
        network=fixed.network,
        chip=chip,
        fixed=fixed,
        mapping=mapping,
        program=program,
        used=resources(program, chip),
        current_targets=targets,
        plan=found if keep_plan else None,
    )
