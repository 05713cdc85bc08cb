"""Weights in half the room, and not a bit of what is computed with them other."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from training.stored_half import round_weights, store_in_half

SIDE = 48


def half_numbers(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    values = np.random.default_rng(seed).normal(size=shape)
    return values.astype(np.float16).astype(np.float32)


def graph_of(weights: dict[str, NDArray[np.float32]]) -> onnx.ModelProto:
    """``y = x`` times each of some square weights, the last of them within a branch."""
    *names, last = weights
    nodes, value = [], "x"
    for name in names:
        nodes.append(helper.make_node("MatMul", [value, name], [f"by.{name}"]))
        value = f"by.{name}"

    def branch(side: str) -> onnx.GraphProto:
        node = helper.make_node("MatMul", [value, last], [f"of.{side}"])
        output = helper.make_tensor_value_info(f"of.{side}", TensorProto.FLOAT, None)
        return helper.make_graph([node], side, [], [output])

    nodes.append(
        helper.make_node("If", ["yes"], ["y"], then_branch=branch("then"), else_branch=branch("or"))
    )
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "main",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", SIDE])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", SIDE])],
            [
                *(numpy_helper.from_array(value, name) for name, value in weights.items()),
                numpy_helper.from_array(np.array(True), "yes"),
                numpy_helper.from_array(np.arange(2000), "numbers"),
            ],
        ),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=10,
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def kinds(model: onnx.ModelProto) -> dict[str, int]:
    return {tensor.name: tensor.data_type for tensor in model.graph.initializer}


def run(model: onnx.ModelProto, path: Path) -> NDArray[np.float32]:
    onnx.save(model, path)
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    x = np.random.default_rng(5).normal(size=(3, SIDE)).astype(np.float32)
    y: NDArray[np.float32] = session.run(["y"], {"x": x})[0]
    return y


def test_a_graph_takes_half_the_room_and_computes_the_same(tmp_path: Path) -> None:
    weights = {name: half_numbers(SIDE, SIDE, seed=at) for at, name in enumerate(("a", "b", "c"))}
    model = graph_of(weights)
    before = model.SerializeToString()
    stored = store_in_half(model)
    assert model.SerializeToString() == before
    assert {kinds(stored)[f"{name}.half"] for name in weights} == {TensorProto.FLOAT16}
    assert not set(weights) & set(kinds(stored))
    assert kinds(stored)["numbers"] == TensorProto.INT64
    expected = run(model, tmp_path / "whole.onnx")
    assert np.array_equal(run(stored, tmp_path / "half.onnx"), expected)
    assert np.ptp(expected) > 1
    saved = [(tmp_path / name).stat().st_size for name in ("whole.onnx", "half.onnx")]
    assert 0.9 * 6 * SIDE * SIDE < saved[0] - saved[1] < 6 * SIDE * SIDE


def test_what_would_lose_by_it_or_is_small_stays(tmp_path: Path) -> None:
    large, fine, odd = (half_numbers(SIDE, SIDE, seed=at) for at in range(3))
    large[0, 0], fine[0, 0], odd[0, 0] = 1e5, 1 + 2**-12, np.nan
    weights = {"large": large, "fine": fine, "half": half_numbers(SIDE, SIDE, seed=3)}
    model = graph_of(weights)
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(1023, np.float32), "small"))
    model.graph.initializer.append(numpy_helper.from_array(odd, "odd"))
    stored = store_in_half(model)
    floats = {name for name, kind in kinds(stored).items() if kind == TensorProto.FLOAT}
    assert floats == {"large", "fine", "small", "odd"}
    expected = run(model, tmp_path / "whole.onnx")
    assert np.array_equal(run(stored, tmp_path / "half.onnx"), expected)


def test_rounded_weights_are_numbers_of_16_bits() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(SIDE, SIDE), nn.BatchNorm1d(SIDE))
    net.register_buffer("table", torch.rand(2, 1024))
    net.register_buffer("count", torch.arange(2000))
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    round_weights(net)
    moved = {name for name, tensor in net.state_dict().items() if not tensor.equal(before[name])}
    assert moved == {"0.weight", "table"}  # what is small stays, and so do integers
    for name in moved:
        found = net.state_dict()[name]
        assert found.dtype == torch.float32
        assert found.equal(before[name].half().float())


@pytest.mark.parametrize("value", [1e5, -1e5, float("inf"), float("nan")])
def test_a_weight_that_16_bits_cannot_hold_is_named(value: float) -> None:
    net = nn.Linear(SIDE, SIDE)
    with torch.no_grad():
        net.weight[3, 4] = value
    with pytest.raises(ValueError, match="weight has values that float16 cannot hold"):
        round_weights(net)
