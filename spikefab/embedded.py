"""What a trace carries, so that its run can be made again from the trace alone.

Bundles (`traces.bundle`): ``network`` in float, ``chip``, ``fixed`` (the network in the chip's
integers), ``program``, ``samples`` (the input of all samples as it was given) and ``how`` (the
run's other choices). Each is read when it is asked for.
"""

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator import program_file
from emulator.chip import Chip
from emulator.program import Program
from mapping import fixed_file, network_file
from mapping.mapping import Mapping, cores_of, resources
from mapping.network import Network
from spikefab.currents import targets_of
from spikefab.data import Samples
from spikefab.deployment import Deployment
from traces.bundle import Bundle
from traces.errors import TraceFormatError
from traces.trace import Trace

Array = NDArray[Any]
Packed = tuple[dict[str, Any], dict[str, Any]]


def bundles(deployment: Deployment, samples: Samples, how: dict[str, Any]) -> dict[str, Packed]:
    """Pack all of it, as `traces.writer.TraceWriter` attaches it.

    Parameters
    ----------
    how : dict
        Choices of the run that are in none of the others, as JSON keeps them.
    """
    return {
        "network": network_file.packed(deployment.network),
        "chip": (deployment.chip.model_dump(mode="json"), {}),
        "fixed": fixed_file.packed(deployment.fixed),
        "program": program_file.packed(deployment.program),
        "samples": _packed(samples),
        "how": (how, {}),
    }


class Embedded:
    """Network, chip, program and input of a recorded run.

    Parameters
    ----------
    trace : Trace
        Of a chip; it must stay open while attributes are asked for.

    Raises
    ------
    TraceFormatError
        At any attribute, if the trace does not have it or its hash is another one.
    """

    def __init__(self, trace: Trace) -> None:
        self._trace = trace

    @cached_property
    def network(self) -> Network:
        """The network in float."""
        network = network_file.unpacked(*self._bundle("network"))
        self._check("network", network.sha256)
        return network

    @cached_property
    def chip(self) -> Chip:
        """The chip, dead parts included."""
        chip = Chip.model_validate(self._bundle("chip").header)
        self._check("chip", chip.sha256)
        return chip

    @cached_property
    def program(self) -> Program:
        """What was loaded."""
        program = program_file.unpacked(*self._bundle("program"))
        self._check("program", program.sha256)
        return program

    @cached_property
    def deployment(self) -> Deployment:
        """All of it as it was before the run."""
        header, arrays = self._bundle("fixed")
        fixed = fixed_file.unpacked(header, arrays, self.network)
        program = self.program
        return Deployment(
            network=self.network,
            chip=self.chip,
            fixed=fixed,
            mapping=Mapping(
                fixed=fixed, cores=cores_of(program), place=tuple(program.core.tolist())
            ),
            program=program,
            used=resources(program, self.chip),
            current_targets=targets_of(self.network, fixed.direct),
            quantiser=self.how.get("quantiser"),
        )

    @cached_property
    def samples(self) -> Samples:
        """Input of all samples, and their classes."""
        return _unpacked(*self._bundle("samples"))

    @cached_property
    def how(self) -> dict[str, Any]:
        """Choices of the run, as `bundles` got them."""
        return self._bundle("how").header

    def _bundle(self, name: str) -> Bundle:
        if name not in self._trace.attachments():
            raise TraceFormatError(
                f"{self._trace.path}: holds no {name}, so its run cannot be made again; traces of "
                f"spikefab run have it since layout version 2"
            )
        return self._trace.attached(name)

    def _check(self, name: str, found: str) -> None:
        told = self._trace.provenance.get(f"{name}_sha256")
        if told is not None and told != found:
            raise TraceFormatError(
                f"{self._trace.path}: recorded from the {name} {str(told)[:12]}, but it carries "
                f"{found[:12]}; it was changed, or put together from two files"
            )


def _packed(samples: Samples) -> Packed:
    x = samples.x
    # Static values that are held are one value for each channel, however long.
    held = x.ndim == 3 and x.strides[1] == 0
    arrays = {"x": x[:, 0] if held else x}
    if samples.y is not None:
        arrays["y"] = samples.y
    return {"n_ticks": samples.n_ticks, "spiking": samples.spiking, "held": held}, arrays


def _unpacked(header: dict[str, Any], arrays: dict[str, Array]) -> Samples:
    x = arrays["x"]
    if header["held"]:
        x = np.broadcast_to(x[:, None], (len(x), int(header["n_ticks"]), x.shape[1]))
    return Samples(
        x=x, y=arrays.get("y"), n_ticks=int(header["n_ticks"]), spiking=bool(header["spiking"])
    )
