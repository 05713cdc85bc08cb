"""An inference request of the Open Inference Protocol, read and held against a model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from numpy.typing import NDArray
from pydantic import ValidationError

from service.contract import TensorSpec, describe
from service.errors import ParameterError, RequestError
from service.loading import Model
from service.protocols.oip_document import InputTensor, RequestedOutput, read_document
from service.protocols.oip_limits import check_tensor, check_values, is_picture
from service.protocols.oip_tensors import (
    from_bytes,
    from_json,
    strings_from_bytes,
    strings_from_json,
)
from service.task import Params
from service.tasks import stylize
from service.uploads import from_base64

ANSWER: Final = "answer"
"""The output that the task's own answer to an encoded picture comes as, JSON in BYTES."""

_REFUSED: Final = ("sequence_id", "sequence_start", "sequence_end")


@dataclass(frozen=True, slots=True)
class Wanted:
    """An output asked for.

    Attributes:
        name: of an output of the graph, or ANSWER.
        binary: whether as bytes behind the document.
        classes: how many of the highest values to tell with their labels; the tensor itself if 0.
    """

    name: str
    binary: bool
    classes: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A request that suits its model.

    Attributes:
        id: the client's own name for the request.
        timeout_s: that it may take, if the client says so.
        outputs: in the order asked for.
        tensors: the graph's inputs with the batch in front; empty where there are pictures.
        pictures: encoded ones.
        params: of the task, for pictures.
    """

    id: str | None
    timeout_s: float | None
    outputs: Sequence[Wanted]
    tensors: Mapping[str, NDArray[Any]]
    pictures: Sequence[bytes]
    params: Params

    @property
    def items(self) -> int:
        """How many runs' worth of work it is."""
        return len(self.pictures) or len(next(iter(self.tensors.values())))


def read_request(body: bytes, header_length: str | None, model: Model) -> Asked:
    """Take a request apart and hold it against the model.

    Args:
        body: without its Content-Encoding.
        header_length: of the document, if the header ``Inference-Header-Content-Length`` says so;
            all of the body otherwise.
        model: it is for.

    Raises:
        RequestError: it is malformed, or does not suit the model.
        ParameterError: a parameter is none of the task's.
    """
    specs = model.manifest.graphs["main"][model.precision].inputs
    document, data = read_document(body, header_length, specs)
    parameters = dict(document.parameters or {})
    refused = [name for name in _REFUSED if parameters.pop(name, False)]
    if refused:
        raise RequestError(f"parameter {refused[0]!r}: models here have no sequences")
    all_binary = parameters.pop("binary_data_output", False) is True
    timeout_us = parameters.pop("timeout", 0)
    parameters.pop("priority", None)
    as_pictures = any(
        is_picture(spec) and spec.name == tensor.name and tensor.datatype == "BYTES"
        for spec in specs
        for tensor in document.inputs
    )
    pictures: list[bytes] = []
    tensors: dict[str, NDArray[Any]] = {}
    params = model.task.Params()
    if as_pictures:
        pictures = _pictures(document.inputs, data)
        params = _params(model, parameters)
    else:
        tensors = _tensors(document.inputs, data, specs, model)
    return Asked(
        document.id,
        _seconds(timeout_us),
        _wanted(document.outputs, model, all_binary, as_pictures),
        tensors,
        pictures,
        params,
    )


def _pictures(inputs: Sequence[InputTensor], data: Sequence[memoryview | None]) -> list[bytes]:
    first, raw = inputs[0], data[0]
    if len(inputs) > 1:
        raise RequestError(
            "beside encoded pictures there is no other input; what the task takes besides is "
            "among the parameters"
        )
    if len(first.shape) not in (1, 2) or first.shape[1:] not in ([], [1]) or not first.shape[0]:
        raise RequestError(f"input {first.name!r} has shape {first.shape}; pictures have [N]")
    count = first.shape[0]
    if raw is not None:
        pictures = [bytes(each) for each in strings_from_bytes(raw, first.name, count)]
    else:
        texts = strings_from_json(first.data, first.name, count)
        pictures = [from_base64(text, f"input {first.name!r}") for text in texts]
    if not all(pictures):
        raise RequestError("a picture is empty (0 bytes)")
    return pictures


def _tensors(
    inputs: Sequence[InputTensor],
    data: Sequence[memoryview | None],
    specs: Sequence[TensorSpec],
    model: Model,
) -> dict[str, NDArray[Any]]:
    given, wanted = [tensor.name for tensor in inputs], [spec.name for spec in specs]
    if sorted(given) != sorted(wanted):
        raise RequestError(f"the inputs are {_listed(given)}; the model takes {_listed(wanted)}")
    by_name = {spec.name: spec for spec in specs}
    tensors = {}
    for tensor, raw in zip(inputs, data, strict=True):
        spec, shape = by_name[tensor.name], tensor.shape
        check_tensor(spec, model.manifest, tensor.datatype, shape)
        if shape[0] != inputs[0].shape[0]:
            raise RequestError(f"the inputs have batches of {inputs[0].shape[0]} and {shape[0]}")
        if raw is None and tensor.data is None:
            raise RequestError(f"input {tensor.name!r} has neither data nor binary_data_size")
        read = from_json(tensor.data, spec, shape) if raw is None else from_bytes(raw, spec, shape)
        tensors[tensor.name] = read
    check_values(model.manifest, tensors)
    return tensors


def _params(model: Model, parameters: Mapping[str, Any]) -> Params:
    if "model" in parameters:
        raise ParameterError("model: it is in the path already")
    try:
        params = model.task.Params.model_validate(_lists(model, parameters))
    except ValidationError as error:
        raise ParameterError(describe(error)) from None
    params.check(model.manifest)
    return params


def _lists(model: Model, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of the protocol have no lists: those of the task are separated by commas."""
    lists = model.task.Params.list_fields()
    # Labels may have commas in them; what tells of labels takes them apart itself.
    separator = "," if model.manifest.task == stylize.NAME else None
    return {
        name: (str(value).split(separator) if separator else [str(value)])
        if name in lists
        else value
        for name, value in parameters.items()
    }


def _wanted(
    outputs: Sequence[RequestedOutput] | None, model: Model, binary: bool, as_pictures: bool
) -> list[Wanted]:
    offered = [spec.name for spec in model.manifest.graphs["main"][model.precision].outputs]
    told = as_pictures and model.manifest.task != stylize.NAME  # whose answer is a picture
    if not outputs:
        return [Wanted(name, binary) for name in ([ANSWER] if told else offered)]
    if told:
        offered.append(ANSWER)
    names = [output.name for output in outputs]
    if len(set(names)) < len(names) or not set(names) <= set(offered):
        raise RequestError(f"the outputs are {_listed(names)}; there are {_listed(offered)}, once")
    return [_output(output, binary) for output in outputs]


def _output(output: RequestedOutput, binary: bool) -> Wanted:
    parameters = output.parameters or {}
    if any(name.startswith("shared_memory") for name in parameters):
        raise RequestError(f"output {output.name!r}: there is no shared memory")
    classes = parameters.get("classification", 0)
    if isinstance(classes, bool) or not isinstance(classes, int) or classes < 0:
        raise RequestError(f"output {output.name!r}: classification is a number of classes")
    return Wanted(output.name, parameters.get("binary_data", binary) is True, classes)


def _seconds(microseconds: Any) -> float | None:
    """The extension's timeout; none where it is 0 or left out."""
    if isinstance(microseconds, bool | str) or microseconds < 0:
        raise RequestError("parameter 'timeout' is a number of microseconds")
    return microseconds / 1e6 if microseconds else None


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name[:64]) for name in names)
