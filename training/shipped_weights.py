"""Weights of a model that was exported: what was shipped can be trained on.

An exported graph keeps the names of its module's parameters. Those that were stored in 16 bits are
numbers of float16 (see ``training.stored_half``), so nothing was lost.
"""

from collections.abc import Mapping
from pathlib import Path

import onnx
import torch
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import numpy_helper

from service.contract import read_manifest
from training.conversions import ConversionError, State

_HALF = ".half"


def is_model_folder(path: Path) -> bool:
    """Whether a path is a folder with a manifest."""
    return (path / "manifest.json").is_file()


def read_model_folder(folder: Path, names: Mapping[str, torch.Size], prefix: str = "") -> State:
    """The parameters of a module, from the graph ``main`` of a model folder in float32.

    Args:
        folder: with a manifest and a graph ``main`` in fp32.
        names: of the parameters, with their shapes.
        prefix: that the graph puts before the names.

    Returns:
        Those that the graph holds under their own names and in their own shapes.

    Raises:
        ModelError: the manifest cannot be read.
        ConversionError: the graph cannot be read, or holds none of the parameters.
    """
    variants = read_manifest(folder).graphs["main"]
    if "fp32" not in variants:
        raise ConversionError(f"{folder} has no graph in fp32, whose weights could be trained on")
    path = folder / variants["fp32"].file
    try:
        graph = onnx.load(path).graph
    except (OSError, DecodeError) as error:
        raise ConversionError(f"{path} cannot be read as ONNX ({error})") from error
    state = {}
    for tensor in graph.initializer:
        name = tensor.name.removesuffix(_HALF).removeprefix(prefix)
        if name in names:
            values = torch.from_numpy(numpy_helper.to_array(tensor).copy()).float()
            if values.shape == names[name]:
                state[name] = values
    if not state:
        raise ConversionError(f"{path} holds no weights of this network under their names")
    return state
