"""Errors of importing and mapping a network."""

from collections.abc import Sequence

from mapping.violations import Violation


class NetworkError(ValueError):
    """A network contradicts itself; the text lists every problem found."""


class UnsupportedNodeError(ValueError):
    """A node of an imported file cannot be expressed; the text names node, type and reason."""


class CapacityError(ValueError):
    """A network does not fit a chip.

    Attributes
    ----------
    violations : tuple of Violation or str
        Every violated limit: what, where, the number, the limit, what to do.
    """

    def __init__(self, chip: str, violations: Sequence[Violation | str]) -> None:
        self.violations = tuple(violations)
        lines = "\n".join(f"  - {violation}" for violation in violations)
        super().__init__(f"the network does not fit {chip}:\n{lines}")


class NirError(ValueError):
    """A NIR file is broken, or does not say what an import needs."""


class OnnxError(ValueError):
    """An ONNX file is broken, or has nodes that cannot become spikes; names all of them."""


class NetxError(ValueError):
    """A network file of lava-dl is broken, or holds what a chip cannot; names layer and field."""


class RancError(ValueError):
    """A memory image or packet file of RANC is broken or contradicts another."""


class StimulusError(ValueError):
    """A file of spikes is broken, or does not suit the input that it is meant for."""
