"""What is known of each kind of network in `real_networks.py`, and how it is judged."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from emulator.chip import Chip
from emulator.engine import Block, Engine
from mapping.drive import Drive
from mapping.event_files import binned, read_bs2
from mapping.network import Network
from mapping.netx_import import import_netx
from mapping.nir_file import read_graph
from mapping.nir_import import import_nir
from mapping.ranc_file import read_expected, read_packets, read_ranc, run_images
from mapping.reference import prepare, simulate
from spikefab.data import Samples
from spikefab.deployment import Deployment, deploy, deploy_fixed
from spikefab.host import stimulus
from spikefab.run import run_network

RANC_GRID, RANC_OUTPUT = [4, 3], [0, 2]
"""Of RANC's own test network, where the case does not say."""
RECORDING_US = 300_000
"""Length of a recording of N-MNIST: three movements of the camera, 100 ms each."""


class BadCaseError(ValueError):
    """A folder or its case.toml cannot be used."""


@dataclass
class Outcome:
    """What one network gave; ``checks`` are judged, ``figures`` are only shown."""

    name: str
    kind: str
    checks: list[dict[str, Any]] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)

    def check(self, what: str, expected: Any, got: Any, holds: bool) -> None:
        """Judge one figure."""
        self.checks.append({"what": what, "expected": expected, "got": got, "holds": bool(holds)})

    @property
    def holds(self) -> bool:
        """Whether all that is judged holds."""
        return all(check["holds"] for check in self.checks)


def find_one(folder: Path, case: dict[str, Any], key: str, *patterns: str) -> Path:
    """Return the file or first match that the case names, else that of the first fitting pattern."""
    if key in case:
        path = folder / case[key]
        if path.exists():
            return path
        found = (
            [] if Path(case[key]).is_absolute() or not case[key] else sorted(folder.glob(case[key]))
        )
        if not found:
            raise BadCaseError(f"{folder.name}: {key} {case[key]!r} is not there")
        return found[0]
    for pattern in patterns:
        found = sorted(folder.glob(pattern))
        if found:
            return found[0]
    raise BadCaseError(
        f"{folder.name}: no file {' or '.join(patterns)}; name it as {key} in case.toml"
    )


def read_array(path: Path) -> Any:
    """Read a table (.csv) or an array (.npy) of numbers."""
    try:
        if path.suffix == ".csv":
            return np.loadtxt(path, delimiter=",", ndmin=2)
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise BadCaseError(f"{path}: cannot be read ({error})") from None
    if getattr(array, "ndim", 0) != 2 or array.dtype.kind not in "biuf":
        raise BadCaseError(f"{path}: a raster [ticks, neurons] of numbers is needed")
    return array


def read_counts(path: Path) -> Any:
    """Read a raster of spikes, int64 [ticks, channels]."""
    array = read_array(path)
    if np.any(array != np.rint(array)) or np.any(array < 0):  # what is not a number is neither
        raise BadCaseError(f"{path}: spikes are whole numbers from 0 on, but others are in it")
    return array.astype(np.int64)


def network_of(path: Path, case: dict[str, Any], dt: float) -> Network:
    """Import with the conventions of the case, else of the file, else of the kind of network."""
    stored = read_graph(path).metadata
    # The Braille readers come in two variants, named by the reset they were trained with; the
    # framework that recorded the raster subtracts once.
    usual = {"dt": dt, "reset": "subtract-once" if "subtract" in path.parent.name else "zero"}
    given = {key: case.get(key, None if key in stored else usual[key]) for key in usual}
    return import_nir(path, dt_s=given["dt"], reset=given["reset"], compare=case.get("compare"))


def lif_csv(folder: Path, case: dict[str, Any], chip: Chip, outcome: Outcome) -> None:
    """One neuron: spike steps and membrane against a table of input spike, v, output spike."""
    network = network_of(find_one(folder, case, "model", "lif_norse.nir", "*.nir"), case, 1e-4)
    table_path = find_one(folder, case, "expected", "lif_norse.csv", "*.csv")
    table = read_array(table_path)
    source = read_array(folder / case["input"]) if "input" in case else table
    if table.shape[1] < 3:
        raise BadCaseError(
            f"{table_path}: {table.shape[1]} columns, but input, v, spike are needed"
        )
    counts = (source[:, :1] != 0).astype(np.int64)
    drive = Drive(n_ticks=len(counts), spikes={network.inputs[0].name: counts})
    output = network.outputs[0]
    run = simulate(prepare(network, timing="instant"), drive, record=(output,))
    steps = np.flatnonzero(table[:, 2]).tolist()
    lag = case.get("lag", 0)
    late = run.spikes[output][0] + lag
    got = late[late < len(table)].tolist()
    outcome.check("spike steps in float", steps, got, steps == got)
    membrane = run.states[output, "v"][: len(table) - lag, 0]
    difference = np.abs(membrane - table[lag:, 1][: len(membrane)])
    outcome.figures["membrane, largest difference"] = float(difference.max())
    deployment = deploy(network, chip, direct=False)
    result = run_network(
        deployment, Samples(x=counts[None], y=None, n_ticks=len(counts), spiking=True)
    )
    outcome.figures["spikes on the chip"] = int(result.counts_chip[output].sum())


def braille_raster(folder: Path, case: dict[str, Any], chip: Chip, outcome: Outcome) -> None:
    """Recurrent network: hidden raster entry by entry, and the class on the chip."""
    network = network_of(find_one(folder, case, "model", "*.nir"), case, 1e-4)
    counts = read_counts(find_one(folder, case, "input", "input*.npy"))
    expected = read_array(find_one(folder, case, "expected", "snntorch*.npy", "expected*.npy"))
    if expected.shape[0] != len(counts) == expected.shape[1]:
        expected = expected.T  # some frameworks store neurons first
    if expected.shape[0] != len(counts):
        raise BadCaseError(
            f"{folder.name}: the input lasts {len(counts)} ticks, but the expected raster is "
            f"{expected.shape}"
        )
    drive = Drive(n_ticks=len(counts), spikes={network.inputs[0].name: counts})
    run = simulate(prepare(network, timing="instant"), drive)
    fitting = [
        p
        for p in network.populations
        if p.size == expected.shape[-1]
        and (
            p.name == case["population"] if "population" in case else p.name not in network.outputs
        )
    ]
    hidden = fitting[0] if fitting else None
    if hidden is None:
        raise BadCaseError(f"{folder.name}: no hidden population of {expected.shape[-1]} neurons")
    raster = np.zeros(expected.shape, expected.dtype)
    ticks, neurons = run.spikes[hidden.name]
    late = ticks + case.get("lag", 0)
    raster[late[late < len(raster)], neurons[late < len(raster)]] = 1
    n_differ = int((raster != expected).sum())
    outcome.check(f"entries of {raster.size} that differ in float", 0, n_differ, n_differ == 0)
    deployment = deploy(network, chip, direct=False)
    result = run_network(
        deployment, Samples(x=counts[None], y=None, n_ticks=len(counts), spiking=True)
    )
    output = network.population(network.outputs[0])
    if output.spiking:
        readout = np.bincount(run.spikes[output.name][1], minlength=output.size)
    else:
        readout = run.states[output.name, "v"].mean(axis=0)
    in_float = int(readout.argmax())
    on_chip = int(result.readout_chip[0].argmax())
    outcome.check("class on the chip", in_float, on_chip, in_float == on_chip)
    outcome.figures["hidden spikes, float and chip"] = [
        int(raster.sum()), int(result.counts_chip[hidden.name].sum()),
    ]  # fmt: skip


def nmnist(folder: Path, case: dict[str, Any], chip: Chip, outcome: Outcome) -> None:
    """Convolutional network on event recordings, one .bs2 file each."""
    network = network_of(find_one(folder, case, "model", "*.nir"), case, 1e-3)
    labels = read_labels(find_one(folder, case, "labels", "labels*.txt"))
    samples = folder / case.get("input", "samples")
    if not labels:
        raise BadCaseError(f"{folder.name}: no labels, so nothing can be judged")
    tick_us = round(network.dt_s * 1e6)
    if tick_us < 1 or not np.isclose(tick_us, network.dt_s * 1e6):
        raise BadCaseError(f"{folder.name}: dt {network.dt_s:g} s is no whole number of µs")
    n_ticks = -(-RECORDING_US // tick_us)
    counts = np.stack([
        binned(*read_bs2(samples / f"{key}.bs2"), n_ticks=n_ticks, tick_us=tick_us)
        for key in labels
    ])  # fmt: skip
    y = np.array(list(labels.values()))
    x = counts.reshape(len(y), n_ticks, -1)
    deployment = deploy(network, chip, direct=False)
    result = run_network(deployment, Samples(x=x, y=y, n_ticks=n_ticks, spiking=True))
    right = int((result.readout_instant.argmax(1) == y).sum())
    on_chip = int((result.readout_chip.argmax(1) == y).sum())
    outcome.check("samples right in float", len(y), right, right == len(y))
    need = int(np.ceil(0.96 * len(y)))
    outcome.check(f"samples right on the chip, at least {need}", need, on_chip, on_chip >= need)
    outcome.figures["cores"] = deployment.program.n_cores
    outcome.figures["spikes a sample, float"] = sum(
        int(c.sum()) for c in result.counts_float.values()
    ) / len(y)
    outcome.figures["membrane saturations"] = int(result.counters["membrane_overflows"].sum())
    outcome.figures["current overflows"] = int(result.counters["current_overflows"].sum())


def read_labels(path: Path) -> dict[str, int]:
    """Read lines of sample name and class; lines that begin with # are comments."""
    labels: dict[str, int] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise BadCaseError(f"{path}: is no text") from None
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            name, label = line.split()
            value = int(label)
        except ValueError:
            raise BadCaseError(
                f"{path}: line {number}: each line must hold a sample's name and its class, but "
                f"this is {line!r}"
            ) from None
        if name in labels:
            raise BadCaseError(f"{path}: line {number}: sample {name} has a class already")
        labels[name] = value
    return labels


def net_of(folder: Path, case: dict[str, Any], chip: Chip) -> Deployment:
    """Load a network of lava-dl with the conventions of the case."""
    shape = case.get("input_shape")
    fixed = import_netx(
        find_one(folder, case, "model", "*.net"), chip, dt_s=case.get("dt", 1e-3),
        compare=case.get("compare"), input_shape=None if shape is None else tuple(shape),
    )  # fmt: skip
    return deploy_fixed(fixed, chip)


def net_mnist(folder: Path, case: dict[str, Any], chip: Chip, outcome: Outcome) -> None:
    """Network of lava-dl on still images, as its tutorial turns them into spikes."""
    deployment = net_of(folder, case, chip)
    path = find_one(
        folder, case, "input", "*.npz", "../ann_mnist_cnn/mnist*.npz", "../*/mnist*.npz"
    )
    images, y = read_images(path, deployment.network.inputs[0].size)
    counts = tutorial_spikes(images, case.get("ticks", 20))
    samples = Samples(x=counts, y=y, n_ticks=counts.shape[1], spiking=True)
    result = run_network(deployment, samples)
    on_chip = int((result.readout_chip.argmax(1) == y).sum())
    need = int(np.ceil(case.get("accuracy", 0.96) * len(y)))
    outcome.check(
        f"of {len(y)} samples right on the chip, at least", need, on_chip, on_chip >= need
    )
    outcome.figures["accuracy on the chip"] = on_chip / len(y)
    outcome.figures["accuracy in float"] = float((result.readout_instant.argmax(1) == y).mean())
    outcome.figures["ticks of input, of a sample"] = [samples.n_ticks, result.ticks_per_sample]
    outcome.figures["cores"] = deployment.program.n_cores


def read_images(path: Path, n_pixels: int) -> tuple[Any, Any]:
    """Read pixels from 0 to 1 [samples, pixels] and classes."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name.lower(): file[name] for name in file.files}
        x, y = arrays["x"], np.asarray(arrays["y"]).astype(np.int64)
        x = np.asarray(x).reshape(len(y), n_pixels).astype(np.float64)
    except Exception as error:  # zipfile and zlib raise their own kinds on damaged archives
        raise BadCaseError(
            f"{path}: x with {n_pixels} pixels a sample and y are needed ({error})"
        ) from None
    return (x / 255 if x.max(initial=0) > 1 else x), y


def tutorial_spikes(images: Any, n_ticks: int) -> Any:
    """V += x; fire when v > 1; v = 0. int64 [samples, ticks, pixels]."""
    v = np.zeros_like(images)
    counts = np.zeros((len(images), n_ticks, images.shape[1]), np.int64)
    for tick in range(n_ticks):
        v += images
        counts[:, tick] = v > 1
        v[v > 1] = 0
    return counts


def net_raster(folder: Path, case: dict[str, Any], chip: Chip, outcome: Outcome) -> None:
    """Network of lava-dl on a raster: spikes of one population on the chip, entry by entry."""
    deployment = net_of(folder, case, chip)
    counts = read_array(find_one(folder, case, "input", "input*.npy")).astype(np.int64)
    expected = read_array(find_one(folder, case, "expected", "expected*.npy")) != 0
    spiking = {p.name: p for p in deployment.program.populations if p.spiking}
    name = case.get("population", next((n for n in deployment.network.outputs if n in spiking), ""))
    if name not in spiking:
        raise BadCaseError(f"{folder.name}: population {name!r} is none of {', '.join(spiking)}")
    part = spiking[name]
    if expected.shape[1] != part.size == expected.shape[0]:
        expected = expected.T  # neurons first
    width = deployment.network.inputs[0].size
    if expected.shape[1] != part.size or counts.shape[1] != width:
        raise BadCaseError(
            f"{folder.name}: the input is {counts.shape} and the expected raster {expected.shape}, "
            f"but [ticks, {width}] and [ticks, {part.size}] are needed"
        )
    # Step 0 of the expected raster is the tick of the first input, plus the lag of the case.
    late = part.lag - case.get("lag", 0)
    n_ticks = max(len(counts), len(expected) + max(late, 0))
    drive = Drive(n_ticks=len(counts), spikes={deployment.network.inputs[0].name: counts})
    engine = Engine(deployment.program, chip)
    raster = np.zeros((n_ticks, deployment.program.n_neurons), np.bool_)

    def observe(block: Block) -> None:
        raster[block.spike_tick, block.spike_neuron] = True

    engine.run([stimulus(drive, deployment, n_ticks)], n_ticks, observe)
    own = raster[:, deployment.program.neurons_of(name)]
    got = np.zeros_like(expected)
    for step in range(len(expected)):
        if 0 <= step + late < n_ticks:
            got[step] = own[step + late]
    wrong = np.argwhere(got != expected)
    outcome.check(f"entries of {got.size} that differ on the chip", 0, len(wrong), not len(wrong))
    if len(wrong):
        outcome.figures["first difference, step and neuron"] = wrong[0].tolist()
    outcome.figures["spikes, expected and on the chip"] = [int(expected.sum()), int(got.sum())]


def ranc(folder: Path, case: dict[str, Any], _: Chip, outcome: Outcome) -> None:
    """Memory images of RANC on the preset of this name: the packets of each image, all of them."""
    grid, output_core = (
        pair_of(folder, case, key, usual)
        for key, usual in (("grid", RANC_GRID), ("output_core", RANC_OUTPUT))
    )
    pattern = case.get("model", "csram_*.mem")
    network = read_ranc(folder, grid=grid, output_core=output_core, pattern=pattern)
    source = find_one(folder, case, "input", "tb_input.txt")
    target = find_one(folder, case, "expected", "tb_correct.txt")
    packets = read_packets(source, source.with_name("tb_num_inputs.txt"), network)
    expected = read_expected(target, target.with_name("tb_num_outputs.txt"))
    got, counters = run_images(network, packets, n_images=len(expected), lag=case.get("lag", 1))
    wrong = [j for j, (want, have) in enumerate(zip(expected, got, strict=True)) if want != have]
    right = len(expected) - len(wrong)
    outcome.check("images with exactly the expected packets", len(expected), right, not wrong)
    n_expected, n_got = (sum(map(len, images)) for images in (expected, got))
    outcome.check("output packets", n_expected, n_got, n_expected == n_got)
    for j in wrong[:1]:
        want, have = Counter(expected[j]), Counter(got[j])
        outcome.figures[f"image {j}, missing and surplus packets"] = [
            sorted((want - have).elements()), sorted((have - want).elements()),
        ]  # fmt: skip
    outcome.figures["images in"] = packets.n_images
    outcome.figures["cores"] = len(network.cores)
    for name in ("spikes", "synaptic_events", "hops_ew", "hops_ns", "merged_packets",
                 "membrane_overflows"):  # fmt: skip
        outcome.figures[name.replace("_", " ")] = int(counters[name].sum())


def pair_of(folder: Path, case: dict[str, Any], key: str, usual: list[int]) -> tuple[int, int]:
    """Two numbers of a case, x and y: a list, or a text such as 4x3."""
    pair = case.get(key, usual)
    if isinstance(pair, str):
        pair = [int(number) for number in re.findall(r"\d+", pair)]
    if len(pair) != 2 or any(type(number) is not int for number in pair):
        raise BadCaseError(f"{folder.name}: {key} must be two numbers [x, y], but is {pair}")
    return pair[0], pair[1]


RUNS: dict[str, Callable[[Path, dict[str, Any], Chip, Outcome], None]] = {
    "lif-csv": lif_csv,
    "braille-raster": braille_raster,
    "nmnist": nmnist,
    "net-mnist": net_mnist,
    "net-raster": net_raster,
    "ranc": ranc,
}
