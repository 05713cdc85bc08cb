"""Which values flow through a graph: the ranges that 8-bit arithmetic has to cover.

The extremes seen over the calibration pictures are used as they are. Cutting them (percentiles,
least squared error) was measured to cost accuracy on the networks here: their unbounded tensors
carry few large values that matter, and their ReLU6 tensors have no tail to cut.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
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
    """The values a tensor takes; holds zero, as 8-bit arithmetic must say zero exactly."""

    low: float
    high: float

    @classmethod
    def of(cls, low: float, high: float) -> "Range":
        """The range from ``low`` to ``high``, widened to hold zero.

        Both ends are rounded outwards to 8 binary digits, so that another machine's last bits
        give the same 8-bit graph.
        """
        return cls(-_round_up(max(0.0, -low)), _round_up(max(0.0, high)))


def calibrate(model: onnx.ModelProto, items: Iterable[Arrays]) -> Mapping[str, Range]:
    """Run a float graph over pictures and note the extremes of every float32 tensor.

    Args:
        model: the graph; inputs and outputs are batch first.
        items: inputs by name, without the batch dimension.

    Returns:
        The range of every float32 tensor the graph computes, by its name.

    Raises:
        ValueError: there are no items, or a tensor is not finite.
    """
    names, session = _observed(model)
    lows = dict.fromkeys(names, math.inf)
    highs = dict.fromkeys(names, -math.inf)
    for item in items:
        feed = {name: array[np.newaxis] for name, array in item.items()}
        for name, value in zip(names, session.run(names, feed), strict=True):
            lows[name] = min(lows[name], float(np.min(value, initial=math.inf)))
            highs[name] = max(highs[name], float(np.max(value, initial=-math.inf)))
    wrong = [name for name in names if not math.isfinite(lows[name] + highs[name])]
    if wrong:
        raise ValueError(f"calibration needs pictures and finite tensors; not so: {wrong[:3]}")
    return {name: Range.of(lows[name], highs[name]) for name in names}


def _observed(model: onnx.ModelProto) -> tuple[Sequence[str], ort.InferenceSession]:
    """A session that also gives every float32 tensor, and the names of these."""
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    graph = inferred.graph
    types = {
        value.name: value.type.tensor_type.elem_type
        for value in (*graph.value_info, *graph.output)
    }
    computed = [output for node in graph.node for output in node.output]
    names = [name for name in computed if types.get(name) == onnx.TensorProto.FLOAT]
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


def _round_up(value: float) -> float:
    mantissa, exponent = math.frexp(value)
    return math.ldexp(math.ceil(mantissa * _STEPS_OF_THE_MANTISSA) / _STEPS_OF_THE_MANTISSA, exponent)


def clip_bounds(node: onnx.NodeProto, constants: Mapping[str, NDArray[Any]]) -> tuple[float, float]:
    """The bounds a Clip or Relu node holds its input to; infinite where it has none."""
    if node.op_type == "Relu":
        return 0.0, math.inf
    bounds = [-math.inf, math.inf]
    for index, name in enumerate(node.input[1:3]):
        if name:
            bounds[index] = float(constants[name])
    return bounds[0], bounds[1]
