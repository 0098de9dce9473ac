"""Say in some lines what a file holds."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from spikefab.data import DataError


def describe(path: Path) -> Iterator[str]:
    """Describe a trace, a program, a NIR or lava-dl file, a saved network, or a chip file.

    Raises
    ------
    FileNotFoundError, DataError, TraceFormatError, ProgramError, NetxError, NirError, ChipError
    """
    if path.is_dir():
        raise DataError(f"{path}: this is a folder; name a file in it")
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file")
    if path.suffix == ".toml":
        yield from _chip(path)
    elif path.suffix == ".nir":
        yield from _nir(path)
    elif path.suffix == ".net":
        yield from _netx(path)
    elif path.suffix == ".npz":
        yield from _arrays(path)
    else:
        yield from _hdf5(path)


def _hdf5(path: Path) -> Iterator[str]:
    from emulator.program_file import is_program

    yield from (_program if is_program(path) else _trace)(path)


def _program(path: Path) -> Iterator[str]:
    from emulator.program_file import load_program, notes_of

    program = load_program(path)
    yield (
        f"{path}: program for {program.chip}, {program.n_neurons:,} neurons on {program.n_cores} "
        f"cores, tick {program.dt_s:g} s"
    )
    for part in program.populations:
        yield f"  {part.name} {part.shape}{' (output)' if part.output else ''}"
    for key, value in sorted(notes_of(path).items()):
        yield f"  {key}: {value}"


def _chip(path: Path) -> Iterator[str]:
    from emulator.chip_file import load_chip

    chip = load_chip(path)
    yield f"{path}: chip {chip.name!r}, {chip.n_cores} cores; {chip.summary}"


def _nir(path: Path) -> Iterator[str]:
    from mapping.nir_file import read_graph

    graph = read_graph(path)
    yield f"{path}: NIR graph of {len(graph.nodes)} nodes, {len(graph.edges)} edges"
    for key, value in graph.metadata.items():
        yield f"  metadata {key}: {value}"
    for node in graph.nodes.values():
        values = ", ".join(_value(*item) for item in node.values.items())
        yield f"  {node.name}: {node.kind} {values}".rstrip()


def _value(name: str, value: Any) -> str:
    """Show a few whole numbers, such as a shape, as they are, and of arrays the shape."""
    array = np.asarray(value)
    if array.dtype.kind in "iu" and array.ndim == 1 and array.size <= 4:
        return f"{name} {'×'.join(str(n) for n in array.tolist())}"
    if array.ndim == 0:
        return f"{name} {value.decode(errors='replace') if isinstance(value, bytes) else value}"
    return f"{name} {array.dtype} {array.shape}"


def _netx(path: Path) -> Iterator[str]:
    from mapping.netx_file import read_layers

    layers = read_layers(path)
    yield f"{path}: network of lava-dl, {len(layers)} layers"
    for layer in layers:
        fields = ", ".join(_field(name, value) for name, value in layer.values.items())
        yield f"  layer {layer.number}: {layer.kind} ({fields})"


def _field(name: str, value: object) -> str:
    """One number or word is shown, of more the shape."""
    array = np.asarray(value)
    if array.size != 1:
        return f"{name} {array.shape}"
    one = array.ravel()[0]
    return f"{name} {one.decode(errors='replace') if isinstance(one, bytes) else one}"


def _arrays(path: Path) -> Iterator[str]:
    try:
        with np.load(path, allow_pickle=False) as file:
            shapes = {name: (file[name].dtype, file[name].shape) for name in file.files}
    except Exception as error:  # zipfile and zlib raise their own kinds on damaged archives
        raise DataError(f"{path}: damaged, or no .npz ({error})") from error
    yield f"{path}: {len(shapes)} arrays"
    for name, (dtype, shape) in shapes.items():
        yield f"  {name}: {dtype} {shape}"


def _trace(path: Path) -> Iterator[str]:
    from traces.trace import Trace

    with Trace.open(path) as trace:
        last = trace.whole_ticks - 1
        upto = f"after tick {last:,}" if last >= 0 else "before the first tick was recorded"
        state = "complete" if trace.complete else f"broken off {upto}"
        yield f"{path}: {trace.kind} trace, {state}"
        yield (
            f"  {trace.samples} samples × {trace.ticks} ticks ({trace.input_ticks} with input) of "
            f"{trace.dt_s:g} s"
        )
        for p in trace.populations:
            role = " (output)" if p.output else ""
            carry = ", with payload" if p.payload else ""
            yield f"  {p.name} {p.shape}{role}: {trace.n_spikes(p.name):,} spikes{carry}, lag {p.lag}"
        if trace.content_sha256:
            holds = trace.content_hash() == trace.content_sha256
            yield f"  content sha256 {trace.content_sha256}"
            yield (
                "  content hash holds"
                if holds
                else "  content hash DIFFERS: the file was changed or damaged after the run"
            )
        for key, value in sorted(trace.provenance.items()):
            yield f"  {key}: {value}"
