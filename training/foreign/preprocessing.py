"""The arithmetic between the contract's pixels and what a foreign graph was trained on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Layout = Literal["nchw", "nhwc"]
Channels = Literal["rgb", "bgr"]
Range = Literal["0..255", "0..1"]
InputType = Literal["float32", "float16", "uint8"]

#: What the names that this package gives to tensors of its own begin with.
PREFIX = "sightline."


@dataclass(frozen=True, slots=True)
class Normalisation:
    """``(pixel - mean) / std``, a pixel going from 0 to the end of ``range``.

    Attributes:
        mean: one number, or one a channel in the order the graph takes the channels.
        std: likewise.
        range: ``"0..255"``, or ``"0..1"`` where pixels are divided by 255 first.
    """

    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    range: Range = "0..255"

    @property
    def in_pixels(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and std for pixels from 0 to 255."""
        high = 255.0 if self.range == "0..1" else 1.0
        return tuple(high * m for m in self.mean), tuple(high * s for s in self.std)


@dataclass(frozen=True, slots=True)
class Preset:
    """A convention under a name."""

    normalisation: Normalisation
    channels: Channels
    meaning: str


PRESETS: Mapping[str, Preset] = {
    "torchvision": Preset(
        Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "0..1"),
        "rgb",
        "torchvision, most of timm, much of the ONNX model zoo",
    ),
    "tf": Preset(
        Normalisation((127.5,), (127.5,)), "rgb", "-1..1: Keras 'tf' style, Inception, ViT of timm"
    ),
    "caffe": Preset(
        Normalisation((103.939, 116.779, 123.68), (1.0,)), "bgr", "Caffe and Keras 'caffe' style"
    ),
    "clip": Preset(
        Normalisation(
            (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711), "0..1"
        ),
        "rgb",
        "CLIP and what was tuned from it",
    ),
    "unit": Preset(Normalisation((0.0,), (1.0,), "0..1"), "rgb", "0..1, nothing else"),
    "raw": Preset(Normalisation(), "rgb", "0..255 as they are"),
}


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """All that happens to ``images: uint8[N,H,W,3]`` RGB before the foreign graph.

    Attributes:
        layout: of the graph's input.
        channels: their order in it.
        dtype: of it; with ``"uint8"`` nothing is normalised.
        normalisation: of floating-point inputs.
    """

    layout: Layout
    channels: Channels
    dtype: InputType
    normalisation: Normalisation

    def apply(self, images: NDArray[np.uint8]) -> NDArray[Any]:
        """What the graph takes for ``uint8[N,H,W,3]``, as one would compute it by hand."""
        pixels: NDArray[Any] = images[..., ::-1] if self.channels == "bgr" else images
        if self.dtype != "uint8":
            scaled = pixels.astype(np.float32)
            if self.normalisation.range == "0..1":
                scaled = scaled / np.float32(255)
            mean = np.array(self.normalisation.mean, np.float32)
            std = np.array(self.normalisation.std, np.float32)
            pixels = ((scaled - mean) / std).astype(self.dtype)
        if self.layout == "nchw":
            pixels = pixels.transpose(0, 3, 1, 2)
        return np.ascontiguousarray(pixels)

    def nodes(
        self, source: str, target: str
    ) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
        """The same as ONNX nodes and constants (opset 13), from one tensor to another.

        Pixels are moved while they are bytes. With a single mean and std the arithmetic is Cast,
        Sub, Div of scalars, which ``training.quantize`` can replace by integers.
        """
        steps: list[tuple[str, list[NDArray[Any]], dict[str, Any]]] = []
        if self.channels == "bgr":
            order = np.array([2, 1, 0], np.int64)
            steps.append(("Gather", [order], {"axis": 3}))
        if self.layout == "nchw":
            steps.append(("Transpose", [], {"perm": [0, 3, 1, 2]}))
        if self.dtype != "uint8":
            mean, std = self.normalisation.in_pixels
            steps.append(("Cast", [], {"to": TensorProto.FLOAT}))
            if any(mean):
                steps.append(("Sub", [self._constant(mean)], {}))
            if set(std) != {1.0}:
                steps.append(("Div", [self._constant(std)], {}))
        if self.dtype == "float16":
            steps.append(("Cast", [], {"to": TensorProto.FLOAT16}))
        steps = steps or [("Identity", [], {})]
        nodes, constants = [], []
        for number, (operator, operands, attributes) in enumerate(steps):
            names = [f"{PREFIX}pixels.{number}.{operator.lower()}" for _ in operands]
            constants += [
                numpy_helper.from_array(a, n) for a, n in zip(operands, names, strict=True)
            ]
            last = number == len(steps) - 1
            output = target if last else f"{PREFIX}pixels.{number}"
            name = f"{PREFIX}pixels.{number}.{operator}"
            nodes.append(
                helper.make_node(operator, [source, *names], [output], name=name, **attributes)
            )
            source = output
        return nodes, constants

    def _constant(self, values: tuple[float, ...]) -> NDArray[np.float32]:
        array = np.array(values, np.float32)
        if len(values) == 1:
            return array.reshape(())
        return array.reshape((-1, 1, 1) if self.layout == "nchw" else (-1,))
