"""The tables of chips whose cores hold whole layers, or are processors; and of chips that do not run."""

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from emulator.chip_tables import (
    Capacity,
    Count,
    Extent,
    Positive,
    Table,
    Whole,
    Width,
    list_to_tuple,
    refuse,
)

_Each = Annotated[tuple[Whole, ...], BeforeValidator(list_to_tuple), Field(min_length=1)]


def _steps(sizes: tuple[int, ...]) -> tuple[int, ...]:
    if sorted(set(sizes)) != list(sizes) or sizes[0] < 1:
        raise ValueError("the sizes must ascend from 1 or more")
    return sizes


_Steps = Annotated[
    tuple[Positive, ...],
    BeforeValidator(list_to_tuple),
    Field(min_length=1),
    AfterValidator(_steps),
]


class Formats(Table):
    """What is known of the numbers of a chip that does not run here.

    Attributes
    ----------
    weight_bits, state_bits : int
    """

    weight_bits: Width
    state_bits: Width
    source: str = ""


class LayerCores(Table):
    """Cores that hold one convolution layer each; what each of them has room for.

    Attributes
    ----------
    kernel_words, neuron_words, bias_words : tuple of int
        One weight, state or bias a word; one entry for each core.
    kernel_extent_max, input_extent_max, output_extent_max, channels_max, padding_max : int
    strides, pools : tuple of int
    destinations_max : int
        Cores that one core can send to.
    """

    kernel_words: _Each
    neuron_words: _Each
    bias_words: _Each
    kernel_extent_max: Extent
    input_extent_max: Extent
    output_extent_max: Extent
    channels_max: Extent
    padding_max: Whole
    strides: _Steps
    pools: _Steps
    destinations_max: Extent
    source: str = ""
    kernel_words_source: str = ""
    neuron_words_source: str = ""
    bias_words_source: str = ""

    @model_validator(mode="after")
    def _of_the_same_cores(self) -> "LayerCores":
        sizes = {len(self.kernel_words), len(self.neuron_words), len(self.bias_words)}
        if len(sizes) > 1:
            raise ValueError(
                f"kernel_words, neuron_words and bias_words must have an entry for each core, but "
                f"have {len(self.kernel_words)}, {len(self.neuron_words)} and "
                f"{len(self.bias_words)}"
            )
        return self


class ProcessorCores(Table):
    """Processors that update neurons in software, each with memory of its own; in bytes.

    Attributes
    ----------
    memory_bytes : int
        Of each processor, for everything.
    program_bytes : int
        Code, stack and buffers of spikes.
    neuron_bytes : int
        State and constants of a neuron.
    synapse_bytes, row_bytes : int
        A synapse, and the header of the list of one source.
    """

    memory_bytes: Capacity
    program_bytes: Count
    neuron_bytes: Capacity
    synapse_bytes: Capacity
    row_bytes: Count

    @model_validator(mode="after")
    def _room(self) -> "ProcessorCores":
        if self.program_bytes.value >= self.memory_bytes.value:
            raise ValueError(
                f"program_bytes {self.program_bytes.value:,} leaves nothing of memory_bytes "
                f"{self.memory_bytes.value:,}"
            )
        return self


class SharedMemory(Table):
    """A core's memory that synapses, neurons and axons take from alike; in bytes.

    Attributes
    ----------
    memory_bytes : int
    neuron_bytes, in_axon_bytes, out_axon_bytes : int
        What each takes.
    """

    memory_bytes: Capacity
    neuron_bytes: Capacity
    in_axon_bytes: Count
    out_axon_bytes: Count


def check_layers(layers: LayerCores | None, n_cores: int) -> None:
    """Refuse tables of another number of cores than the chip has."""
    if layers is not None and len(layers.kernel_words) != n_cores:
        refuse(
            [
                f"layers.kernel_words: {len(layers.kernel_words)} entries, but the chip has "
                f"{n_cores} cores"
            ]
        )
