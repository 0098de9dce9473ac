"""RANC's memory images and packet files (J. Mack et al., arXiv 2011.00624).

A network lies in one folder: for core ``k`` of the grid (``k = x + grid_x * y``) the files
``csram_k.mem``, one neuron a line, and ``tc_k.mem``, one axon's type a line; what goes in
(``tb_input.txt``) and must come out (``tb_correct.txt``), with the packets of each image counted in
``tb_num_inputs.txt`` and ``tb_num_outputs.txt``. All numbers but the counts are binary. The fields of
a line and their widths are those of RANC's Core.v; the widths come from the chip.

Packets of image ``j`` come in before tick ``j`` and act in it, or later by their delay.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emulator.chip import Chip
from emulator.chip_file import load_chip
from emulator.engine import Engine
from emulator.stimulus import Stimulus
from mapping.crossbar import CrossbarCore, LoadedCrossbars, load_crossbars
from mapping.errors import RancError

Array = NDArray[Any]

OFFSET_BITS = 9
"""Width of dx and dy in a packet: grids of up to 512 × 512."""
LARGEST_GRID = 2**OFFSET_BITS


@dataclass(frozen=True, kw_only=True, eq=False)
class RancNetwork:
    """A grid of cores from memory images.

    Attributes
    ----------
    chip : Chip
        The preset with this grid and these sizes.
    output_core : int
        Place in the grid where packets leave.
    """

    chip: Chip
    cores: dict[int, CrossbarCore]
    output_core: int

    @property
    def grid(self) -> tuple[int, int]:
        """Columns and rows of cores."""
        return self.chip.mesh.width, self.chip.mesh.height

    @property
    def n_axons(self) -> int:
        """Axons of every core."""
        return next(iter(self.cores.values())).n_axons

    def load(self) -> LoadedCrossbars:
        """Turn it into a program; errors as of `load_crossbars`."""
        return load_crossbars(self.cores, self.chip, outputs=(self.output_core,))


def read_ranc(
    folder: str | Path,
    *,
    grid: tuple[int, int],
    output_core: tuple[int, int],
    pattern: str = "csram_*.mem",
    chip: Chip | None = None,
) -> RancNetwork:
    """Read the memory images of a network.

    Parameters
    ----------
    grid : (columns, rows)
    output_core : (x, y)
        Where packets leave; this core has no neurons, so a file of its number is not looked at.
    pattern : str
        The cores' files; a ``tc_`` file of the same number lies beside each.
    chip : Chip, optional
        Says how wide the numbers are; the preset ``ranc`` if not given. Its grid and sizes are
        replaced by those of the files.

    Raises
    ------
    RancError
        If a file is missing, truncated, of another size, not binary, or names a place that is not
        in the grid.
    """
    folder, chip = Path(folder), chip or load_chip("ranc")
    columns, rows = _checked_grid(grid, output_core)
    output = output_core[0] + columns * output_core[1]
    files = _numbered(folder, pattern, columns * rows, output)
    cores: dict[int, CrossbarCore] = {}
    sizes: dict[tuple[int, int], Path] = {}
    for place, path in sorted(files.items()):
        cores[place] = _read_core(path, place, (columns, rows), output, chip)
        sizes.setdefault((cores[place].n_axons, cores[place].n_neurons), path)
    if len(sizes) > 1:
        told = ", ".join(f"{path.name} has {a} × {n}" for (a, n), path in sizes.items())
        raise RancError(f"{folder}: all cores must have as many axons × neurons, but {told}")
    for n_axons, n_neurons in sizes:
        chip = _resized(chip, columns, rows, n_axons, n_neurons)
    return RancNetwork(chip=chip, cores=cores, output_core=output)


def _checked_grid(grid: tuple[int, int], output_core: tuple[int, int]) -> tuple[int, int]:
    columns, rows = grid
    if not (1 <= columns <= LARGEST_GRID and 1 <= rows <= LARGEST_GRID and columns * rows > 1):
        raise RancError(
            f"a grid of {columns} × {rows} cores; it needs 2 cores at least and {LARGEST_GRID} × "
            f"{LARGEST_GRID} at most"
        )
    if not (0 <= output_core[0] < columns and 0 <= output_core[1] < rows):
        raise RancError(f"the output core {output_core} lies outside the grid {columns} × {rows}")
    return columns, rows


def _numbered(folder: Path, pattern: str, n_cores: int, output: int) -> dict[int, Path]:
    """Files of a pattern by the number in their names, one for each core."""
    files: dict[int, Path] = {}
    if not pattern or Path(pattern).is_absolute():
        raise RancError(f"{folder}: {pattern!r} must be a pattern of files in this folder")
    for path in sorted(folder.glob(pattern)):
        place = int(_digits(path))
        if place in files:
            raise RancError(f"{path}: core {place} has another file, {files[place].name}")
        files[place] = path
    beyond = [path.name for place, path in sorted(files.items()) if place >= n_cores]
    if beyond:
        raise RancError(f"{folder}: {beyond[0]} is outside the grid of {n_cores} cores")
    missing = sorted(set(range(n_cores)) - files.keys() - {output})
    if missing:
        raise RancError(
            f"{folder}: no file {pattern} of core {missing[0]} ({len(missing)} of the grid's "
            f"{n_cores} cores are missing)"
        )
    files.pop(output, None)
    return files


def _digits(path: Path) -> str:
    number = re.search(r"[0-9]{1,9}$", path.stem)
    if number is None:
        raise RancError(f"{path}: the name does not end with the number of a core")
    return number[0]


def _resized(chip: Chip, columns: int, rows: int, n_axons: int, n_neurons: int) -> Chip:
    def sized(name: str, size: int) -> Any:
        limit = getattr(chip.limits, name)
        if size == limit.value:
            return limit
        return type(limit)(value=size)

    limits = chip.limits.model_copy(
        update={
            "in_axons_per_core": sized("in_axons_per_core", n_axons),
            "neurons_per_core": sized("neurons_per_core", n_neurons),
        },
    )
    mesh = chip.mesh.model_copy(update={
            "width": columns, "height": rows, "cores_per_router": 1, "tile_order": "row-major",
        }
    )  # fmt: skip
    return chip.model_copy(update={"mesh": mesh, "limits": limits})


def _read_core(
    path: Path, place: int, grid: tuple[int, int], output: int, chip: Chip
) -> CrossbarCore:
    types = path.with_name(f"tc_{_digits(path)}{path.suffix}")
    n_types = chip.limit("axon_types")
    axon_type = _number(_bits(types, _bits_for(n_types), "an axon's type"))
    n_axons = axon_type.size
    if axon_type.max() >= n_types:
        raise RancError(f"{types}: type {axon_type.max()}, but there are {n_types}")
    fields = _fields(n_axons, n_types, chip)
    words = _bits(path, sum(fields.values()), f"a neuron with {n_axons} axons (see {types.name})")
    starts = dict(zip(fields, np.cumsum([0, *fields.values()]).tolist(), strict=False))

    def taken(name: str, *, signed: bool = True) -> Array:
        bits = words[:, starts[name] : starts[name] + fields[name]]
        return _signed(bits) if signed else _number(bits)

    width = chip.numbers.weight_bits
    weights = words[:, starts["weight"] : starts["leak"]].reshape(len(words), n_types, width)
    x = place % grid[0] + taken("dx")
    y = place // grid[0] + taken("dy")
    to_core, to_axon = x + grid[0] * y, taken("axon", signed=False)
    outside = (x < 0) | (x >= grid[0]) | (y < 0) | (y >= grid[1])
    for neuron in np.flatnonzero(outside)[:1]:
        raise RancError(
            f"{path}: neuron {neuron} sends to core ({x[neuron]}, {y[neuron]}), outside the grid "
            f"{grid[0]} × {grid[1]}"
        )
    for neuron in np.flatnonzero((to_axon >= n_axons) & (to_core != output))[:1]:
        raise RancError(
            f"{path}: neuron {neuron} sends to axon {to_axon[neuron]}, but there are {n_axons}"
        )
    return CrossbarCore(
        connected=words[:, :n_axons][:, ::-1].T,  # the last bit is axon 0
        axon_type=axon_type,
        weight=_signed(weights),
        leak=taken("leak"),
        threshold=taken("threshold"),
        lower=taken("lower"),
        reset_to=taken("reset_to"),
        reset=taken("reset", signed=False),
        initial=taken("initial"),
        to_core=to_core,
        to_axon=to_axon,
        delay=taken("delay", signed=False) + 1,
    )


def _bits_for(n: int) -> int:
    return (n - 1).bit_length()


def _fields(n_axons: int, n_types: int, chip: Chip) -> dict[str, int]:
    """Fields of a neuron's line and their bits, in order (Core.v)."""
    numbers = chip.numbers
    return {
        "connected": n_axons,
        "initial": numbers.membrane_bits,
        "reset_to": numbers.membrane_bits,
        "weight": n_types * numbers.weight_bits,
        "leak": numbers.bias_bits + 1,
        "threshold": numbers.threshold_bits + 1,
        "lower": numbers.threshold_bits + 1,
        "reset": 1,
        "dx": OFFSET_BITS,
        "dy": OFFSET_BITS,
        "axon": _bits_for(n_axons),
        "delay": _bits_for(chip.limits.delay_max.value),
    }


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError as error:
        raise RancError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise RancError(f"{path}: not a text of zeros and ones") from None


def _bits(path: Path, width: int | None, what: str, *, may_be_empty: bool = False) -> Array:
    """Lines of zeros and ones, uint8 [n_lines, width]; Verilog's comments are left out."""
    text = re.sub(r"/\*.*?\*/", lambda found: "\n" * found[0].count("\n"), _text(path), flags=re.S)
    lines = []
    for number, line in enumerate(text.splitlines(), start=1):
        word = line.split("//")[0].strip()
        if not word:
            continue
        wrong = re.search(r"[^01]", word)
        if wrong:
            raise RancError(
                f"{path}: line {number}: {wrong[0]!r} at column {wrong.start() + 1}; only 0 and 1 "
                "are known"
            )
        width = len(word) if width is None else width
        if len(word) != width:
            raise RancError(
                f"{path}: line {number} has {len(word)} bits, but {what} takes {width}; it is "
                "truncated or of another size"
            )
        lines.append(word)
    if not lines and not may_be_empty:
        raise RancError(f"{path}: empty")
    bits = np.frombuffer("".join(lines).encode(), np.uint8) - ord("0")
    return bits.reshape(len(lines), width or 0)


def _number(bits: Array) -> Array:
    """Unsigned numbers of the last axis, first bit highest."""
    return np.asarray(bits.astype(np.int64) @ (1 << np.arange(bits.shape[-1])[::-1]))


def _signed(bits: Array) -> Array:
    """Two's complement."""
    return np.asarray(_number(bits) - (bits[..., 0].astype(np.int64) << bits.shape[-1]))


@dataclass(frozen=True, kw_only=True, eq=False)
class Packets:
    """Packets that come in, int64 [n_packets].

    Attributes
    ----------
    image, core, axon, delay
        ``delay`` counts ticks after the image's own.
    n_images : int
    """

    image: Array
    core: Array
    axon: Array
    delay: Array
    n_images: int

    def stimulus(self, loaded: LoadedCrossbars) -> Stimulus:
        """Return the same as spikes on input channels, one image a tick."""
        tick = self.image + self.delay
        first = np.array([loaded.first_channel[core] for core in self.core.tolist()], np.int64)
        order = np.argsort(tick, kind="stable")
        return Stimulus(
            spike_tick=tick[order],
            spike_channel=(first + self.axon)[order],
            spike_payload=np.ones(tick.size, np.int64),
        )


def read_packets(path: str | Path, counts: str | Path, network: RancNetwork) -> Packets:
    """Read what goes into a network, image by image.

    Raises
    ------
    RancError
        As `read_ranc`; also if the counts of the images do not add up to the packets.
    """
    path = Path(path)
    delay_bits = _bits_for(network.chip.limits.delay_max.value)
    axon_bits = _bits_for(network.n_axons)
    width = 2 * OFFSET_BITS + axon_bits + delay_bits
    bits = _bits(path, width, f"a packet of {network.n_axons} axons")
    n_images, image = _images(Path(counts), path, len(bits))
    x, y = _signed(bits[:, :OFFSET_BITS]), _signed(bits[:, OFFSET_BITS : 2 * OFFSET_BITS])
    columns, rows = network.grid
    core = x + columns * y
    axon = _number(bits[:, 2 * OFFSET_BITS : 2 * OFFSET_BITS + axon_bits])
    outside = (x < 0) | (x >= columns) | (y < 0) | (y >= rows)
    for k in np.flatnonzero(outside)[:1]:
        raise RancError(
            f"{path}: packet {k} goes to core ({x[k]}, {y[k]}), outside the grid {columns} × {rows}"
        )
    for k in np.flatnonzero((core == network.output_core) | (axon >= network.n_axons))[:1]:
        raise RancError(
            f"{path}: packet {k} goes to axon {axon[k]} of core ({x[k]}, {y[k]}), which is the "
            f"output or has only {network.n_axons}"
        )
    return Packets(
        image=image, core=core, axon=axon, delay=_number(bits[:, width - delay_bits :]),
        n_images=n_images,
    )  # fmt: skip


def read_expected(path: str | Path, counts: str | Path) -> list[list[int]]:
    """Read the axons that each image's packets must name at the output core, in ascending order.

    Raises
    ------
    RancError
    """
    path = Path(path)
    axon = _number(_bits(path, None, "a packet of the first line's width", may_be_empty=True))
    n_images, image = _images(Path(counts), path, axon.size)
    return [sorted(axon[image == j].tolist()) for j in range(n_images)]


def _images(path: Path, of: Path, n_packets: int) -> tuple[int, Array]:
    """Read how many packets each image has; return the number of images and each packet's."""
    counts = []
    for number, line in enumerate(_text(path).splitlines(), start=1):
        if line.strip():
            if not re.fullmatch(r"[0-9]{1,9}", line.strip()):
                raise RancError(f"{path}: line {number} is {line.strip()[:20]!r}, not a count")
            counts.append(int(line))
    if not counts:
        raise RancError(f"{path}: empty, but it counts the packets of each image in {of.name}")
    if sum(counts) != n_packets:
        raise RancError(f"{of}: {n_packets} packets, but {path.name} counts {sum(counts)}")
    return len(counts), np.repeat(np.arange(len(counts)), counts)


def run_images(
    network: RancNetwork, packets: Packets, *, n_images: int, lag: int
) -> tuple[list[list[int]], dict[str, Array]]:
    """Run images one after another, a tick each, through the engine.

    Parameters
    ----------
    n_images : int
        Images whose output is wanted.
    lag : int
        Image ``j`` appears at the output in tick ``j + lag``.

    Returns
    -------
    (output, counters)
        The axons that the packets of each image name, in ascending order, and the engine's
        counters.
    """
    loaded = network.load()
    engine = Engine(loaded.program, network.chip)
    output: list[list[int]] = [[] for _ in range(n_images)]

    def observe(block: Any) -> None:
        axon = loaded.output_axon[block.spike_neuron]
        image = block.spike_tick - lag
        wanted = (axon >= 0) & (image >= 0) & (image < n_images)
        for j, packet in zip(image[wanted].tolist(), axon[wanted].tolist(), strict=True):
            output[j].append(packet)

    engine.run([packets.stimulus(loaded)], n_images + lag, observe)
    return [sorted(image) for image in output], engine.counters
