from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from training.calibration import calibrate, clip_bounds


@pytest.fixture
def model() -> onnx.ModelProto:
    graph = helper.make_graph(
        [
            helper.make_node("Sub", ["x", "one"], ["less"]),
            helper.make_node("Relu", ["less"], ["y"]),
            helper.make_node("Shape", ["y"], ["shape"]),
        ],
        "main",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2, "W"])],
        [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2, "W"]),
            helper.make_tensor_value_info("shape", TensorProto.INT64, [3]),
        ],
        [numpy_helper.from_array(np.array(1, np.float32), "one")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def item(*rows: list[float]) -> dict[str, Any]:
    return {"x": np.array(rows, np.float32)}


def test_ranges_hold_all_that_was_seen_and_zero(model: onnx.ModelProto) -> None:
    ranges = calibrate(model, [item([2, 3], [4, 5]), item([0, 1], [7, 3])])
    assert set(ranges) == {"less", "y"}
    assert (ranges["less"].low, ranges["less"].high) == (-1, 6)
    assert (ranges["y"].low, ranges["y"].high) == (0, 6)
    assert ranges["less"].means.tolist() == [0.5, 3.75]


def test_ranges_are_rounded_outwards(model: onnx.ModelProto) -> None:
    ranges = calibrate(model, [item([4.123456, 0], [0, 0])])
    assert 3.123456 <= ranges["less"].high <= 3.123456 * (1 + 2 / 256)
    assert ranges["less"].high * 64 == int(ranges["less"].high * 64)


def test_no_items_are_no_calibration(model: onnx.ModelProto) -> None:
    with pytest.raises(ValueError, match="needs pictures"):
        calibrate(model, [])


def test_what_is_not_finite_is_named(model: onnx.ModelProto) -> None:
    with pytest.raises(ValueError, match="'less'"):
        calibrate(model, [item([np.inf, 0], [0, 0])])


def test_clip_bounds() -> None:
    six = {"six": np.array(6, np.float32)}
    assert clip_bounds(helper.make_node("Relu", ["x"], ["y"]), {}) == (0, np.inf)
    assert clip_bounds(helper.make_node("Clip", ["x", "", "six"], ["y"]), six) == (-np.inf, 6)
