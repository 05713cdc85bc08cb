"""The 8-bit variant: what kernels it runs on, what it loses, what it never overflows."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from onnx import numpy_helper

from training.calibration import calibrate
from training.graph import to_onnx
from training.quantize import quantize, weight_scales

SIXTEEN_BITS = 32767


@pytest.fixture
def graphs(tiny: Any) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    """The tiny network in float32 and in 8 bits."""
    model = to_onnx(tiny.graph)
    return model, quantize(model, calibrate(model, tiny.graph.calibration))


def optimized(model: onnx.ModelProto, folder: Path) -> Counter[str]:
    """The kernels ONNX Runtime runs."""
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    options.log_severity_level = 3  # it warns that the optimized file fits this machine only
    ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    nodes = onnx.load(folder / "optimized.onnx").graph.node
    return Counter(node.op_type for node in nodes)


def run(model: onnx.ModelProto, items: list[dict[str, Any]]) -> Any:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"images": np.stack([item["images"] for item in items])})[0]


def test_everything_between_pixels_and_pool_runs_on_integers(
    graphs: tuple[onnx.ModelProto, onnx.ModelProto], tmp_path: Path
) -> None:
    kernels = optimized(graphs[1], tmp_path)
    assert kernels["QLinearConv"] == 2
    assert kernels["QLinearAdd"] == 1
    assert kernels["QGemm"] == 1
    for absent in ("Conv", "Cast", "Sub", "Div", "Clip", "Relu"):
        assert kernels[absent] == 0, kernels
    # After the add, before the mean; before the Gemm.
    assert (kernels["DequantizeLinear"], kernels["QuantizeLinear"]) == (1, 1)


def test_the_answers_stay_close(graphs: tuple[onnx.ModelProto, onnx.ModelProto], tiny: Any) -> None:
    float32, int8 = (run(model, tiny.graph.checked) for model in graphs)
    assert np.abs(float32 - int8).max() < 0.05 * np.ptp(float32)


def test_the_float_graph_is_left_as_it_was(tiny: Any) -> None:
    model = to_onnx(tiny.graph)
    before = model.SerializeToString(deterministic=True)
    quantize(model, calibrate(model, tiny.graph.calibration))
    assert model.SerializeToString(deterministic=True) == before


def test_nodes_can_stay_in_float(tiny: Any, tmp_path: Path) -> None:
    model = to_onnx(tiny.graph)
    last = next(node.name for node in model.graph.node if node.op_type == "Gemm")
    mixed = quantize(model, calibrate(model, tiny.graph.calibration), {last})
    kernels = optimized(mixed, tmp_path)
    assert (kernels["Gemm"], kernels["QGemm"], kernels["QLinearConv"]) == (1, 0, 2)


def test_pixels_with_a_mean_a_channel_are_quantized_after_it(tiny: Any, tmp_path: Path) -> None:
    tiny.graph.module.pixels.__init__((120.0, 115.0, 100.0), (60.0, 60.0, 60.0))
    model = to_onnx(tiny.graph)
    int8 = quantize(model, calibrate(model, tiny.graph.calibration))
    assert optimized(int8, tmp_path)["QLinearConv"] == 2
    gap = np.abs(run(model, tiny.graph.checked) - run(int8, tiny.graph.checked)).max()
    assert gap < 0.05 * np.ptp(run(model, tiny.graph.checked))


def test_a_weight_of_nothing_but_zeros_is_fine(tiny: Any) -> None:
    tiny.graph.module.second.weight.data.zero_()
    model = to_onnx(tiny.graph)
    int8 = quantize(model, calibrate(model, tiny.graph.calibration))
    assert np.isfinite(run(int8, tiny.graph.checked)).all()
    for tensor in int8.graph.initializer:
        if tensor.name.endswith("scale"):
            assert (numpy_helper.to_array(tensor) > 0).all()


@given(
    hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=2, max_dims=4, max_side=5),
        elements=st.floats(-4, 4, width=32),
    )
)
def test_no_pair_of_products_overflows_sixteen_bits(weight: Any) -> None:
    if weight.shape[1] == 1 and weight.ndim > 2:
        return  # depthwise kernels do not add in pairs
    scales = weight_scales(weight).reshape(-1, *[1] * (weight.ndim - 1))
    integers = np.rint(weight / scales)
    assert np.abs(integers).max() <= 127
    for order in (integers, np.moveaxis(integers, 1, -1)):
        rows = order.reshape(len(order), -1)
        rows = np.pad(rows, ((0, 0), (0, rows.shape[1] % 2)))
        pairs = rows[:, 0::2] + rows[:, 1::2]
        assert (255 * pairs).max() <= SIXTEEN_BITS
        assert (255 * pairs).min() >= -SIXTEEN_BITS - 1


def test_depthwise_weights_use_all_their_bits() -> None:
    weight = np.full((4, 1, 3, 3), 2.0, np.float32)
    assert weight_scales(weight) == pytest.approx(np.full(4, 2 / 127), rel=1e-6)
