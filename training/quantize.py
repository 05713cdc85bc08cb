"""Static 8-bit variants: QuantizeLinear and DequantizeLinear around what integers can compute.

Activations are unsigned with one scale a tensor, weights signed with one scale an output channel
(Jacob et al., 2018, https://arxiv.org/abs/1712.05877; the QDQ form is ONNX Runtime's, which fuses
it into integer kernels). Two things are done so that a graph is fast and the same everywhere:

- Pixels are integers already. Where a graph begins with ``(pixel - zero) / divisor``, that is the
  DequantizeLinear of an 8-bit tensor, and the first convolution runs on the pixels themselves.
- Processors without VNNI multiply bytes in pairs and add each pair in 16 bits, saturating. Giving
  all weights 7 bits avoids that and costs accuracy; here a channel's scale grows only as far as
  its own worst pair needs, which leaves most channels nearly all of their 8 bits.
"""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from training.calibration import Range, clip_bounds
from training.feature_maps import WEIGHTED, feature_nodes
from training.graph_edit import GraphEdit

OPERATORS = (*WEIGHTED, "Add")
#: 255 * (127 + rounding of both) just fits in 16 bits.
_PAIR_LIMIT = 127.0
_LIMIT = 127.0


def quantize(
    model: onnx.ModelProto,
    ranges: Mapping[str, Range],
    keep_float: Collection[str] = (),
) -> onnx.ModelProto:
    """Make the 8-bit variant of a float32 graph.

    Args:
        model: left as it is.
        ranges: of every tensor that an 8-bit operator reads or writes, from ``calibrate``.
        keep_float: names of nodes that stay in float32.

    Returns:
        A graph with the same inputs and outputs.
    """
    edit = GraphEdit(model)
    _read_pixels_as_integers(edit)
    nodes = _quantizable(edit, keep_float)
    _absorb_activations(edit, nodes, ranges)
    for node in nodes:
        for tensor in _activations(edit, node):
            _quantize_activation(edit, tensor, ranges)
        if node.op_type != "Gemm":  # a Gemm may give float32 at once
            _quantize_activation(edit, node.output[0], ranges)
    for node in nodes:
        if node.op_type in WEIGHTED:
            _quantize_weights(edit, node, ranges)
    return edit.finish()


def to_observe(model: onnx.ModelProto) -> frozenset[str]:
    """The tensors that ``quantize`` needs the ranges of: inputs and outputs of 8-bit operators."""
    edit = GraphEdit(model)
    tensors: set[str] = set()
    for node in _quantizable(edit, ()):
        tensors |= {*_activations(edit, node), node.output[0]}
        followers = edit.consumers(node.output[0])
        tensors |= {each.output[0] for each in followers if each.op_type in ("Relu", "Clip")}
    return frozenset(tensors)


def _quantizable(edit: GraphEdit, keep_float: Collection[str]) -> list[onnx.NodeProto]:
    return [
        node
        for node in feature_nodes(edit.nodes, edit.constants)
        if node.name not in keep_float and _is_quantizable(edit, node)
    ]


def _is_quantizable(edit: GraphEdit, node: onnx.NodeProto) -> bool:
    if node.op_type in WEIGHTED:
        return all(name in edit.constants for name in node.input[1:])
    return node.op_type in OPERATORS and not any(name in edit.constants for name in node.input)


def _activations(edit: GraphEdit, node: onnx.NodeProto) -> list[str]:
    return [name for name in node.input if name and name not in edit.constants]


def _read_pixels_as_integers(edit: GraphEdit) -> None:
    """Turn Cast, Sub, Div (or Mul) of integer constants into one DequantizeLinear."""
    for cast in [node for node in edit.nodes if node.op_type == "Cast"]:
        chain = [cast]
        while len(chain) < 3 and len(after := edit.consumers(chain[-1].output[0])) == 1:
            chain.append(after[0])
        if [node.op_type for node in chain] not in (["Cast", "Sub", "Div"], ["Cast", "Sub", "Mul"]):
            continue
        zero, factor = (edit.constants.get(node.input[1]) for node in chain[1:])
        if zero is None or factor is None or zero.size != 1 or factor.size != 1:
            continue
        scale = np.float32(factor.item() if chain[2].op_type == "Mul" else 1 / factor.item())
        if zero.item() not in range(256):
            continue
        pixels = helper.make_node(
            "DequantizeLinear",
            [
                cast.input[0],
                edit.add_constant("pixels.scale", scale),
                edit.add_constant("pixels.zero_point", np.uint8(zero.item())),
            ],
            [chain[2].output[0]],
            name="pixels",
        )
        edit.replace(chain, [pixels])
        edit.dequantized[chain[2].output[0]] = float(scale)


def _absorb_activations(
    edit: GraphEdit, nodes: list[onnx.NodeProto], ranges: Mapping[str, Range]
) -> None:
    """Drop Relu and Clip where the 8 bits of the tensor hold no other values anyway."""
    for node in nodes:
        consumers = edit.consumers(node.output[0])
        if len(consumers) != 1 or consumers[0].op_type not in ("Relu", "Clip"):
            continue
        activation = consumers[0]
        low, high = clip_bounds(activation, edit.constants)
        range_ = ranges[activation.output[0]]
        if low <= range_.low and range_.high <= high:
            edit.replace([activation], [])
            node.output[0] = activation.output[0]


def _quantize_activation(edit: GraphEdit, tensor: str, ranges: Mapping[str, Range]) -> None:
    if tensor in edit.dequantized:
        return
    range_ = ranges[tensor]
    scale = np.float32((range_.high - range_.low) / 255 or 1.0)
    zero_point = np.uint8(np.clip(np.rint(-range_.low / scale), 0, 255))
    parameters = [
        edit.add_constant(f"{tensor}.scale", scale),
        edit.add_constant(f"{tensor}.zero_point", zero_point),
    ]
    edit.insert_after(
        tensor,
        lambda source, target: [
            helper.make_node("QuantizeLinear", [source, *parameters], [f"{tensor}.uint8"]),
            helper.make_node("DequantizeLinear", [f"{tensor}.uint8", *parameters], [target]),
        ],
    )
    edit.dequantized[tensor] = float(scale)


def _quantize_weights(edit: GraphEdit, node: onnx.NodeProto, ranges: Mapping[str, Range]) -> None:
    """Replace a node's weights by int8 and its bias by int32, each with its scales.

    What rounding the weights adds to a channel on average is taken off its bias (Nagel et al.,
    2019, https://arxiv.org/abs/1906.04721, section 4.2).
    """
    weight = edit.constants[node.input[1]]
    axis = 0 if node.op_type == "Conv" or _attribute(node, "transB", 0) else 1
    rows = np.moveaxis(weight, axis, 0)
    input_scale = edit.dequantized[node.input[0]]
    scales = weight_scales(rows)
    bias = edit.constants[node.input[2]] if len(node.input) > 2 else None
    if bias is not None:  # the 32-bit bias has the scale of the products
        scales = np.maximum(scales, np.abs(bias) / (input_scale * 2.0**30)).astype(np.float32)
    integers = np.clip(np.rint(rows / _column(scales, rows.ndim)), -_LIMIT, _LIMIT)
    edit.dequantize_constant(node, 1, np.moveaxis(integers, 0, axis).astype(np.int8), scales, axis)
    if bias is not None:
        error = integers * _column(scales, rows.ndim) - rows
        shift = _mean_response(error, ranges[node.input[0]].means, input_scale)
        products = (np.float32(input_scale) * scales).astype(np.float32)
        corrected = np.rint((bias - shift) / products).astype(np.int32)
        edit.dequantize_constant(node, 2, corrected, products, 0)


def _mean_response(
    weight: NDArray[np.float32], means: NDArray[np.float64], step: float
) -> NDArray[np.float64]:
    """The mean output ``float64[out]`` of ``weight[out, in / groups, ...]`` for ``means[in]``.

    The means are rounded to quarters of the input's own steps, so that another machine's last
    bits give the same integers.
    """
    taps = weight.reshape(*weight.shape[:2], -1).sum(axis=2, dtype=np.float64)
    groups = len(means) // taps.shape[1]
    quarter = step / 4
    rounded = (np.rint(means / quarter) * quarter).reshape(groups, 1, -1)
    response: NDArray[np.float64] = (taps.reshape(groups, -1, taps.shape[1]) * rounded).sum(axis=2)
    return response.reshape(-1)


def weight_scales(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """The scale of each output channel.

    Args:
        weight: ``float32[out, in, ...]``, the kernel's rows and columns last.

    Returns:
        ``float32[out]``, such that the weights round into -127..127 and, where a kernel adds
        products in pairs, the weights of no pair round to more than 128 in sum.
    """
    rows = weight.reshape(len(weight), -1)
    largest = np.abs(rows).max(axis=1) / _LIMIT
    if rows.shape[1] != weight.shape[1] and weight.shape[1] == 1:
        pairs = np.zeros_like(largest)  # depthwise kernels multiply in 16 bits
    else:
        channels_last = np.moveaxis(weight, 1, -1).reshape(len(weight), -1)
        pairs = np.maximum(_largest_pair(rows), _largest_pair(channels_last)) / _PAIR_LIMIT
    scales = np.maximum(largest, pairs)
    return np.where(scales > 0, scales, 1.0).astype(np.float32)


def _largest_pair(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """The largest absolute sum of two neighbours (0 and 1, 2 and 3, ...) in each row."""
    even = np.pad(rows, ((0, 0), (0, rows.shape[1] % 2)))
    result: NDArray[np.float32] = np.abs(even[:, 0::2] + even[:, 1::2]).max(axis=1)
    return result


def _column(values: NDArray[Any], ndim: int) -> NDArray[Any]:
    return values.reshape(-1, *[1] * (ndim - 1))


def _attribute(node: onnx.NodeProto, name: str, default: int) -> int:
    return next((int(a.i) for a in node.attribute if a.name == name), default)
