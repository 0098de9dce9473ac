"""All files of spikes that can be input, and the way from each to counts in ticks."""

from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from mapping.errors import StimulusError
from mapping.network import Input
from mapping.stimuli.aedat import aedat_recording
from mapping.stimuli.camera import Sensor, bs2_recording, sensor_of
from mapping.stimuli.recorded import holds_spikes, sonata_recording, trace_recording
from mapping.stimuli.recording import Recording, binned
from mapping.stimuli.table import csv_recording

Array = NDArray[Any]

KINDS = {
    ".bs2": "bs2", ".aedat": "aedat", ".aedat2": "aedat", ".aedat3": "aedat", ".aedat4": "aedat",
    ".csv": "csv",
}  # fmt: skip
"""By suffix; HDF5 files are told apart by what they hold."""


class Wanted(NamedTuple):
    """What the spikes are wanted for.

    Attributes
    ----------
    part : Input
    dt_s : float
        Length of a tick.
    population : str, optional
        Whose spikes, where a file has those of several.
    sensor : tuple of int, optional
        How the channels of a flat input see a camera: polarities, rows, columns.
    """

    part: Input
    dt_s: float
    population: str | None = None
    sensor: tuple[int, ...] | None = None


def kind_of(path: Path) -> str | None:
    """Tell what kind of spikes a file holds: None where it is another file."""
    if path.suffix.lower() in (".h5", ".hdf5") and path.is_file():
        return holds_spikes(path)
    return KINDS.get(path.suffix.lower())


def read_counts(
    path: Path, wanted: Wanted, *, ticks: int | None = None, n_samples: int | None = None
) -> Array:
    """Read spikes and count them in ticks; whole numbers [samples, ticks, n_channels].

    Raises
    ------
    FileNotFoundError
    StimulusError
        If the file is broken, or does not suit the input.
    MissingExtraError
        If it needs what is not installed.
    TraceFormatError
        If it is a trace that is damaged.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file")
    if path.is_dir():
        raise StimulusError(f"{path}: this is a folder, not a file")
    recording = _read(path, wanted, n_samples)
    return binned(
        recording, n_channels=wanted.part.size, dt_s=wanted.dt_s, ticks=ticks, n_samples=n_samples
    )


def _read(path: Path, wanted: Wanted, n_samples: int | None) -> Recording:
    kind, part, population = kind_of(path), wanted.part, wanted.population
    if kind in ("bs2", "aedat") and population is not None:
        raise StimulusError(f"{path}: --population means nothing for a camera's recording")
    if kind in ("trace", "sonata") and wanted.sensor is not None:
        raise StimulusError(f"{path}: --sensor is for cameras' recordings")

    def sensor() -> Sensor:
        return sensor_of(str(path), part.shape, wanted.sensor)

    if kind == "bs2":
        return bs2_recording(path, sensor())
    if kind == "aedat":
        return aedat_recording(path, sensor())
    if kind == "csv":
        return csv_recording(path, wanted.dt_s, sensor, population)
    if kind == "trace":
        return trace_recording(path, part, population, n_samples)
    return sonata_recording(path, part, population, wanted.dt_s)
