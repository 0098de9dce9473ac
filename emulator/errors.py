"""Errors of loading and running a program."""


class ProgramError(ValueError):
    """A program contradicts itself or its chip; the text lists every problem found."""


class OverflowAlarm(ArithmeticError):  # noqa: N818 - it is an alarm that a strict run asked for
    """A value left its register in a strict run.

    Attributes
    ----------
    core, neuron, sample, tick, bits : int
    population, variable : str
    value : int
        What the register should have held.
    """

    def __init__(
        self,
        *,
        core: int,
        population: str,
        neuron: int,
        variable: str,
        bits: int,
        sample: int,
        tick: int,
        value: int,
    ) -> None:
        self.core, self.population, self.neuron = core, population, neuron
        self.variable, self.bits = variable, bits
        self.sample, self.tick, self.value = sample, tick, value
        super().__init__(
            f"core {core}, population {population!r}, neuron {neuron}: {variable} {value:,} does "
            f"not fit its {bits} bits at tick {tick} of sample {sample}; lower the weights' scale "
            f"or inputs, widen the register, or run without strict"
        )


class FabricChoiceError(ValueError):
    """A fabric cannot carry the packets of this chip; the text says why, and what to take."""


class EngineError(RuntimeError):
    """A run broke off: a kernel, the fabric or a process beside the chip has failed.

    The text says on which chip, at which sample, tick and time, and what went wrong.
    """


class SnapshotError(ValueError):
    """A run cannot be saved here, or not be gone on with; the text says what stands against it."""


class ChipDoesNotRunError(ValueError):
    """A chip whose discipline is not built was asked to run; the text says why, and what runs."""


class ExcerptError(ValueError):
    """A part of a program cannot run alone and be the same; the text says why, and what can."""


class RetimingError(ValueError):
    """Recorded spikes cannot be timed this way; the text says why."""
