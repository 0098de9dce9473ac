"""From a network to a loaded chip in one call."""

from dataclasses import dataclass

from emulator.chip import Chip
from emulator.program import Program
from mapping.fixed import FixedNetwork
from mapping.mapping import Mapping, Resources, resources
from mapping.network import Network
from mapping.partition import map_network
from mapping.quantise import quantise


@dataclass(frozen=True, kw_only=True, eq=False)
class Deployment:
    """A network that is mapped onto a chip.

    Attributes
    ----------
    mapping, program, used
        Where everything lies, what is loaded, and what it takes of each core.
    """

    network: Network
    chip: Chip
    fixed: FixedNetwork
    mapping: Mapping
    program: Program
    used: Resources


def deploy(network: Network, chip: Chip, *, direct: bool) -> Deployment:
    """Quantise, partition, place and assemble.

    Parameters
    ----------
    direct : bool
        Whether the host turns the input into bias currents.

    Raises
    ------
    CapacityError, UnsupportedNodeError
    """
    names = frozenset(part.name for part in network.inputs) if direct else frozenset()
    fixed = quantise(network, chip, direct=names)
    mapping, program = map_network(fixed, chip)
    program.check(chip)
    return Deployment(
        network=network,
        chip=chip,
        fixed=fixed,
        mapping=mapping,
        program=program,
        used=resources(program, chip),
    )
