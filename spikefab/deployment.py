"""From a network to a loaded chip in one call."""

from dataclasses import dataclass, replace

from emulator.chip import Chip
from emulator.program import Program
from mapping.deploy import map_network
from mapping.fixed import FixedNetwork
from mapping.mapping import Mapping, Resources, resources
from mapping.network import Network
from mapping.plan import Choices
from mapping.quantisers import QUANTISERS
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
    """

    network: Network
    chip: Chip
    fixed: FixedNetwork
    mapping: Mapping
    program: Program
    used: Resources
    current_targets: tuple[Target, ...] = ()
    quantiser: str | None = None


def deploy(
    network: Network,
    chip: Chip,
    *,
    direct: bool,
    samples: Samples | None = None,
    seed: int = 0,
    quantiser: str = "spikefab",
    choices: Choices | None = None,
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
    return replace(_mapped(fixed, targets, chip, choices), quantiser=quantiser)


def deploy_fixed(
    fixed: FixedNetwork,
    chip: Chip,
    *,
    direct: bool = False,
    samples: Samples | None = None,
    choices: Choices | None = None,
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

    Raises
    ------
    CapacityError
    """
    names = frozenset(part.name for part in fixed.network.inputs) if direct else frozenset()
    loaded = tuple(p for p in fixed.projections if p.source not in names)
    targets = targets_of(fixed.network, names)
    return _mapped(replace(fixed, direct=names, projections=loaded), targets, chip, choices)


def _mapped(
    fixed: FixedNetwork, targets: tuple[Target, ...], chip: Chip, choices: Choices | None
) -> Deployment:
    mapping, program = map_network(fixed, chip, choices)
    program.check(chip)
    return Deployment(
        network=fixed.network,
        chip=chip,
        fixed=fixed,
        mapping=mapping,
        program=program,
        used=resources(program, chip),
        current_targets=targets,
    )
