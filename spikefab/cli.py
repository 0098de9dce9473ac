"""The commands. Heavy imports wait until a command needs them."""

from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from spikefab.replay.options import replay
from spikefab.telling import EXITS, BadInputError, run_patiently, say, told
from spikefab.wording import as_json

app = typer.Typer(
    name="spikefab",
    help="Rehearse a neuromorphic deployment before there is hardware.",
    epilog=EXITS,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class ResetName(str, Enum):  # noqa: UP042 - Typer shows the values of a str enum
    """Reset rules."""

    zero = "zero"
    subtract = "subtract"
    subtract_once = "subtract-once"


class EncodingName(str, Enum):  # noqa: UP042
    """How data enters."""

    direct = "direct"
    spikes = "spikes"


class SpikeName(str, Enum):  # noqa: UP042
    """What a spike is worth in a NIR file."""

    hold = "hold"
    dirac = "dirac"


class QuantiserName(str, Enum):  # noqa: UP042
    """Ways from float to integers, as `mapping.quantisers` names them."""

    spikefab = "spikefab"
    nengo_loihi = "nengo-loihi"


class PartitionerName(str, Enum):  # noqa: UP042
    """Ways to cut a network into cores, as `mapping.partitioners` names them."""

    sequential = "sequential"
    packed = "packed"
    traffic = "traffic"
    metis = "metis"
    kept = "kept"


class PlacerName(str, Enum):  # noqa: UP042
    """Ways to put cores on the floor, as `mapping.layout.placers` names them."""

    linear = "linear"
    hilbert = "hilbert"
    force = "force"
    anneal = "anneal"


class FabricName(str, Enum):  # noqa: UP042
    """What carries packets, as `emulator.fabric.FABRIC_NAMES` lists it."""

    simple = "simple"
    ideal = "ideal"
    links = "links"
    queued = "queued"
    simpy = "simpy"


Fabric = Annotated[
    FabricName,
    typer.Option(
        "--fabric",
        help="How packets travel: free of contention (ideal), waiting for links and room (queued; "
        "simpy is the same, slow and readable), for links alone (links), or at once (simple).",
    ),
]
Threads = Annotated[
    int | None,
    typer.Option("--threads", help="Changes nothing but speed; by default all there are.", min=1),
]


Pins = Annotated[
    list[str] | None,
    typer.Option(
        "--pin",
        metavar="POP=CORES",
        help="Put a population on these cores in equal parts: hidden=0-3; again for more.",
    ),
]
Without = Annotated[
    list[str] | None,
    typer.Option(
        "--without", help="Parts of the chip to do without: 'core 5', 'router 3,1', 'link 7-8'."
    ),
]

Relays = Annotated[
    bool,
    typer.Option(
        "--relays",
        help="Where neurons reach more cores than a core can send to, let others repeat their "
        "spikes a tick later.",
    ),
]


class ExportName(str, Enum):  # noqa: UP042
    """Formats, as `traces.export.formats.FORMATS` lists them."""

    sonata = "sonata"
    nwb = "nwb"
    csv = "csv"
    parquet = "parquet"
    neo = "neo"
    vcd = "vcd"
    perfetto = "perfetto"


class TableName(str, Enum):  # noqa: UP042
    """Tables, as `traces.export.tables.TABLES` lists them."""

    spikes = "spikes"
    states = "states"
    ticks = "ticks"
    packets = "packets"


class ClockName(str, Enum):  # noqa: UP042
    """Whose time, as `traces.export.clock.CLOCKS` lists them."""

    model = "model"
    chip = "chip"


class MaxPoolName(str, Enum):  # noqa: UP042
    """What becomes of max pooling."""

    refuse = "refuse"
    average = "average"


ScaleFiringRates = Annotated[
    list[str] | None,
    typer.Option(
        "--scale-firing-rates",
        metavar="[LAYER=]X",
        help="Networks of rates: spikes a tick at the largest activation; again for more layers.",
        show_default="1",
    ),
]
Percentile = Annotated[
    float,
    typer.Option("--percentile", help="Of activations: what counts as a layer's largest."),
]
MaxPool = Annotated[
    MaxPoolName,
    typer.Option("--max-pool", help="Maxima of rates: refused, or averages in their place."),
]
InputScale = Annotated[
    float | None,
    typer.Option(
        "--input-scale",
        help="Networks of rates: what data is multiplied by.",
        show_default="1/255 for bytes, else 1",
    ),
]


class CompareName(str, Enum):  # noqa: UP042
    """When a neuron fires."""

    above = ">"
    reached = ">="


Dt = Annotated[float | None, typer.Option("--dt", help="Length of a tick, seconds.")]
Reset = Annotated[
    ResetName | None,
    typer.Option(
        "--reset",
        help="Reset rule; subtract-once is snnTorch's subtraction with reset_delay=False.",
    ),
]
Spike = Annotated[
    SpikeName | None,
    typer.Option(
        "--spike",
        help="A spike is 1 for a tick (hold) or has unit area (dirac); by default dirac for I "
        "and IF, else hold.",
    ),
]
Compare = Annotated[
    CompareName | None,
    typer.Option("--compare", help="Fire above the threshold or also on it.", show_default=">"),
]
InputShape = Annotated[
    str | None,
    typer.Option("--input-shape", help="Channels,rows,columns where a .net file has none."),
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


app.command("replay")(replay)


def main() -> None:
    """Run the command line."""
    run_patiently(app)


def _version(asked: bool) -> None:
    if asked:
        from spikefab import __version__

        say(f"spikefab {__version__}")
        raise typer.Exit


@app.callback()
def _top(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    del version


@app.command()
def run(
    network: Annotated[
        Path,
        typer.Argument(
            help="A NIR file, a .net file of lava-dl, or a network of rates (.onnx, .npz).",
            show_default=False,
        ),
    ],
    data: Annotated[
        Path,
        typer.Option(
            "--data",
            help="x and y in .npz or .h5; or spikes: a trace, SONATA, .csv, .bs2 or AEDAT.",
            show_default=False,
        ),
    ],
    chip: Annotated[str, typer.Option("--chip", help="A built-in chip or a TOML file.")] = "loihi",
    dt: Dt = None,
    reset: Reset = None,
    spike: Spike = None,
    compare: Compare = None,
    input_shape: InputShape = None,
    ticks: Annotated[
        int | None, typer.Option("--ticks", help="Ticks in which input is applied.")
    ] = None,
    encoding: Annotated[
        str | None,
        typer.Option(
            "--encoding",
            metavar="CODE",
            help="direct (current), spikes, or a code that makes spikes of values: poisson, "
            "bernoulli, regular, accumulate, ttfs, phase, burst, delta, population, with parameters "
            "as in poisson:rate=0.2,high=255 (docs/encodings.md).",
            show_default="as the data says",
        ),
    ] = None,
    samples: Annotated[
        int | None, typer.Option("--samples", help="Only the first so many.")
    ] = None,
    population: Annotated[
        str | None,
        typer.Option("--population", help="Whose spikes in --data are the input."),
    ] = None,
    sensor: Annotated[
        str | None,
        typer.Option("--sensor", help="Polarities,rows,columns of a camera, for a flat input."),
    ] = None,
    readout: Annotated[
        str | None,
        typer.Option(
            "--readout",
            help="The output population that classes are read from.",
            show_default="the first",
        ),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            "--seed",
            help="For stochastic rounding, where the chip has it.",
            min=0,
            max=2**63 - 1,
        ),
    ] = 0,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder for traces and report.")
    ] = None,
    accuracy: Annotated[
        bool, typer.Option("--accuracy", help="Insist on it: refuse data without classes (y).")
    ] = False,
    scale_firing_rates: ScaleFiringRates = None,
    percentile: Percentile = 100.0,
    max_pool: MaxPool = MaxPoolName.refuse,
    input_scale: InputScale = None,
    quantiser: Annotated[
        QuantiserName, typer.Option("--quantiser", help="How float becomes integers.")
    ] = QuantiserName.spikefab,
    strict: Annotated[
        bool, typer.Option("--strict", help="End at the first value that leaves its register.")
    ] = False,
    fabric: Fabric = FabricName.ideal,
    tick_period: Annotated[
        float | None,
        typer.Option(
            "--tick-period",
            help="Seconds that a tick may last in real time.",
            show_default="the length of a tick",
        ),
    ] = None,
    threads: Threads = None,
    record: Annotated[
        list[str] | None,
        typer.Option(
            "--record",
            metavar="WISH",
            help="What the chip's trace holds; again for more: 'spikes output' (or none), "
            "'v,u hidden[0:64] every 10 ticks 100:200', 'v output around spike hidden 5:10' (or "
            "around overflow, around late), packets.",
        ),
    ] = None,
    checkpoint: Annotated[
        int | None,
        typer.Option(
            "--checkpoint",
            min=1,
            help="Keep the machine's state every so many ticks, to seek and to resume from.",
            show_default="every few seconds, the last two",
        ),
    ] = None,
    mapping: Annotated[
        Path | None, typer.Option("--mapping", help="A program of spikefab map: lie as it has it.")
    ] = None,
    without: Without = None,
    relays: Relays = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier run in it.")] = False,
    debug: Debug = False,
) -> None:
    """Run NETWORK on data, in float and on a chip, and compare."""
    with told(debug):
        from spikefab.importing import sensor_sizes
        from spikefab.rehearsal import rehearse

        if tick_period is not None and not 0 < tick_period < 1e6:
            raise BadInputError(f"--tick-period {tick_period}: must be a number of seconds above 0")
        rehearse(
            network, data, chip,
            physics={
                "fabric": fabric.value, "threads": threads, "tick_period_s": tick_period,
                "record": tuple(record or ()),
                "checkpoint_ticks": checkpoint,
            },
            conventions={
                "dt_s": dt, "reset": _value(reset), "spike": _value(spike),
                "compare": _value(compare), "input_shape": input_shape,
                "conversion": _conversion(scale_firing_rates, percentile, max_pool, input_scale),
            },
            reading={
                "ticks": ticks, "encoding": encoding, "n_samples": samples, "seed": seed,
                "need_classes": accuracy, "readout": readout, "population": population,
                "sensor": sensor_sizes(sensor),
            },
            seed=seed, strict=strict, quantiser=quantiser.value, output=output, force=force,
            without=without or [], start=mapping, relays=relays,
        )  # fmt: skip


def _conversion(
    scale: list[str] | None, percentile: float, max_pool: MaxPoolName, input_scale: float | None
) -> Any:
    """What is asked for networks of rates, as `spikefab.converting.Choices`."""
    from spikefab.converting import Choices

    return Choices(
        scale=tuple(scale or ()), percentile=percentile, max_pool=max_pool.value,
        input_scale=input_scale,
    )  # fmt: skip


def _value(chosen: Enum | None) -> str | None:
    return None if chosen is None else str(chosen.value)


@app.command()
def demo(
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder; a new one by default.")
    ] = None,
    chip: Annotated[str, typer.Option("--chip", help="A built-in chip or a TOML file.")] = "loihi",
    model: Annotated[str, typer.Option("--model", help="cnn or mlp.")] = "cnn",
    fabric: Fabric = FabricName.ideal,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier run in it.")] = False,
    debug: Debug = False,
) -> None:
    """Run a trained network on 360 handwritten digits: float beside chip."""
    with told(debug):
        from spikefab.rehearsal import rehearse

        folder = Path(__file__).parent / "data"
        if model not in ("cnn", "mlp"):
            raise BadInputError(f"--model {model!r} is none of cnn, mlp")
        rehearse(
            folder / f"digits_{model}.nir", folder / "digits_test.npz", chip,
            conventions={}, reading={"ticks": 32}, output=output, force=force,
            physics={"fabric": fabric.value},
            new=None if output else "spikefab-demo",
        )  # fmt: skip


@app.command()
def resume(
    folder: Annotated[
        Path, typer.Argument(help="Where the run was writing to.", show_default=False)
    ],
    threads: Threads = None,
    debug: Debug = False,
) -> None:
    """Go on with a run that broke off or was killed, from its last checkpoint."""
    with told(debug):
        from spikefab.rehearsal import go_on

        go_on(folder, threads=threads)


@app.command()
def recover(
    trace: Annotated[Path, typer.Argument(help="What is left of a trace.", show_default=False)],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="File for what is saved.", show_default="TRACE-recovered.h5"
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier file.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    debug: Debug = False,
) -> None:
    """Save all that can be read of a killed, cut or damaged trace; the file stays as it is."""
    with told(debug):
        from spikefab.recovering import recover_trace

        recover_trace(trace, output, force=force, json=json)


@app.command()
def chips(
    name: Annotated[str | None, typer.Argument(help="A built-in chip or a TOML file.")] = None,
    debug: Debug = False,
) -> None:
    """List the built-in chips, or show one with its sources."""
    with told(debug):
        from emulator.chip_file import builtin_chips, load_chip
        from spikefab.tables import print_chip

        if name is None:
            for builtin in builtin_chips():
                found = load_chip(builtin)
                say(f"{builtin}: {found.summary}{'' if found.runs else ' (fit only)'}")
            return
        print_chip(load_chip(name))


@app.command("compare")
def compare_traces(
    a: Annotated[Path, typer.Argument(help="A trace.", show_default=False)],
    b: Annotated[Path, typer.Argument(help="Another of the same network.", show_default=False)],
    cause: Annotated[
        bool, typer.Option("--cause/--no-cause", help="Name what the difference comes from.")
    ] = True,
    samples: Annotated[
        int, typer.Option("--samples", help="Differing samples to run again for that.", min=1)
    ] = 8,
    as_trained: Annotated[
        bool,
        typer.Option(
            "--as-trained",
            help="Ask for the causes against the network in instant timing, as it was trained.",
        ),
    ] = False,
    neuron: Annotated[
        str | None,
        typer.Option(
            "--neuron",
            metavar="POP[i]",
            help="Look at this neuron.",
            show_default="the first that differs",
        ),
    ] = None,
    ticks: Annotated[
        str | None, typer.Option("--ticks", metavar="A:B", help="At these ticks, without the lag.")
    ] = None,
    sample: Annotated[int | None, typer.Option("--sample", help="In this sample.")] = None,
    measures: Annotated[
        bool,
        typer.Option(
            "--measures",
            help="Distances of spike trains, too, and alarms about silent and saturated ones.",
        ),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    debug: Debug = False,
) -> None:
    """Compare two traces spike by spike, and name the cause; exit code 4 if they differ."""
    with told(debug):
        from spikefab.microscope.command import compare_two

        compare_two(
            a, b, samples=samples if cause else 0, as_trained=as_trained, neuron=neuron,
            ticks=ticks, sample=sample, measures=measures, json=json,
        )  # fmt: skip


@app.command("cost")
def cost_trace(
    trace: Annotated[Path, typer.Argument(help="A chip's trace.", show_default=False)],
    chip: Annotated[
        str | None,
        typer.Option(
            "--chip",
            help="A built-in chip or a TOML file.",
            show_default="the built-in one that it was recorded on",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    by_tick: Annotated[
        bool, typer.Option("--by-tick", help="With --json: the energy of each tick, too.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Cost a recorded run again, on its chip or another: energy by part, and what time allows."""
    with told(debug):
        from emulator.chip_file import builtin_chips, load_chip
        from spikefab.cost import cost_trace as costed
        from spikefab.cost_tables import cost_json, print_cost
        from traces.trace import Trace

        with Trace.open(trace) as recorded:
            name = chip if chip is not None else str(recorded.provenance.get("chip", ""))
            if chip is None and name not in builtin_chips():
                raise BadInputError(
                    f"{trace}: recorded on {name or 'a chip that it does not name'}, which is not "
                    "built in; name its file with --chip"
                )
            found = costed(recorded, load_chip(name))
        if json:
            say(as_json({"trace": str(trace)} | cost_json(found, by_tick=by_tick)))
        else:
            print_cost(found, trace.name)


@app.command("export")
def export_trace(
    trace: Annotated[Path, typer.Argument(help="A trace.", show_default=False)],
    to: Annotated[ExportName, typer.Option("--to", help="Format.", show_default=False)],
    output: Annotated[Path, typer.Option("-o", "--output", help="File.", show_default=False)],
    population: Annotated[
        list[str] | None,
        typer.Option(
            "--population", help="A population or input; again for more.", show_default="all"
        ),
    ] = None,
    ticks: Annotated[
        str | None, typer.Option("--ticks", metavar="A:B", help="Ticks of the trace, B exclusive.")
    ] = None,
    samples: Annotated[
        str | None, typer.Option("--samples", metavar="A:B", help="The same of whole samples.")
    ] = None,
    table: Annotated[
        TableName | None,
        typer.Option("--table", help="What csv and parquet hold.", show_default="spikes"),
    ] = None,
    clock: Annotated[
        ClockName | None,
        typer.Option(
            "--clock",
            help="Whose time vcd and perfetto show.",
            show_default="model for vcd, the chip's for perfetto",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier file.")] = False,
    debug: Debug = False,
) -> None:
    """Write a trace in the format of another tool; docs/export.md says what opens it."""
    with told(debug):
        from spikefab.export_command import export_trace as exported

        exported(
            trace, to.value, output, populations=population or [], ticks=ticks, samples=samples,
            table=_value(table), clock=_value(clock), force=force,
        )  # fmt: skip


@app.command("map")
def map_network(
    network: Annotated[
        Path, typer.Argument(help="A NIR file, or a .net file of lava-dl.", show_default=False)
    ],
    chip: Annotated[str, typer.Option("--chip", help="A built-in chip or a TOML file.")] = "loihi",
    dt: Dt = None,
    reset: Reset = None,
    spike: Spike = None,
    compare: Compare = None,
    input_shape: InputShape = None,
    encoding: Annotated[
        EncodingName,
        typer.Option("--encoding", help="Whether input comes as spikes or as direct current."),
    ] = EncodingName.spikes,
    rates: Annotated[
        Path | None,
        typer.Option("--rates", help="A trace of the network: plan for the spikes in it."),
    ] = None,
    partitioner: Annotated[
        PartitionerName | None,
        typer.Option(
            "--partitioner",
            help="How to cut: in numbering order, into the fewest cores, for the least traffic, by "
            "METIS (extra metis), or kept as --start has it.",
            show_default="traffic, or kept with --start",
        ),
    ] = None,
    placer: Annotated[
        PlacerName, typer.Option("--placer", help="How to put cores on the floor.")
    ] = PlacerName.anneal,
    start: Annotated[
        Path | None, typer.Option("--start", help="A saved program to improve.")
    ] = None,
    pin: Pins = None,
    without: Without = None,
    relays: Relays = False,
    seed: Annotated[
        int, typer.Option("--seed", help="Of the search; same seed, same mapping.", min=0)
    ] = 0,
    quantiser: Annotated[
        QuantiserName, typer.Option("--quantiser", help="How float becomes integers.")
    ] = QuantiserName.spikefab,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="File for the program, HDF5.")
    ] = None,
    explain: Annotated[
        str | None, typer.Option("--explain", help="Say why this population lies where it lies.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier file.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    debug: Debug = False,
) -> None:
    """Map NETWORK onto a chip's cores, and say how good that is. Ctrl-C keeps the best so far."""
    with told(debug):
        from spikefab.map_command import map_to_chip

        map_to_chip(
            network, chip,
            conventions={
                "dt_s": dt, "reset": _value(reset), "spike": _value(spike),
                "compare": _value(compare), "input_shape": input_shape,
            },
            direct=encoding is EncodingName.direct, rates=rates,
            partitioner=_value(partitioner), placer=placer.value, start=start, pins=pin or [],
            without=without or [], seed=seed, quantiser=quantiser.value, output=output,
            explain=explain, force=force, json=json, relays=relays,
        )  # fmt: skip


@app.command()
def fit(
    network: Annotated[
        Path | None,
        typer.Argument(
            help="A NIR file, or a .net file of lava-dl; without one, what chips can hold.",
            show_default=False,
        ),
    ] = None,
    chip: Annotated[
        list[str] | None,
        typer.Option(
            "--chip", help="A built-in chip or a TOML file; again for more.", show_default="all"
        ),
    ] = None,
    dt: Dt = None,
    reset: Reset = None,
    spike: Spike = None,
    compare: Compare = None,
    input_shape: InputShape = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="A trace, or samples to simulate: where spike rates are from."),
    ] = None,
    ticks: Annotated[
        int | None, typer.Option("--ticks", help="Ticks for which static samples are held.")
    ] = None,
    encoding: Annotated[
        EncodingName | None,
        typer.Option(
            "--encoding",
            help="direct current, or spikes; by default as the data says, else spikes, which take "
            "more.",
        ),
    ] = None,
    pin: Pins = None,
    without: Without = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    debug: Debug = False,
) -> None:
    """Judge whether NETWORK fits chips: all broken limits, and the smallest changes that help.

    Exit code 3 if it fits none of them.
    """
    with told(debug):
        from spikefab.fit.command import judge_network, list_holdings

        names, faults = chip or [], without or []
        if network is None:
            asked = {
                "--dt": dt, "--reset": reset, "--spike": spike, "--compare": compare,
                "--input-shape": input_shape, "--data": data, "--ticks": ticks,
                "--encoding": encoding, "--pin": pin,
            }  # fmt: skip
            for option, value in asked.items():
                if value is not None:
                    raise BadInputError(f"{option} says something of a network; name one")
            list_holdings(names, faults, json=json)
            return
        fits = judge_network(
            network, names,
            conventions={
                "dt_s": dt, "reset": _value(reset), "spike": _value(spike),
                "compare": _value(compare), "input_shape": input_shape,
            },
            data=data, ticks=ticks, encoding=_value(encoding), pins=pin or [], without=faults,
            json=json,
        )  # fmt: skip
        if not fits:
            raise typer.Exit(3)


@app.command()
def info(
    file: Annotated[
        Path, typer.Argument(help="A trace, network, program or chip.", show_default=False)
    ],
    debug: Debug = False,
) -> None:
    """Say what a file holds."""
    with told(debug):
        from spikefab.info import describe

        for line in describe(file):
            say(line)


if __name__ == "__main__":
    main()
