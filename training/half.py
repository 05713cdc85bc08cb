"""A float16 variant that rounds feature maps alone, for graphs that also compute coordinates.

The converter of onnxruntime leaves such nodes in float32 but rounds what passes between them.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper

from training.feature_maps import feature_nodes
from training.graph_edit import GraphEdit

#: Whose first input alone is a map; the others say how to sample it.
_ONE_MAP = ("Resize",)


def round_maps(model: onnx.ModelProto) -> onnx.ModelProto:
    """Compute feature maps in float16 and everything else as before.

    Args:
        model: left as it is.

    Returns:
        A graph with the same inputs and outputs, and weights of half the size.
    """
    edit = GraphEdit(model)
    inside = list(feature_nodes(edit.nodes, edit.constants))
    rounded = {name for node in inside for name in node.output}
    cast: dict[str, str] = {}
    for node in inside:
        for index, name in enumerate(node.input):
            if not name or (index and node.op_type in _ONE_MAP) or name in rounded:
                continue
            if name not in cast:
                cast[name] = _rounded(edit, name, before=node)
            node.input[index] = cast[name]
    for name in sorted(rounded & _read_outside(edit, inside)):
        _widen(edit, name, inside)
    return edit.finish()


def _rounded(edit: GraphEdit, name: str, before: onnx.NodeProto) -> str:
    """The name of a constant or tensor in float16."""
    half = f"{name}.float16"
    if name in edit.constants:
        return edit.add_constant(half, edit.constants[name].astype(np.float16))
    edit.insert_before(before, helper.make_node("Cast", [name], [half], to=TensorProto.FLOAT16))
    return half


def _read_outside(edit: GraphEdit, inside: list[onnx.NodeProto]) -> set[str]:
    known = {id(node) for node in inside}
    read = {name for node in edit.nodes if id(node) not in known for name in node.input}
    return read | edit.outputs


def _widen(edit: GraphEdit, name: str, inside: list[onnx.NodeProto]) -> None:
    """Give those outside the float32 they know, under the name they know."""
    half = f"{name}.float16"
    producer = next(node for node in inside if name in node.output)
    producer.output[list(producer.output).index(name)] = half
    for node in inside:
        for index, read in enumerate(node.input):
            if read == name:
                node.input[index] = half
    edit.insert_after_node(producer, helper.make_node("Cast", [half], [name], to=TensorProto.FLOAT))
