"""Events of cameras on the channels of an input."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from mapping.errors import StimulusError
from mapping.event_files import CameraEvents, read_bs2
from mapping.stimuli.recording import Recording, in_order

Shape = tuple[int, ...]


class Sensor(NamedTuple):
    """How an input sees a camera: (polarities, height, width)."""

    polarities: int
    height: int
    width: int

    @property
    def told(self) -> str:
        """The same in words."""
        return f"{self.polarities} × {self.height} × {self.width} (polarities × rows × columns)"


def sensor_of(where: str, shape: Shape, given: Shape | None) -> Sensor:
    """Tell how the channels of an input lie.

    Parameters
    ----------
    shape : tuple of int
        Of the input: polarities, rows, columns; or rows and columns, which merges polarities.
    given : tuple of int, optional
        The same for an input that is flat.

    Raises
    ------
    StimulusError
        If neither says it, or they contradict each other.
    """
    told = shape if given is None else given
    if given is not None and np.prod(given) != np.prod(shape):
        raise StimulusError(
            f"{where}: a sensor of {given} has {np.prod(given):,} channels, but the input of "
            f"shape {shape} has {np.prod(shape):,}"
        )
    if len(told) == 2:
        told = (1, *told)
    if len(told) != 3 or told[0] not in (1, 2):
        raise StimulusError(
            f"{where}: events of a camera go into an input of (polarities, rows, columns) with 1 "
            f"or 2 polarities, but this one has shape {shape}; say how its channels lie with "
            "--sensor, such as 2,34,34"
        )
    return Sensor(*told)


def on_channels(
    where: str, events: CameraEvents, sensor: Sensor, size: tuple[int, int] | None, hint: str
) -> Recording:
    """Put events onto channels: (polarity, y, x) in row-major order; polarity 1 is brighter.

    Parameters
    ----------
    size : (width, height), optional
        Of the camera, where the file says it.
    hint : str
        What to do if times run backwards.

    Raises
    ------
    StimulusError
        If the camera or an event does not fit, or times run backwards.
    """
    if size is not None and size != (sensor.width, sensor.height):
        raise StimulusError(
            f"{where}: recorded by a camera of {size[0]} × {size[1]} pixels, but the input takes "
            f"{sensor.width} × {sensor.height}; crop or pool the events first"
        )
    for name, values, limit in (
        ("x", events.x, sensor.width), ("y", events.y, sensor.height),
        ("polarity", events.polarity, 2),
    ):  # fmt: skip
        outside = np.flatnonzero((values < 0) | (values >= limit))
        if outside.size:
            raise StimulusError(
                f"{where}: event {outside[0]} has {name} {values[outside[0]]}, outside 0 to "
                f"{limit - 1}, so it does not fit an input of {sensor.told}; {outside.size:,} "
                f"events are outside"
            )
    in_order(where, events.t_us, hint)
    polarity = events.polarity if sensor.polarities == 2 else 0
    channel = (polarity * sensor.height + events.y) * sensor.width + events.x
    return Recording(where=where, at=events.t_us, unit_s=1e-6, channel=channel)


def bs2_recording(path: Path, sensor: Sensor) -> Recording:
    """Read a ``.bs2`` file; times count from its start.

    Raises
    ------
    StimulusError
    """
    try:
        events = read_bs2(path)
    except ValueError as error:
        raise StimulusError(str(error)) from error
    hint = "its 23 bits of microseconds hold 8.39 s, so a longer recording must be split"
    return on_channels(str(path), events, sensor, None, hint)
