"""ONNX models as files: saved, described for the manifest, rounded to float16; no PyTorch here."""

import hashlib
import warnings
from collections.abc import Mapping
from pathlib import Path

import onnx
from onnxruntime.transformers.float16 import convert_float_to_float16

from service.contract import DType, Parity, TensorSpec, Variant

DTYPES: Mapping[int, DType] = {
    onnx.TensorProto.BOOL: "bool",
    onnx.TensorProto.UINT8: "uint8",
    onnx.TensorProto.INT8: "int8",
    onnx.TensorProto.INT32: "int32",
    onnx.TensorProto.INT64: "int64",
    onnx.TensorProto.FLOAT16: "float16",
    onnx.TensorProto.FLOAT: "float32",
    onnx.TensorProto.STRING: "string",
}
"""The manifest's name of an ONNX element type."""


def to_float16(model: onnx.ModelProto) -> onnx.ModelProto:
    """A float16 variant with the inputs and outputs of the float32 graph."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it reports every weight that float16 rounds to zero
        half: onnx.ModelProto = convert_float_to_float16(copy, keep_io_types=True)
    onnx.checker.check_model(half, full_check=True)
    return half


def save(model: onnx.ModelProto, path: Path) -> str:
    """Write a model and return the sha256 of its bytes."""
    data = model.SerializeToString(deterministic=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def variant(model: onnx.ModelProto, file: str, sha256: str, parity: Parity) -> Variant:
    """The manifest's description of a saved graph."""
    return Variant(
        file=file,
        sha256=sha256,
        inputs=tuple(map(_spec, model.graph.input)),
        outputs=tuple(map(_spec, model.graph.output)),
        parity=parity,
    )


def _spec(value: onnx.ValueInfoProto) -> TensorSpec:
    tensor = value.type.tensor_type
    shape = (dim.dim_param or dim.dim_value for dim in tensor.shape.dim)
    return TensorSpec(name=value.name, dtype=DTYPES[tensor.elem_type], shape=tuple(shape))


def strip(model: onnx.ModelProto) -> None:
    """Take out what the exporter noted about its sources: file names, stack traces, versions."""
    del model.metadata_props[:]
    model.doc_string = ""
    model.graph.name = "main"
    del model.graph.value_info[:]
    _strip(model.graph)


def _strip(graph: onnx.GraphProto) -> None:
    """The same of a graph, and of those within its nodes."""
    tensors = graph.initializer
    for item in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *tensors):
        del item.metadata_props[:]
        item.doc_string = ""
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                _strip(attribute.g)
