"""A foreign graph with the contract's arithmetic around it."""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from service.contract import Precision
from training.foreign.names import all_nodes, rename
from training.foreign.preprocessing import PREFIX, Preprocessing
from training.foreign.scores import OutputKind, least_probability

_OURS = {"images", "logits"}
_INTEGER_OPERATORS = {
    "QuantizeLinear",
    "DequantizeLinear",
    "DynamicQuantizeLinear",
    "QLinearConv",
    "QLinearMatMul",
    "ConvInteger",
    "MatMulInteger",
}


def under_contract(
    model: onnx.ModelProto,
    preprocessing: Preprocessing,
    size: tuple[int, int],
    classes: int,
    kind: OutputKind,
) -> onnx.ModelProto:
    """Put the arithmetic before and behind a graph.

    Args:
        model: one input and one output, any number of pictures; left as it is.
        preprocessing: from the contract's pixels to the graph's input.
        size: height and width of the pictures.
        classes: scores a picture, however the output is shaped.
        kind: of the scores; behind probabilities stands a logarithm, which softmax undoes.

    Returns:
        ``images: uint8[N,H,W,3]`` RGB -> ``logits: float32[N,C]``.
    """
    wrapped = onnx.ModelProto()
    wrapped.CopyFrom(model)
    graph = wrapped.graph
    rename(graph, lambda name: f"foreign.{name}" if _is_ours(name) else name)
    source, target = graph.input[0].name, graph.output[0].name
    out_type = graph.output[0].type.tensor_type.elem_type
    before, constants = preprocessing.nodes("images", source)
    behind, more = _to_logits(target, out_type, classes, kind)
    nodes = [*before, *graph.node, *behind]
    del graph.node[:], graph.input[:], graph.output[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.initializer.extend([*constants, *more])
    pixels: list[str | int | None] = ["N", *size, 3]
    graph.input.append(helper.make_tensor_value_info("images", TensorProto.UINT8, pixels))
    logits: list[str | int | None] = ["N", classes]
    graph.output.append(helper.make_tensor_value_info("logits", TensorProto.FLOAT, logits))
    return wrapped


def precision_of(model: onnx.ModelProto) -> Precision:
    """The precision a graph computes in, as the manifest names it."""
    if any(node.op_type in _INTEGER_OPERATORS for node in all_nodes(model.graph)):
        return "int8"
    sizes = dict.fromkeys((TensorProto.FLOAT, TensorProto.FLOAT16), 0)
    for tensor in model.graph.initializer:
        if tensor.data_type in sizes:
            sizes[tensor.data_type] += int(np.prod(tensor.dims))
    return "fp16" if sizes[TensorProto.FLOAT16] > sizes[TensorProto.FLOAT] else "fp32"


def _is_ours(name: str) -> bool:
    return name in _OURS or name.startswith(PREFIX)


def _to_logits(
    source: str, out_type: int, classes: int, kind: OutputKind
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Nodes and constants from the graph's output to ``logits: float32[N,C]``."""
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []

    def step(operator: str, operand: NDArray[Any] | None = None, **attributes: Any) -> None:
        inputs = [nodes[-1].output[0] if nodes else source]
        name = f"{PREFIX}scores.{len(nodes)}"
        if operand is not None:
            constants.append(numpy_helper.from_array(operand, f"{name}.{operator.lower()}"))
            inputs.append(constants[-1].name)
        nodes.append(
            helper.make_node(operator, inputs, [name], name=f"{name}.{operator}", **attributes)
        )

    if out_type != TensorProto.FLOAT:
        step("Cast", to=TensorProto.FLOAT)
    step("Reshape", np.array([-1, classes], np.int64))
    if kind == "probabilities":
        step("Max", np.array(least_probability(_dtype(out_type)), np.float32))
        step("Log")
    nodes[-1].output[0] = "logits"
    return nodes, constants


def _dtype(out_type: int) -> str:
    return "float16" if out_type == TensorProto.FLOAT16 else "float32"
