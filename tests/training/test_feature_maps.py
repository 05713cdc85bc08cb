"""Fewer bits for feature maps, none taken from coordinates."""

from collections import Counter

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from training.calibration import calibrate
from training.feature_maps import feature_nodes
from training.half import round_maps
from training.quantize import quantize, to_observe

SIDE = 8
ITEMS = [
    {"x": np.random.default_rng(seed).normal(size=(3, SIDE, SIDE)).astype(np.float32)}
    for seed in range(6)
]


@pytest.fixture
def model() -> onnx.ModelProto:
    """Maps, added up, whose shares are moved by corners of some hundred pixels."""
    random = np.random.default_rng(0)
    constants = {
        "w1": random.normal(size=(4, 3, 3, 3)) / 5,
        "w2": random.normal(size=(4, 4, 1, 1)) / 2,
        "far": np.array(500.3),
        "near": np.array(0.01),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["a"], "first", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"], "relu"),
        helper.make_node("Conv", ["b", "w2"], ["c"], "second"),
        helper.make_node("Add", ["b", "c"], ["maps"], "skip"),
        helper.make_node("GlobalAveragePool", ["maps"], ["mean"], "mean"),
        helper.make_node("Mul", ["mean", "near"], ["small"], "small"),
        helper.make_node("Add", ["small", "far"], ["corner"], "corner"),
        helper.make_node("Add", ["corner", "small"], ["moved"], "moved"),
    ]
    graph = helper.make_graph(
        nodes,
        "main",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("moved", TensorProto.FLOAT, ["N", 4, 1, 1])],
        [numpy_helper.from_array(v.astype(np.float32), name) for name, v in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def run(model: onnx.ModelProto) -> NDArray[np.float32]:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found: NDArray[np.float32] = session.run(None, {"x": np.stack([i["x"] for i in ITEMS])})[0]
    return found


def test_what_convolutions_give_and_hand_on_are_maps(model: onnx.ModelProto) -> None:
    constants = [tensor.name for tensor in model.graph.initializer]
    found = [node.name for node in feature_nodes(model.graph.node, constants)]
    assert found == ["first", "relu", "second", "skip"]


def test_only_the_maps_get_eight_bits(model: onnx.ModelProto) -> None:
    observed = to_observe(model)
    assert observed == {"x", "a", "b", "c", "maps"}
    ranges = calibrate(model, ITEMS, observed)
    assert set(ranges) == {"a", "b", "c", "maps"}  # the input is no result
    assert "corner" not in ranges


def test_coordinates_survive_sixteen_bits_where_only_maps_are_rounded(
    model: onnx.ModelProto,
) -> None:
    mixed = round_maps(model)
    assert abs(float(np.float16(500.3)) - 500.3) > 0.04
    assert 0 < np.abs(run(mixed) - run(model)).max() < 1e-3
    weights = Counter(tensor.data_type for tensor in mixed.graph.initializer)
    assert weights[TensorProto.FLOAT16] == 2


def test_coordinates_survive_eight_bits(model: onnx.ModelProto) -> None:
    # Without integer pixels in front the first convolution has no scale to take.
    nodes = [node for node in model.graph.node if node.name != "first"]
    inner = onnx.ModelProto()
    inner.CopyFrom(model)
    del inner.graph.node[:], inner.graph.initializer[0]
    inner.graph.node.extend([helper.make_node("Mul", ["x4", "near"], ["a"], "scaled"), *nodes])
    inner.graph.input[0].CopyFrom(
        helper.make_tensor_value_info("x4", TensorProto.FLOAT, ["N", 4, SIDE, SIDE])
    )
    items = [{"x4": 100 * np.repeat(item["x"][:1], 4, axis=0)} for item in ITEMS]
    int8 = quantize(inner, calibrate(inner, items, to_observe(inner)))
    kinds = Counter(node.op_type for node in int8.graph.node)
    assert kinds["QuantizeLinear"] == 2  # what the convolution takes and gives
    feed = {"x4": np.stack([item["x4"] for item in items])}
    pair = [
        ort.InferenceSession(m.SerializeToString(), providers=["CPUExecutionProvider"]).run(
            None, feed
        )[0]
        for m in (inner, int8)
    ]
    assert np.abs(pair[0] - pair[1]).max() < 1e-2
