"""Graphs made for a fixed number of pictures, changed to take any number.

Two ways, and neither is trusted: who calls compares batches with single pictures.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from training.foreign.names import rename
from training.foreign.preprocessing import PREFIX


def free_batch(model: onnx.ModelProto, batch: int) -> onnx.ModelProto:
    """Let the first axis of a graph's input have any length.

    Where a Reshape to constant lengths begins with the batch, that length becomes 0, "as in the
    tensor reshaped", if the tensor begins with the batch as well, or else -1.

    Args:
        model: for ``batch`` pictures; left as it is.
        batch: the length the axis has had.
    """
    shapes = _shapes(model)
    free = onnx.ModelProto()
    free.CopyFrom(model)
    graph = free.graph
    graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            constants[node.output[0]] = node.attribute[0].t
    for number, node in enumerate(graph.node):
        if node.op_type != "Reshape" or node.input[1] not in constants:
            continue
        lengths = numpy_helper.to_array(constants[node.input[1]]).copy()
        if not lengths.size or lengths[0] != batch or 0 in lengths:
            continue
        before = shapes.get(node.input[0])
        if before is None or before[:1] == [batch]:
            lengths[0] = 0
            del node.attribute[:]  # allowzero, its only one, takes a 0 for a length of 0
        elif -1 not in lengths:
            lengths[0] = -1
        name = f"{PREFIX}shape.{number}"
        graph.initializer.append(numpy_helper.from_array(lengths, name))
        node.input[1] = name
    return free


def one_by_one(model: onnx.ModelProto, item_shape: tuple[int, ...]) -> onnx.ModelProto:
    """Run a graph for one picture over any number of them, one after the other.

    Args:
        model: one input and one output, for a batch of 1; left as it is.
        item_shape: of one picture in its input.

    Returns:
        A graph with the same names, whose output is flattened: one row a picture.
    """
    looped = onnx.ModelProto()
    looped.CopyFrom(model)
    graph = looped.graph
    source, target = graph.input[0], graph.output[0]
    picture, scores, item, row, zero, flat = (
        f"{PREFIX}item.{name}" for name in ("picture", "scores", "input", "row", "zero", "flat")
    )
    in_type, out_type = (v.type.tensor_type.elem_type for v in (source, target))
    body = onnx.GraphProto()
    body.CopyFrom(graph)
    body.name = "one_picture"
    inside = {source.name: item, target.name: scores}
    rename(body, lambda name: inside.get(name, name))
    body.node.insert(0, helper.make_node("Unsqueeze", [picture, zero], [item]))
    body.node.append(helper.make_node("Reshape", [scores, flat], [row]))
    body.initializer.append(numpy_helper.from_array(np.array([0], np.int64), zero))
    body.initializer.append(numpy_helper.from_array(np.array([-1], np.int64), flat))
    del body.input[:], body.output[:], body.value_info[:]
    body.input.append(helper.make_tensor_value_info(picture, in_type, item_shape))
    body.output.append(helper.make_tensor_value_info(row, out_type, [None]))
    del graph.node[:], graph.initializer[:], graph.sparse_initializer[:], graph.value_info[:]
    graph.node.append(
        helper.make_node("Scan", [source.name], [target.name], body=body, num_scan_inputs=1)
    )
    free: list[str | int | None] = ["N", *item_shape]
    source.CopyFrom(helper.make_tensor_value_info(source.name, in_type, free))
    target.CopyFrom(helper.make_tensor_value_info(target.name, out_type, ["N", None]))
    return looped


def _shapes(model: onnx.ModelProto) -> dict[str, list[int]]:
    """The shapes of tensors that shape inference can tell; 0 stands for a length it cannot."""
    try:
        inferred = onnx.shape_inference.infer_shapes(model)
    except Exception:  # it raises many kinds on graphs that run all the same
        return {}
    values = (*inferred.graph.value_info, *inferred.graph.input, *inferred.graph.output)
    known = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in values
        if value.type.tensor_type.elem_type != TensorProto.UNDEFINED
        and value.type.tensor_type.HasField("shape")
    }
    return known | {tensor.name: list(tensor.dims) for tensor in inferred.graph.initializer}
