"""The answer to an inference request: a document, and behind it the tensors asked for as bytes."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.contract import Manifest
from service.errors import RequestError
from service.protocols.oip_request import Asked, Wanted
from service.protocols.oip_run import batched
from service.protocols.oip_tensors import datatype_of, to_bytes, to_json
from service.session import Arrays


@dataclass(frozen=True, slots=True)
class Written:
    """An answer ready to be sent.

    Attributes:
        body: all of it.
        header_length: of the document at its start; None if that is all there is.
    """

    body: bytes
    header_length: int | None

    @property
    def media_type(self) -> str:
        """Of the body."""
        return "application/json" if self.header_length is None else "application/octet-stream"


def write(asked: Asked, results: Sequence[Arrays], manifest: Manifest) -> Written:
    """Write the outputs asked for.

    Args:
        asked: the request.
        results: output name to array for each item.
        manifest: of the model.

    Raises:
        RequestError: an output cannot be told as asked.
    """
    document: dict[str, Any] = {
        "model_name": manifest.name,
        "model_version": manifest.version,
        "outputs": [],
    }
    if asked.id is not None:
        document["id"] = asked.id
    behind: list[bytes] = []
    for output in asked.outputs:
        tensor = batched(results, output.name)
        if output.classes:
            tensor = _classified(tensor, output, manifest.labels)
        told: dict[str, Any] = {
            "name": output.name,
            "datatype": datatype_of(tensor),
            "shape": list(tensor.shape),
        }
        if output.binary:
            behind.append(to_bytes(tensor))
            told["parameters"] = {"binary_data_size": len(behind[-1])}
        else:
            told["data"] = to_json(tensor)
        document["outputs"].append(told)
    text = json.dumps(document, allow_nan=False, separators=(",", ":")).encode()
    return Written(b"".join([text, *behind]), len(text) if behind else None)


def _classified(tensor: NDArray[Any], output: Wanted, labels: Sequence[str]) -> NDArray[np.object_]:
    """The highest values of each item, as ``value:index:label`` in BYTES of ``[N, classes]``.

    Raises:
        RequestError: an item is not one row of numbers.
    """
    if tensor.ndim != 2 or tensor.dtype == np.object_:
        raise RequestError(
            f"output {output.name!r} is of shape {list(tensor.shape)}; classification is for [N, C]"
        )
    order = np.argsort(-tensor.astype(np.float64), axis=1, kind="stable")[:, : output.classes]
    told = np.empty(order.shape, np.object_)
    for item, places in enumerate(order.tolist()):
        for rank, place in enumerate(places):
            value = tensor[item, place]
            text = f"{value:f}" if tensor.dtype.kind == "f" else str(value)
            label = f":{labels[place]}" if len(labels) == tensor.shape[1] else ""
            told[item, rank] = f"{text}:{place}{label}".encode()
    return told
