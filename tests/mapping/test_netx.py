"""Files as lava-dl writes them, against a slow twin that works on the file's own numbers."""

import h5py
import numpy as np
import pytest

from emulator.chip_file import load_chip
from emulator.engine import Engine
from mapping.drive import Drive
from mapping.errors import NetxError
from mapping.netx_import import import_netx
from mapping.reference import prepare, simulate
from spikefab.deployment import deploy_fixed
from spikefab.host import stimulus

pytestmark = pytest.mark.plain_python

LOIHI = load_chip("loihi")
NEURON = {
    "type": np.bytes_("CUBA"), "iDecay": 1024, "vDecay": 128, "vThMant": 80, "refDelay": 1,
    "gradedSpike": False,
}  # fmt: skip
TICKS = 40


def write(path, layers):
    """Store layers in lava-dl's layout; nested dictionaries become groups."""

    def fill(group, values):
        for name, value in values.items():
            if isinstance(value, dict):
                fill(group.create_group(name), value)
            elif name == "type" and isinstance(value, str):
                group.create_dataset("type", (1,), "S10", [value.encode()])
            else:
                group.create_dataset(name, data=value)

    with h5py.File(path, "w") as file:
        for number, values in enumerate(layers):
            fill(file.create_group(f"layer/{number}"), values)
    return path


def dense(weight, **more):
    n_post, n_pre = weight.shape
    return {
        "type": "dense", "shape": np.array([n_post]), "inFeatures": n_pre, "outFeatures": n_post,
        "weight": weight.astype(np.float32), "neuron": NEURON,
    } | more  # fmt: skip


def conv(kernel, shape, *, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1, **more):
    """One convolution on an input of ``shape``; the shape of the output follows from a slow count."""
    out = [
        len(range(-p, n + p - d * (k - 1), s))
        for n, k, s, p, d in zip(
            shape[1:], kernel.shape[2:], stride, padding, dilation, strict=True
        )
    ]
    return {
        "type": "conv", "shape": np.array([len(kernel), *out]), "inChannels": shape[0],
        "outChannels": len(kernel), "kernelSize": kernel.shape[2:], "stride": stride,
        "padding": padding, "dilation": dilation, "groups": groups,
        "weight": kernel.astype(np.float32), "neuron": NEURON,
    } | more  # fmt: skip


def even(rng, *shape, most=100):
    return 2 * rng.integers(-most // 2, most // 2 + 4, shape)


# --- the slow twin -----------------------------------------------------------------------------


def synapses(layer, shape):
    """All (target, source, weight) of a layer, position by position."""
    weight = np.asarray(layer["weight"], int)
    if layer["type"].startswith("dense"):
        yield from ((i, j, weight[i, j]) for i, j in np.ndindex(*weight.shape))
        return
    c_out, height, width = layer["shape"]
    c_in, rows, columns = shape
    step, pad, spread = layer["stride"], layer["padding"], layer["dilation"]
    if layer["type"] == "pool":
        for c, y, x, a, b in np.ndindex(c_out, height, width, *layer["kernelSize"]):
            yy, xx = y * step[0] - pad[0] + a * spread[0], x * step[1] - pad[1] + b * spread[1]
            if 0 <= yy < rows and 0 <= xx < columns:
                source = (c * rows + yy) * columns + xx
                yield (c * height + y) * width + x, source, weight.reshape(weight.shape[2:])[a, b]
        return
    for o, y, x, i, a, b in np.ndindex(c_out, height, width, *weight.shape[1:]):
        yy, xx = y * step[0] - pad[0] + a * spread[0], x * step[1] - pad[1] + b * spread[1]
        if 0 <= yy < rows and 0 <= xx < columns:
            channel = i + (o // (c_out // layer["groups"])) * (c_in // layer["groups"])
            yield (
                (o * height + y) * width + x,
                (channel * rows + yy) * columns + xx,
                weight[o, i, a, b],
            )


def per_neuron(value, shape):
    values = np.ravel(np.asarray(value, int))
    n = int(np.prod(shape))
    if values.size == shape[0]:
        return np.repeat(values, n // shape[0])
    return np.broadcast_to(values, (n,))


def keep(x, d):
    return int(np.sign(x)) * ((abs(int(x)) * (4096 - int(d))) >> 12)


def twin(layers, shape, counts, *, reached=False):
    """Spikes [ticks, n] of every layer with neurons, each acting on the next one tick later."""
    before, rasters = counts.astype(bool), {}
    for number, layer in enumerate(layers):
        if layer["type"] in ("input", "flatten"):
            continue
        own = tuple(np.atleast_1d(layer["shape"]))
        n = int(np.prod(own))
        given = layer["neuron"]
        d_u, d_v = per_neuron(given["iDecay"], own), per_neuron(given["vDecay"], own)
        high, bias = per_neuron(given["vThMant"], own), per_neuron(layer.get("bias", 0), own)
        delays = np.asarray(layer.get("delay", 0), int)
        links = [(i, j, w) for i, j, w in synapses(layer, shape) if w]
        back = np.asarray(layer.get("weight_rec", np.zeros((n, n))), int)
        after = np.zeros((len(before), n), bool)
        u, v = [0] * n, [0] * n
        for t in range(len(before)):
            arriving = back @ after[t - 1] if t else np.zeros(n, int)
            for i, j, w in links:
                if delays.ndim == 2:
                    at = t - 1 - delays[i, j]
                elif delays.size in (n, own[0], 1):
                    at = t - 1 - per_neuron(delays, own)[i]
                else:
                    at = t - 1 - delays[j]
                arriving[i] += w * (at >= 0 and before[at, j])
            for i in range(n):
                u[i] = keep(u[i], d_u[i]) + (int(arriving[i]) << 6)
                v[i] = keep(v[i], d_v[i]) + u[i] + (int(bias[i]) << 6)
                edge = int(high[i]) << 6
                if v[i] > edge or (reached and v[i] == edge):
                    after[t, i], v[i] = True, 0
        before, shape = after, own
        rasters[f"layer{number}"] = after
    return rasters


def chip_rasters(fixed, counts, chip=LOIHI):
    deployment = deploy_fixed(fixed, chip)
    program = deployment.program
    raster = np.zeros((len(counts), program.n_neurons), bool)

    def observe(block):
        raster[block.spike_tick, block.spike_neuron] = True

    drive = Drive(n_ticks=len(counts), spikes={"input": counts})
    Engine(program, chip).run([stimulus(drive, deployment, len(counts))], len(counts), observe)
    return {p.name: raster[:, program.neurons_of(p.name)] for p in program.populations}


def spikes_in(rng, n, share=0.3):
    return (rng.random((TICKS, n)) < share).astype(np.int64)


def assert_equal(path, layers, shape, counts, **more):
    got = chip_rasters(import_netx(path, LOIHI, **more), counts)
    expected = twin(layers, shape, counts, reached=more.get("compare") == ">=")
    for name, raster in expected.items():
        np.testing.assert_array_equal(got[name], raster, err_msg=name)
    last = expected[max(expected)]
    assert 0.01 * last.size < last.sum() < 0.9 * last.size  # neither silent nor saturated


# --- what is read --------------------------------------------------------------------------------


def test_dense_layers_equal_the_twin(rng, tmp_path):
    layers = [dense(even(rng, 9, 13)), dense(even(rng, 5, 9))]
    assert_equal(write(tmp_path / "a.net", layers), layers, (13,), spikes_in(rng, 13))


@pytest.mark.parametrize(
    "geometry",
    [
        {},
        {"stride": (2, 1)},
        {"padding": (2, 1)},
        {"dilation": (1, 2)},
        {"stride": (1, 3), "padding": (1, 2), "dilation": (2, 1)},
    ],
    ids=str,
)
def test_convolutions_equal_the_twin(rng, tmp_path, geometry):
    shape = (2, 7, 9)
    layers = [
        {"type": "input", "shape": np.array(shape)},
        conv(even(rng, 3, 2, 3, 2), shape, **geometry),
    ]
    assert_equal(write(tmp_path / "a.net", layers), layers, shape, spikes_in(rng, 126))


def test_groups_pooling_and_flattening_equal_the_twin(rng, tmp_path):
    shape = (4, 6, 5)
    first = conv(even(rng, 6, 2, 2, 2, most=140), shape, groups=2, padding=(1, 0))
    rest = (6, 4, 2)
    pool = {
        "type": "pool", "shape": np.array(rest), "kernelSize": (2, 2), "stride": (2, 2),
        "padding": (0, 0), "dilation": (1, 1), "weight": np.full((1, 1, 2, 2), 64.0),
        "neuron": NEURON,
    }  # fmt: skip
    layers = [
        {"type": "input", "shape": np.array(shape)}, first, pool,
        {"type": "flatten", "shape": np.array([48, 1, 1])}, dense(even(rng, 5, 48)),
    ]  # fmt: skip
    # Seven rows are pooled in pairs, so lava-dl adds a row of zeros.
    assert first["shape"].tolist() == [6, 7, 4]
    assert_equal(write(tmp_path / "a.net", layers), layers, shape, spikes_in(rng, 120))


def test_recurrent_layers_equal_the_twin(rng, tmp_path):
    layers = [
        dense(even(rng, 8, 6), weight_rec=even(rng, 8, 8)) | {"type": "dense_rec"},
        dense(even(rng, 4, 8)),
    ]
    assert_equal(write(tmp_path / "a.net", layers), layers, (6,), spikes_in(rng, 6))


@pytest.mark.parametrize("of", ["all", "neuron", "source", "synapse"])
def test_delays_of_dense_layers_equal_the_twin(rng, tmp_path, of):
    sizes = {"all": (), "neuron": 7, "source": 11, "synapse": (7, 11)}
    delay = rng.integers(0, 9, sizes[of])
    layers = [dense(even(rng, 7, 11), delay=delay.astype(np.float32)), dense(even(rng, 3, 7))]
    assert_equal(write(tmp_path / "a.net", layers), layers, (11,), spikes_in(rng, 11))


def test_delays_of_channels_equal_the_twin(rng, tmp_path):
    shape = (2, 5, 5)
    layers = [
        {"type": "input", "shape": np.array(shape)},
        conv(even(rng, 3, 2, 3, 3), shape, delay=np.array([4.0, 0.0, 7.0])),
    ]
    assert_equal(write(tmp_path / "a.net", layers), layers, shape, spikes_in(rng, 50))


def test_parameters_of_channels_and_biases_equal_the_twin(rng, tmp_path):
    shape = (1, 6, 6)
    neuron = NEURON | {
        "type": "LOIHI", "iDecay": [4096, 300, 0], "vDecay": [0, 4096, 77], "vThMant": [200, 90, 900],
    }  # fmt: skip
    layers = [
        {"type": "input", "shape": np.array(shape)},
        conv(even(rng, 3, 1, 2, 2), shape, neuron=neuron, bias=np.array([3.0, -5.0, 20.0])),
        dense(even(rng, 6, 75), bias=rng.integers(-9, 30, 6)),
    ]
    assert_equal(write(tmp_path / "a.net", layers), layers, shape, spikes_in(rng, 36))


def test_reaching_the_threshold_fires_if_that_is_asked_for(tmp_path):
    neuron = NEURON | {"iDecay": 4096, "vDecay": 0, "vThMant": 10}
    path = write(tmp_path / "a.net", [dense(np.full((1, 1), 10), neuron=neuron)])
    counts = np.array([[1], [0], [0], [1], [0]])
    for compare, ticks in ((">", [4]), (">=", [1, 4])):
        fixed = import_netx(path, LOIHI, compare=compare)
        assert np.flatnonzero(chip_rasters(fixed, counts)["layer0"]).tolist() == ticks
        drive = Drive(n_ticks=5, spikes={"input": counts})
        run = simulate(prepare(fixed.network, timing="chip"), drive)
        assert run.spikes["layer0"][0].tolist() == ticks
        assert any("moved by one" in note for note in fixed.notes) == (compare == ">=")


@pytest.mark.parametrize("chip", ["loihi-lava", "loihi-brian2"])
def test_presets_of_the_family_give_the_same_spikes(rng, tmp_path, chip):
    path = write(tmp_path / "a.net", [dense(even(rng, 9, 13)), dense(even(rng, 5, 9))])
    counts = spikes_in(rng, 13)
    first = chip_rasters(import_netx(path, LOIHI), counts)
    other = load_chip(chip)
    second = chip_rasters(import_netx(path, other), counts, other)
    early = 1 - other.arithmetic.input_latency
    for name, raster in first.items():
        np.testing.assert_array_equal(second[name][: TICKS - early], raster[early:])


def test_the_float_twin_has_the_same_numbers(rng, tmp_path):
    layers = [dense(even(rng, 9, 13), bias=rng.integers(-3, 9, 9)), dense(even(rng, 5, 9))]
    fixed = import_netx(write(tmp_path / "a.net", layers), LOIHI)
    counts = spikes_in(rng, 13)
    drive = Drive(n_ticks=TICKS, spikes={"input": counts})
    run = simulate(prepare(fixed.network, timing="chip"), drive)
    chip = chip_rasters(fixed, counts)
    for name, raster in chip.items():
        in_float = np.zeros(raster.shape, bool)
        in_float[run.spikes[name]] = True
        assert (in_float != raster).mean() < 0.02


@pytest.mark.parametrize("forget", [0, 128])
def test_a_bias_acts_on_the_membrane_of_the_float_twin(tmp_path, forget):
    neuron = NEURON | {"iDecay": 100, "vDecay": forget, "vThMant": 100000}
    path = write(tmp_path / "a.net", [dense(np.zeros((1, 1)), neuron=neuron, bias=7)])
    network = import_netx(path, LOIHI).network
    drive = Drive(n_ticks=3, spikes={"input": np.zeros((3, 1), int)})
    run = simulate(prepare(network, timing="instant"), drive, record=("layer0",))
    left = 1 - forget / 4096
    expected = [7, 7 + 7 * left, 7 + 7 * left + 7 * left**2]
    np.testing.assert_allclose(run.states["layer0", "v"][:, 0], expected, rtol=1e-9)


def test_an_average_is_the_share_of_each_group(rng, tmp_path):
    layers = [dense(even(rng, 6, 13)), {"type": "average", "shape": np.array([2, 1, 1])}]
    fixed = import_netx(write(tmp_path / "a.net", layers), LOIHI)
    assert fixed.network.outputs == ("layer1", "layer0")
    counts = spikes_in(rng, 13)
    deployment = deploy_fixed(fixed, LOIHI)
    program = deployment.program
    frames = []
    engine = Engine(program, LOIHI, watched=program.neurons_of("layer1"))
    drive = Drive(n_ticks=TICKS, spikes={"input": counts})
    engine.run(
        [stimulus(drive, deployment, TICKS)], TICKS, lambda block: frames.append(block.frames)
    )
    shares = np.concatenate(frames) / program.populations[1].scale
    fired = twin(layers[:1], (13,), counts)["layer0"].reshape(TICKS, 2, 3).mean(axis=2)
    np.testing.assert_array_equal(shares[1:], fired[:-1])


def test_weight_exponents_shift_what_arrives(rng, tmp_path):
    weight = even(rng, 5, 9)
    for exponent, factor in ((1, 2), (-1, 0.5)):
        path = write(tmp_path / "a.net", [dense(weight, neuron=NEURON | {"weight_exp": exponent})])
        other = write(tmp_path / "b.net", [dense(weight * factor)])
        counts = spikes_in(rng, 9)
        got, want = (chip_rasters(import_netx(p, LOIHI), counts)["layer0"] for p in (path, other))
        np.testing.assert_array_equal(got, want)


def test_analog_input_comes_in_as_a_bias(tmp_path):
    neuron = NEURON | {"iDecay": 4096, "vDecay": 0, "vThMant": 64}
    layers = [{"type": "input", "shape": np.array([2]), "neuron": neuron}, dense(np.eye(2) * 64)]
    fixed = import_netx(write(tmp_path / "a.net", layers), LOIHI)
    deployment = deploy_fixed(fixed, LOIHI, direct=True)
    fired = []

    def observe(block):
        fired.extend(zip(block.spike_tick.tolist(), block.spike_neuron.tolist(), strict=True))

    drive = Drive(n_ticks=12, currents={"input": np.array([0.3, 0.0])})
    Engine(deployment.program, LOIHI).run([stimulus(drive, deployment, 12)], 12, observe)
    first = deployment.program.neurons_of("layer0")[0]
    # 0.3 * 64 a tick, above 64 after four.
    assert [tick for tick, neuron in fired if neuron == first] == [3, 7, 11]


def test_a_layer_that_only_adds_up_is_read_out(rng, tmp_path):
    layers = [dense(even(rng, 4, 6)), dense(even(rng, 2, 4))]
    del layers[1]["neuron"]
    fixed = import_netx(write(tmp_path / "a.net", layers), LOIHI)
    assert not fixed.network.population("layer1").spiking
    high = dense(even(rng, 2, 4), neuron=NEURON | {"vThMant": 2**18 - 1})
    fixed = import_netx(write(tmp_path / "a.net", [layers[0], high]), LOIHI)
    assert fixed.population("layer1").threshold is None


def test_the_network_of_the_tutorial_is_read(shared):
    fixed = import_netx(shared / "networks/loihi_mnist/trained_mnist_network.net", LOIHI)
    assert [p.size for p in fixed.populations] == [128, 64, 10]
    assert set(fixed.population("layer0").keep_current) == {4096 - 410}
    assert set(fixed.population("layer2").threshold) == {64 << 6}


# --- what is refused -----------------------------------------------------------------------------


def shown(layers, tmp_path, chip=LOIHI, **more):
    with pytest.raises(NetxError) as caught:
        import_netx(write(tmp_path / "bad.net", layers), chip, **more)
    return str(caught.value)


W = np.full((3, 4), 2)
BAD = {
    "unknown type": ({"type": "sponge"}, "layer 1 (sponge): type: layers of type 'sponge' are not"),
    "unread type": ({"type": "convT"}, "layer 1 (convT): type: layers of type 'convT' are known"),
    "no shape": ({"shape": None}, "layer 1 (dense): has no 'shape'"),
    "no weight": ({"weight": None}, "layer 1 (dense): has no 'weight'"),
    "rows": ({"shape": [4]}, "layer 1 (dense): outFeatures: is [3], but shape and weights say [4]"),
    "features": ({"inFeatures": 5}, "inFeatures: is [5], but shape and weights say [4]"),
    "columns": ({"weight": W[:, :3], "inFeatures": 3}, "weight: has 3 columns (3, 3), but 4 (4,)"),
    "wide": ({"weight": W * 150}, "weight: 12 of 12 weights are outside 0..255"),
    "wide, mixed": (
        {"weight": np.array([[300, -2, 2, 4]] * 3)}, "3 of 12 weights are outside -256..254",
    ),
    "fractions": ({"weight": W / 3}, "weight: 12 of 12 values are no whole numbers"),
    "nan": ({"weight": W * np.nan}, "weight: 12 of 12 values are NaN or infinite"),
    "words": ({"weight": np.bytes_("many")}, "weight: must hold numbers"),
    "neuron type": ({"neuron": NEURON | {"type": "SDNN"}}, "neuron/type: neurons of type 'SDNN'"),
    "no decay": ({"neuron": {"type": "CUBA"}}, "has no 'neuron/iDecay'"),
    "decay": ({"neuron": NEURON | {"iDecay": 5000}}, "neuron/iDecay: 1 of 1 values are outside"),
    "threshold": ({"neuron": NEURON | {"vThMant": 0}}, "neuron/vThMant: 1 of 1 values are outside"),
    "sizes": ({"neuron": NEURON | {"vDecay": [1, 2]}}, "neuron/vDecay: has shape (2,), but one"),
    "graded": ({"neuron": NEURON | {"gradedSpike": True}}, "neuron/gradedSpike: spikes that carry"),
    "bias": ({"bias": [0, 0, 9000]}, "bias: 1 of 3 values are outside -8,190..8,190"),
    "delay": ({"delay": [0, 70, 63]}, "delay: 2 of 3 values are outside 0..62, the ticks by which"),
    "negative delay": ({"delay": [0, -1, 0]}, "delay: 1 of 3 values are outside 0..62"),
    "delay sizes": ({"delay": [0, 1]}, "delay: has shape (2,), but 3 neurons (3,) hear 4 sources"),
    "exponent": ({"weight_exp": 9}, "weight_exp: 1 of 1 values are outside -8..7"),
    "empty": ({"shape": []}, "shape: holds no values"),
    "huge": ({"shape": [2**30]}, "shape: 1 of 1 values are outside 1..1,048,576"),
}  # fmt: skip


@pytest.mark.parametrize("wrong", BAD)
def test_a_bad_field_is_named_with_its_layer(rng, tmp_path, wrong):
    change, message = BAD[wrong]
    layer = {k: v for k, v in (dense(W) | change).items() if v is not None}
    assert message in shown([dense(even(rng, 4, 6)), layer], tmp_path)


def test_sizes_of_convolutions_that_contradict_are_told(rng, tmp_path):
    shape = (2, 7, 9)
    layer = conv(even(rng, 4, 2, 3, 3), shape)
    first = {"type": "input", "shape": np.array(shape)}
    for change, message in (
        ({"shape": [4, 5, 5]}, "shape: is (4, 5, 5), but the kernel (4, 2, 3, 3) makes (4, 5, 7)"),
        ({"stride": [2, 2]}, "but the kernel (4, 2, 3, 3) makes (4, 3, 4)"),
        ({"groups": 2}, "inChannels: is [2], but shape and weights say [4]"),
        ({"groups": 0}, "groups: 1 of 1 values are outside 1..1,048,576"),
        ({"kernelSize": [3, 2]}, "kernelSize: is [3, 2], but shape and weights say [3, 3]"),
        ({"stride": [1, 1, 1]}, "stride: must be one number or two, but holds 3"),
        ({"padding": [-1, 0]}, "padding: 1 of 2 values are outside 0.."),
        ({"neuron": {}}, "neuron: is missing"),
        ({"weight": np.ones((2, 3))}, "weight: must be [out, in / groups, rows, columns]"),
    ):
        assert message in shown([first, layer | change], tmp_path)
    assert "needs channels, rows and columns" in shown([dense(W), layer], tmp_path)


def test_the_shape_of_the_input_is_asked_for_where_it_cannot_be_known(rng, tmp_path):
    kernel, shape = even(rng, 3, 2, 3, 2), (2, 7, 9)
    layer = conv(kernel, shape, padding=(1, 0))
    path = write(tmp_path / "a.net", [layer])
    assert import_netx(path, LOIHI).network.inputs[0].shape == shape
    layer = conv(kernel, shape, stride=(2, 2))
    assert "give it (--input-shape 2,ROWS,COLUMNS)" in shown([layer], tmp_path)
    assert "of (2, 5, 5)" in shown([layer], tmp_path, input_shape=(2, 5, 5))
    assert "takes input of" in shown([dense(W)], tmp_path, input_shape=(5,))
    path = write(tmp_path / "a.net", [layer])
    assert import_netx(path, LOIHI, input_shape=shape).network.inputs[0].shape == shape


def test_order_of_layers_is_checked(tmp_path):
    average = {"type": "average", "shape": [3]}
    assert "an average must be the last layer" in shown([average, dense(W)], tmp_path)
    assert "3 neurons cannot be averaged in 2" in shown(
        [dense(W), average | {"shape": [2]}], tmp_path
    )
    assert "an input must be the first" in shown(
        [dense(W), {"type": "input", "shape": [3]}], tmp_path
    )
    assert "there is no layer with neurons" in shown([{"type": "input", "shape": [3]}], tmp_path)
    silent = dense(W, neuron=NEURON | {"vThMant": 2**17})
    assert "never spikes" in shown([silent, dense(np.ones((2, 3)))], tmp_path)


def test_another_kind_of_chip_is_refused(tmp_path):
    assert "its integers are those of Loihi, but of xylo-v1" in shown(
        [dense(W)], tmp_path, load_chip("xylo-v1")
    )


def test_no_file_at_all(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        import_netx(tmp_path / "none.net", LOIHI)
    with pytest.raises(NetxError, match="this is a folder"):
        import_netx(tmp_path, LOIHI)


def test_files_with_another_layout_are_told(tmp_path):
    path = tmp_path / "a.net"
    path.write_bytes(b"hello")
    with pytest.raises(NetxError, match="cannot be read"):
        import_netx(path, LOIHI)
    for fields, message in (
        ({}, "no group 'layer' in it"),
        ({"layer/a/type": "dense"}, "layer a: layers are groups with a number"),
        ({"layer/0": 3}, "layer 0: layers are groups"),
        ({"layer/1/type": "dense"}, "numbered 1, but 0 to 0 without a gap"),
        ({"layer/0/shape": [1]}, "layer 0: has no 'type'"),
        ({"layer/0/type": 5}, "layer 0: type: must be a word, but is 5"),
    ):
        with h5py.File(path, "w") as file:
            for name, value in fields.items():
                file[name] = value
        with pytest.raises(NetxError, match=message):
            import_netx(path, LOIHI)


def test_a_damaged_file_gives_one_kind_of_error(rng, tmp_path):
    """Cut anywhere, or with any byte turned: a NetxError, or a network that can be read."""
    layers = [dense(even(rng, 4, 6)), dense(W, delay=[1, 2, 3])]
    whole = write(tmp_path / "a.net", layers).read_bytes()
    damaged = tmp_path / "b.net"
    cuts = [whole[:n] for n in range(0, len(whole), 211)]
    for at in rng.integers(0, len(whole), 150):
        turned = bytearray(whole)
        turned[at] ^= 1 << int(rng.integers(0, 8))
        cuts.append(bytes(turned))
    refused = []
    for content in cuts:
        damaged.write_bytes(content)
        try:
            import_netx(damaged, LOIHI)
        except NetxError as error:
            refused.append(str(error))
    assert len(refused) >= len(whole) // 211
    assert all(str(damaged) in message for message in refused)
