"""Weights that take half the room: stored in 16 bits, computed with in 32.

A graph whose weights are all numbers of float16 loses nothing by it: ONNX Runtime widens them once,
when it loads the file.
"""

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import nn

#: Elements from which a tensor is worth a node of its own.
_LEAST = 1024


def round_weights(module: nn.Module) -> None:
    """Make every weight a number of float16, in place; buffers too.

    Raises:
        ValueError: one is too large to be.
    """
    with torch.no_grad():
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            if tensor.dtype == torch.float32 and tensor.numel() >= _LEAST:
                rounded = tensor.half().float()
                if not torch.isfinite(rounded).all():
                    raise ValueError(f"{name} has values that float16 cannot hold")
                tensor.copy_(rounded)


def store_in_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with those weights in float16 that are numbers of it, and widened at once."""
    stored = onnx.ModelProto()
    stored.CopyFrom(model)
    graph = stored.graph
    widened = []
    for tensor in graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        if values.size < _LEAST or not np.array_equal(half.astype(np.float32), values):
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(half, f"{name}.half"))
        widened.append(
            helper.make_node(
                "Cast", [f"{name}.half"], [name], name=f"{name}.widened", to=onnx.TensorProto.FLOAT
            )
        )
    nodes = [*widened, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(stored, full_check=True)
    return stored
