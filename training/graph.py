"""From a PyTorch module to the float32 ONNX graph, and what the module itself gives."""

import warnings
from collections.abc import Sequence

import onnx
import torch

from service.session import Arrays, split, stack
from training.exportable import Graph
from training.onnx_file import strip


def to_onnx(graph: Graph) -> onnx.ModelProto:
    """Export a module in float32.

    Returns:
        A checked model without traces of the machine it was made on: the same module gives the
        same bytes.

    Raises:
        torch.onnx.OnnxExporterError: the module cannot be exported.
    """
    shapes = {
        name: {axis: torch.export.Dim(length) for axis, length in graph.axes(name).items()}
        for name in graph.example
    }
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own use of what torch deprecates
        program = torch.onnx.export(
            graph.module.eval(),
            tuple(graph.example.values()),
            input_names=list(graph.example),
            output_names=list(graph.outputs),
            dynamic_shapes=tuple(shapes.values()),
            custom_translation_table=dict(graph.translations),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    assert program is not None  # it is None for the older exporter only
    model = program.model_proto
    strip(model)
    onnx.checker.check_model(model, full_check=True)
    return model


def reference(graph: Graph, items: Sequence[Arrays]) -> list[Arrays]:
    """What the module gives for a batch, by output name and taken apart into items."""
    inputs = [torch.tensor(stack([item[name] for item in items])) for name in graph.example]
    with torch.inference_mode():
        outputs = graph.module.eval()(*inputs)
    tensors = outputs if isinstance(outputs, tuple) else (outputs,)
    named = zip(graph.outputs, tensors, strict=True)
    return split({name: tensor.numpy() for name, tensor in named}, len(items))
