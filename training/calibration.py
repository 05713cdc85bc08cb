"""Which values flow through a graph: the ranges that 8-bit arithmetic has to cover.

The extremes seen over the calibration pictures are used as they are. Cutting them (percentiles,
least squared error) was measured to cost accuracy on the networks here: their unbounded tensors
carry few large values that matter, and their ReLU6 tensors have no tail to cut.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from service.session import Arrays

_STEPS_OF_THE_MANTISSA = 256


@dataclass(frozen=True, slots=True)
class Range:
    """The values a tensor takes.

    Attributes:
        low: the least, at most zero, as 8-bit arithmetic must be able to say zero exactly.
        high: the greatest, at least zero.
        means: ``float64[C]``, of each channel (axis 1).
    """

    low: float
    high: float
    means: NDArray[np.float64]


def calibrate(
    model: onnx.ModelProto, items: Iterable[Arrays], tensors: Collection[str] | None = None
) -> Mapping[str, Range]:
    """Run a float graph over pictures and note what values its float32 tensors take.

    The extremes are rounded outwards to 8 binary digits, so that another machine's last bits
    give the same 8-bit graph.

    Args:
        model: the graph; inputs and outputs are batch first.
        items: inputs by name, without the batch dimension.
        tensors: names of those to look at. ``None``: all that the graph computes.

    Returns:
        The range of each of these, by its name.

    Raises:
        ValueError: there are no items, or a tensor is not finite.
    """
    names, session = _observed(model, tensors)
    lows = dict.fromkeys(names, 0.0)
    highs = dict.fromkeys(names, 0.0)
    sums: dict[str, NDArray[np.float64]] = {}
    count = 0
    for item in items:
        count += 1
        feed = {name: array[np.newaxis] for name, array in item.items()}
        for name, value in zip(names, session.run(names, feed), strict=True):
            lows[name] = min(lows[name], float(value.min()))
            highs[name] = max(highs[name], float(value.max()))
            sums[name] = sums.get(name, 0.0) + _channel_means(value)
    wrong = [name for name in names if not math.isfinite(highs[name] - lows[name])]
    if wrong or not count:
        raise ValueError(f"calibration needs pictures and finite tensors; not finite: {wrong[:3]}")
    return {
        name: Range(-_round_up(-lows[name]), _round_up(highs[name]), sums[name] / count)
        for name in names
    }


def _observed(
    model: onnx.ModelProto, tensors: Collection[str] | None
) -> tuple[Sequence[str], ort.InferenceSession]:
    """A session that also gives the float32 tensors asked for, and the names of these."""
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    graph = inferred.graph
    types = {
        value.name: value.type.tensor_type.elem_type for value in (*graph.value_info, *graph.output)
    }
    computed = [output for node in graph.node for output in node.output]
    names = [
        name
        for name in computed
        if types.get(name) == onnx.TensorProto.FLOAT and (tensors is None or name in tensors)
    ]
    promised = {output.name for output in graph.output}
    graph.output.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        for name in names
        if name not in promised
    )
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    session = ort.InferenceSession(
        inferred.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return names, session


def _channel_means(value: NDArray[np.float32]) -> NDArray[np.float64]:
    axes = tuple(axis for axis in range(value.ndim) if axis != 1)
    means: NDArray[np.float64] = value.mean(axis=axes, dtype=np.float64)
    return means


def _round_up(value: float) -> float:
    mantissa, exponent = math.frexp(value)
    return math.ldexp(
        math.ceil(mantissa * _STEPS_OF_THE_MANTISSA) / _STEPS_OF_THE_MANTISSA, exponent
    )


def clip_bounds(node: onnx.NodeProto, constants: Mapping[str, NDArray[Any]]) -> tuple[float, float]:
    """The bounds a Clip or Relu node holds its input to; infinite where it has none."""
    if node.op_type == "Relu":
        return 0.0, math.inf
    bounds = [-math.inf, math.inf]
    for index, name in enumerate(node.input[1:3]):
        if name:
            bounds[index] = float(constants[name])
    return bounds[0], bounds[1]
