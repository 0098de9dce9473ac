"""ONNX graphs against ONNX's own reference evaluator."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="the extra 'onnx' is not installed")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402

from mapping.ann.onnx_import import import_onnx, read_onnx  # noqa: E402
from mapping.errors import OnnxError  # noqa: E402


def written(path, nodes, constants, shape, *, opset=17, outputs=("out",)):
    graph = helper.make_graph(
        [helper.make_node(op, i, o, **a) for op, i, o, a in nodes],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *shape])],
        [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in outputs],
        [
            numpy_helper.from_array(np.asarray(v, np.float32 if np.asarray(v).dtype.kind == "f" else np.int64), k)
            for k, v in constants.items()
        ],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    onnx.save(model, path)
    return path


def assert_same(path, shape, *, n=3, output="out", **how):
    x = np.random.default_rng(0).normal(size=(n, *shape)).astype(np.float32)
    expected = ReferenceEvaluator(str(path)).run([output], {"x": x})[0]
    network = import_onnx(path, **how)
    found = network.activations(x.reshape(n, -1))[network.outputs[0]]
    assert np.allclose(found, expected.reshape(n, -1), rtol=1e-4, atol=1e-5)
    return network


@pytest.fixture
def rng():
    return np.random.default_rng(1)


def test_a_torch_like_network_with_everything(tmp_path, rng):
    nodes = [
        ("Conv", ["x", "k1", "b1"], ["c1"], {"pads": [1, 1, 1, 1], "strides": [2, 1]}),
        ("BatchNormalization", ["c1", "g", "s", "m", "v"], ["n1"], {"epsilon": 1e-3}),
        ("Relu", ["n1"], ["r1"], {}),
        ("AveragePool", ["r1"], ["p1"],
         {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}),
        ("Conv", ["r1", "k2"], ["c2"], {"pads": [1, 1, 1, 1]}),
        ("Add", ["c2", "r1"], ["a1"], {}),
        ("Relu", ["a1"], ["r2"], {}),
        ("AveragePool", ["r2"], ["p2"],
         {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
        ("Dropout", ["p2"], ["d"], {}),
        ("Shape", ["d"], ["shape"], {}),
        ("Gather", ["shape", "zero"], ["batch"], {}),
        ("Unsqueeze", ["batch", "axes"], ["batch1"], {}),
        ("Concat", ["batch1", "rest"], ["flat"], {"axis": 0}),
        ("Reshape", ["d", "flat"], ["f"], {}),
        ("Gemm", ["f", "w", "b"], ["g1"], {"transB": 1}),
        ("Clip", ["g1", "low", "high"], ["r3"], {}),
        ("MatMul", ["r3", "w2"], ["g2"], {}),
        ("Add", ["g2", "b2"], ["out"], {}),
    ]  # fmt: skip
    constants = {
        "k1": rng.normal(size=(4, 2, 3, 3)), "b1": rng.normal(size=4), "g": rng.random(4) + 0.5,
        "s": rng.normal(size=4), "m": rng.normal(size=4), "v": rng.random(4) + 0.5,
        "k2": rng.normal(size=(4, 4, 3, 3)) * 0.3, "zero": np.array(0), "axes": np.array([0]),
        "rest": np.array([-1]), "w": rng.normal(size=(6, 48)) * 0.2, "b": rng.normal(size=6),
        "low": np.float32(0), "high": np.float32(1.5), "w2": rng.normal(size=(6, 3)),
        "b2": rng.normal(size=3),
    }  # fmt: skip
    path = written(tmp_path / "net.onnx", nodes, constants, (2, 11, 7))
    network = assert_same(path, (2, 11, 7))
    assert [layer.activation for layer in network.layers] == ["relu", "relu", "relu", "none"]
    assert network.layers[2].ceiling == 1.5
    assert set(network.layers[1].sources) == {network.layers[0].name}


def test_a_keras_like_network_with_channels_last(tmp_path, rng):
    nodes = [
        ("Transpose", ["x"], ["t"], {"perm": [0, 3, 1, 2]}),
        ("Pad", ["t", "pads"], ["padded"], {}),
        ("Conv", ["padded", "k"], ["c"], {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
        ("Add", ["c", "b"], ["cb"], {}),
        ("Relu", ["cb"], ["r"], {}),
        ("GlobalAveragePool", ["r"], ["p"], {}),
        ("Squeeze", ["p", "axes"], ["q"], {}),
        ("MatMul", ["q", "w"], ["m"], {}),
        ("Add", ["wb", "m"], ["logits"], {}),
        ("Softmax", ["logits"], ["out"], {}),
    ]
    constants = {
        "pads": np.array([0, 0, 1, 0, 0, 0, 0, 2]), "k": rng.normal(size=(3, 2, 3, 2)),
        "b": rng.normal(size=(1, 3, 1, 1)), "axes": np.array([2, 3]),
        "w": rng.normal(size=(3, 4)), "wb": rng.normal(size=4),
    }  # fmt: skip
    path = written(tmp_path / "net.onnx", nodes, constants, (8, 9, 2))
    x = rng.random((5, 8, 9, 2)).astype(np.float32)
    expected = ReferenceEvaluator(str(path)).run(None, {"x": x})[0]
    network, report = read_onnx(path)
    found = network.activations(x.reshape(5, -1))[network.outputs[0]]
    odds = np.exp(found) / np.exp(found).sum(axis=1, keepdims=True)
    assert np.allclose(odds, expected, atol=1e-5)
    assert [line.status for line in report][-1] == "rewritten"
    assert network.notes == ("Softmax_9: left off: the largest stays the largest",)


def test_a_classifier_of_scikit_learn(tmp_path, rng):
    nodes = [
        ("Cast", ["x"], ["c"], {"to": TensorProto.FLOAT}),
        ("Sub", ["c", "mean"], ["s"], {}),
        ("Div", ["s", "std"], ["d"], {}),
        ("MatMul", ["d", "w"], ["m"], {}),
        ("Add", ["m", "b"], ["a"], {}),
        ("Relu", ["a"], ["r"], {}),
        ("MatMul", ["r", "w2"], ["m2"], {}),
        ("Add", ["m2", "b2"], ["logits"], {}),
        ("Softmax", ["logits"], ["probabilities"], {}),
        ("ArgMax", ["probabilities"], ["best"], {"axis": 1}),
        ("ArrayFeatureExtractor", ["classes", "best"], ["label"], {}),
    ]
    constants = {
        "mean": rng.normal(size=4), "std": rng.random(4) + 1, "w": rng.normal(size=(4, 8)),
        "b": rng.normal(size=8), "w2": rng.normal(size=(8, 3)), "b2": rng.normal(size=3),
        "classes": np.arange(3),
    }  # fmt: skip
    path = written(tmp_path / "net.onnx", nodes, constants, (4,),
                   outputs=("label", "probabilities"))  # fmt: skip
    x = rng.normal(size=(6, 4)).astype(np.float32)
    network = import_onnx(path)
    assert len(network.outputs) == 1
    found = network.activations(x)[network.outputs[0]]
    z = (x - constants["mean"]) / constants["std"]
    hidden = np.maximum(z @ constants["w"] + constants["b"], 0)
    assert np.allclose(found, hidden @ constants["w2"] + constants["b2"], atol=1e-4)


def test_a_difference_a_product_and_a_convolution_of_one_axis(tmp_path, rng):
    nodes = [
        ("Mul", ["x", "two"], ["scaled"], {}),
        ("Conv", ["scaled", "k"], ["c"], {"dilations": [2], "group": 2}),
        ("Relu", ["c"], ["r"], {}),
        ("Sub", ["one", "r"], ["u"], {}),
        ("ReduceMean", ["u"], ["out"], {"axes": [2], "keepdims": 0}),
    ]
    constants = {"two": np.float32(2), "one": np.float32(1), "k": rng.normal(size=(4, 1, 3))}
    path = written(tmp_path / "net.onnx", nodes, constants, (2, 12))
    assert_same(path, (2, 12))


def test_all_that_cannot_be_done_is_told_at_once(tmp_path, rng):
    nodes = [
        ("Conv", ["x", "k"], ["c"], {}),
        ("LeakyRelu", ["c"], ["l"], {}),
        ("MaxPool", ["x"], ["m"], {"kernel_shape": [2, 2]}),
        ("Mul", ["x", "x"], ["xx"], {}),
        ("Tanh", ["l"], ["after"], {}),
        ("Flatten", ["m"], ["out"], {}),
    ]
    path = written(tmp_path / "net.onnx", nodes, {"k": rng.normal(size=(2, 1, 3, 3))}, (1, 6, 6))
    with pytest.raises(OnnxError) as told:
        import_onnx(path)
    text = str(told.value)
    assert "3 of 4 nodes cannot become spikes" in text
    assert "LeakyRelu_1 (LeakyRelu): operator LeakyRelu is not supported; train with ReLU" in text
    assert "MaxPool_2 (MaxPool): the largest of several rates is not a sum of spikes" in text
    assert "Mul_3 (Mul): argument 1 must be a constant" in text
    assert "Tanh" not in text  # its input is to blame


def test_maxima_may_be_averages_if_asked_for(tmp_path):
    nodes = [
        ("MaxPool", ["x"], ["m"], {"kernel_shape": [2, 2], "strides": [2, 2]}),
        ("Relu", ["m"], ["out"], {}),
    ]
    path = written(tmp_path / "net.onnx", nodes, {}, (1, 4, 4))
    network = import_onnx(path, max_pool="average")
    assert "averages in place of maxima" in network.notes[0]
    found = network.activations(np.arange(16.0)[None])[network.outputs[0]]
    assert found.tolist() == [[2.5, 4.5, 10.5, 12.5]]


def test_a_softmax_in_the_middle_is_refused(tmp_path, rng):
    nodes = [
        ("Softmax", ["x"], ["s"], {}),
        ("MatMul", ["s", "w"], ["out"], {}),
    ]
    path = written(tmp_path / "net.onnx", nodes, {"w": rng.normal(size=(3, 2))}, (3,))
    with pytest.raises(OnnxError, match="takes what a softmax or sigmoid made"):
        import_onnx(path)


def test_shapes_that_are_not_known_and_files_that_are_none(tmp_path):
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["out"])], "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1, "H", "W"])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
    )  # fmt: skip
    path = tmp_path / "open.onnx"
    onnx.save(helper.make_model(graph), path)
    with pytest.raises(OnnxError, match=r"shape \[1, 1, 'H', 'W'\]: all axes but that of"):
        import_onnx(path)
    path.write_bytes(b"no model")
    with pytest.raises(OnnxError, match="no ONNX file, or a damaged one"):
        import_onnx(path)
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        import_onnx(tmp_path / "none.onnx")
