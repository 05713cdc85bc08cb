"""A foreign ONNX file, read and brought into a modern, tidy form that computes the same."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import external_data_helper, version_converter

from training.foreign.errors import ForeignFileError
from training.foreign.names import all_nodes, prune
from training.onnx_file import DTYPES, strip

OPSET = 13
"""The oldest operator set taken as it is; older graphs are converted to it."""
_IR_VERSION = 8
#: A protobuf message, which an ONNX file is, ends at 2 GiB.
MOST_BYTES = (1 << 31) - (1 << 20)
#: What ONNX Runtime computes; anything else is a custom operator.
_DOMAINS = {"", "ai.onnx", "ai.onnx.ml", "com.microsoft"}
_FLOATS = ("float32", "float16", "double")


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output: ``None`` stands for a free length, a shape of ``None`` for no shape."""

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None

    def __str__(self) -> str:
        """As in ``data: float32[1, 3, 224, 224]``."""
        lengths = ["?" if length is None else str(length) for length in self.shape or ()]
        return f"{self.name}: {self.dtype}" + (
            "" if self.shape is None else f"[{', '.join(lengths)}]"
        )


@dataclass(frozen=True, slots=True)
class ForeignFile:
    """A file that was read.

    Attributes:
        path: of the file as it was given.
        hashes: sha256 by name, of the file and of those that hold its weights.
        model: its graph with one input and one output, all weights in it, opset 13 or newer.
        input: the picture's.
        output: the scores'.
        notes: what was changed, for the user to know.
    """

    path: Path
    hashes: dict[str, str]
    model: onnx.ModelProto
    input: Tensor
    output: Tensor
    notes: tuple[str, ...]


def read(path: Path, output: str | None = None) -> ForeignFile:
    """Read a file and tidy its graph up.

    Args:
        path: of the file; weights outside it lie beside it.
        output: name of the output that holds the scores, where there are several.

    Raises:
        ForeignFileError: it cannot be used.
    """
    model, hashes = _load(path)
    _refuse_custom_operators(path, model)
    notes = []
    if _drop_weights_from_inputs(model):
        notes.append("the weights were listed as inputs; they no longer are")
    chosen = _choose_output(path, model, output)
    if others := len(model.graph.output) - 1:
        notes.append(f"{others} other outputs were left out")
        kept = next(value for value in model.graph.output if value.name == chosen.name)
        del model.graph.output[:]
        model.graph.output.append(kept)
    prune(model.graph)
    source = _only_input(path, model)
    version = _opset(model)
    if version < OPSET:
        model = _convert(path, model, version)
        notes.append(f"operator set {version} was converted to {OPSET}")
    strip(model)
    model.ir_version = max(model.ir_version, _IR_VERSION)
    return ForeignFile(path, hashes, model, source, chosen, tuple(notes))


def _load(path: Path) -> tuple[onnx.ModelProto, dict[str, str]]:
    """The model with all of its weights in memory, and the hashes of the files it came from."""
    try:
        _refuse_large(path, [path])
        model = onnx.load(path, format="protobuf", load_external_data=False)
    except OSError as error:
        raise ForeignFileError(f"{path}: cannot be read ({error.strerror})") from error
    except DecodeError as error:
        raise ForeignFileError(f"{path}: is not an ONNX file") from error
    if not model.graph.node:
        raise ForeignFileError(f"{path}: is not an ONNX file, or its graph is empty")
    files = [path, *sorted({path.parent / name for name in _external(model)})]
    try:
        _refuse_large(path, files)
        external_data_helper.load_external_data_for_model(model, str(path.parent))
        hashes = {file.name: _sha256(file) for file in files}
    except OSError as error:
        raise ForeignFileError(
            f"{path}: its weights lie in {error.filename}, which cannot be read "
            f"({error.strerror}); keep the files together"
        ) from error
    except (onnx.checker.ValidationError, ValueError) as error:
        raise ForeignFileError(
            f"{path}: its weights lie in other files, which cannot be read ({_line(error)})"
        ) from error
    return model, hashes


def _external(model: onnx.ModelProto) -> Iterator[str]:
    """Names of the files that hold weights outside the model's own."""
    for tensor in _tensors(model):
        if external_data_helper.uses_external_data(tensor):
            yield external_data_helper.ExternalDataInfo(tensor).location


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    yield from model.graph.initializer
    for node in all_nodes(model.graph):
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for graph in (attribute.g, *attribute.graphs):
                yield from graph.initializer


def _refuse_large(path: Path, files: Iterable[Path]) -> None:
    size = sum(file.stat().st_size for file in files)
    if size > MOST_BYTES:
        raise ForeignFileError(
            f"{path}: with its weights it has {size / 2**30:.1f} GiB; an ONNX file in a model "
            "folder ends at 2 GiB. Convert the weights to float16 first"
        )


def _refuse_custom_operators(path: Path, model: onnx.ModelProto) -> None:
    own = {(function.domain, function.name) for function in model.functions}
    custom = sorted(
        {
            f"{node.domain}::{node.op_type}"
            for node in all_nodes(model.graph)
            if node.domain not in _DOMAINS and (node.domain, node.op_type) not in own
        }
    )
    if custom:
        raise ForeignFileError(
            f"{path}: needs custom operators, which ONNX Runtime does not have: "
            f"{', '.join(custom)}. Export it again with standard operators"
        )


def _drop_weights_from_inputs(model: onnx.ModelProto) -> bool:
    """IR versions before 4 list every initializer as an input, too."""
    constants = {tensor.name for tensor in model.graph.initializer}
    real = [value for value in model.graph.input if value.name not in constants]
    dropped = len(real) < len(model.graph.input)
    del model.graph.input[:]
    model.graph.input.extend(real)
    model.ir_version = max(model.ir_version, _IR_VERSION)
    return dropped


def _only_input(path: Path, model: onnx.ModelProto) -> Tensor:
    inputs = [_tensor(value) for value in model.graph.input]
    if len(inputs) != 1:
        listed = ", ".join(map(str, inputs)) or "none"
        raise ForeignFileError(f"{path}: one input, the picture, is expected; there are: {listed}")
    return inputs[0]


def _choose_output(path: Path, model: onnx.ModelProto, name: str | None) -> Tensor:
    outputs = [_tensor(value) for value in model.graph.output]
    listed = ", ".join(map(str, outputs))
    if name is None and len(outputs) > 1:
        raise ForeignFileError(
            f"{path}: say with --output which of these holds the scores: {listed}"
        )
    found = [output for output in outputs if name in (None, output.name)]
    if not found:
        raise ForeignFileError(f"{path}: has no output {name!r}; there are: {listed or 'none'}")
    if found[0].dtype not in _FLOATS:
        raise ForeignFileError(
            f"{path}: the scores must be floating-point numbers, {found[0]} is not. "
            f"Outputs: {listed}"
        )
    return found[0]


def _tensor(value: onnx.ValueInfoProto) -> Tensor:
    if value.type.WhichOneof("value") != "tensor_type":
        return Tensor(value.name, str(value.type.WhichOneof("value")).removesuffix("_type"), None)
    described = value.type.tensor_type
    dtype = DTYPES.get(described.elem_type)
    shape = None
    if described.HasField("shape"):
        shape = tuple(
            dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None
            for dim in described.shape.dim
        )
    name = dtype or onnx.TensorProto.DataType.Name(described.elem_type).lower()
    return Tensor(value.name, name, shape)


def _opset(model: onnx.ModelProto) -> int:
    """The version of the standard operators; 1 where the file does not say."""
    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    return max(versions, default=1)


def _convert(path: Path, model: onnx.ModelProto, version: int) -> onnx.ModelProto:
    try:
        return version_converter.convert_version(model, OPSET)
    except Exception as error:  # the converter raises many kinds
        raise ForeignFileError(
            f"{path}: operator set {version} is too old and cannot be converted "
            f"({_line(error)}). Export it again with opset {OPSET} or newer"
        ) from error


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
