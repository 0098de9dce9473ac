"""Routes of a program, in the form that its chip needs."""

from emulator.chip import Chip
from emulator.program import Program
from mapping.routing.axons import Axons, axons_of
from mapping.routing.tables import Tables, tables_of


def routes_of(program: Program, chip: Chip) -> Tables | Axons:
    """Build what routers, or sending and receiving cores, must hold.

    Routes are derived: they follow from program and chip, and are never stored with them. The
    mapping is not asked, so that a check against it (`mapping.routing.walk`) is independent.

    Returns
    -------
    Tables
        Where the chip has ``limits.routing_entries_per_router``.
    Axons
        Elsewhere.

    Raises
    ------
    CapacityError
        If routing tables do not fit their routers, or keys their bits.
    """
    if chip.limits.routing_entries_per_router is None:
        return axons_of(program, chip)
    tables = tables_of(program, chip)
    tables.check()
    return tables
