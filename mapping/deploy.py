"""From a network in a chip's integers to what is loaded."""

from emulator.chip import Chip
from emulator.chip_file import refuse_to_run
from emulator.program import Program
from mapping.assemble import assemble
from mapping.errors import CapacityError
from mapping.fixed import FixedNetwork
from mapping.mapping import Mapping, resources
from mapping.outline import Outline
from mapping.plan import Choices, Plan, plan


def map_network(
    fixed: FixedNetwork, chip: Chip, choices: Choices | None = None
) -> tuple[Mapping, Program]:
    """Partition, place and assemble.

    Raises
    ------
    CapacityError
        With every violated limit.
    """
    return laid_down(fixed, planned(fixed, chip, choices))


def planned(fixed: FixedNetwork, chip: Chip, choices: Choices | None = None) -> Plan:
    """Decide where every neuron of a network in a chip's integers lies.

    Raises
    ------
    CapacityError
        With every violated limit.
    """
    refuse_to_run(chip)
    return plan(Outline.of(fixed), chip, choices)


def laid_down(fixed: FixedNetwork, found: Plan) -> tuple[Mapping, Program]:
    """Assemble what a plan of a network says.

    Raises
    ------
    CapacityError
        If what is really loaded breaks a limit.
    """
    chip = found.chip
    mapping = Mapping(fixed=fixed, cores=found.cores, place=found.place)
    program = assemble(mapping, chip_name=chip.name, input_latency=chip.arithmetic.input_latency)
    broken = resources(program, chip).violations(program, chip)
    if broken:  # what is really loaded has the last word
        raise CapacityError(chip.name, broken)
    return mapping, program
