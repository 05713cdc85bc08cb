"""Tiny real models for tests: ONNX graphs built node by node, in folders under the contract."""

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper
from PIL import Image

from service.contract import (
    DataSource,
    DType,
    FileRef,
    InputGeometry,
    Manifest,
    Metric,
    Parity,
    Precision,
    Provenance,
    ResizeRule,
    TensorSpec,
    Variant,
)
from service.presets import Preset, write_presets

SLOTS = 6

Found = tuple[Sequence[float], float, int]
"""A box, its score and its label."""

Role = tuple[Mapping[Precision, onnx.ModelProto], Mapping[str, NDArray[Any]]]
"""A role's graphs and golden inputs."""


@dataclass(frozen=True)
class Tiny:
    """A classifier whose logits are the mean colour of three bands of the picture, times a gain.

    ``poison``: a picture whose first pixel is this red value makes the whole run fail (an
    out-of-range Gather), as a broken kernel would.

    ``work``: a run makes this many matrix products (some 0.1 to 0.5 ms each) for each unit of the
    largest first green value among its pictures, so that a picture says how slow it is.
    """

    name: str = "tiny"
    size: int = 16
    labels: tuple[str, ...] = ("red", "green", "blue")
    gain: float = 0.1
    default: bool = True
    poison: int | None = None
    work: int | None = None
    precisions: tuple[Precision, ...] = ("fp32",)
    top1: tuple[float, ...] = (0.9,)
    batch: int | str = "N"
    version: str = "1"

    def write(self, root: Path) -> Path:
        """Write the model's folder below ``root``, the manifest last, and return it.

        A version beside another one shares no file with it but the manifest.
        """
        return _model_folder(
            root / self.name,
            {precision: self.graph() for precision in self.precisions},
            {"images": self._pictures()},
            version=self.version,
            task="classify",
            description="mean colour",
            default=self.default,
            input=InputGeometry(height=self.size, width=self.size, resize="squash"),
            labels=self.labels,
            metrics=tuple(
                Metric(name="top1", value=value, dataset="colours", split="test", variant=precision)
                for precision, value in zip(self.precisions, self.top1, strict=False)
            ),
        )

    def graph(self) -> onnx.ModelProto:
        """``images: uint8[N,S,S,3]`` -> ``logits: float32[N,C]``."""
        nodes = [
            helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["floats", "axes"], ["mean"], keepdims=0),
            helper.make_node("MatMul", ["mean", "weights"], ["product"]),
        ]
        initializers: list[NDArray[Any]] = []
        names: list[str] = []

        def constant(name: str, value: NDArray[Any]) -> None:
            names.append(name)
            initializers.append(value)

        weights = np.zeros((3, len(self.labels)), np.float32)
        for index in range(len(self.labels)):
            weights[index % 3, index] = self.gain
        constant("axes", np.array([1, 2], np.int64))
        constant("weights", weights)
        last = "product"
        if self.poison is not None:
            constant("poison", np.array(self.poison, np.uint8))
            constant("table", np.zeros(1, np.float32))
            constant("starts", np.array([0, 0, 0], np.int64))
            constant("ends", np.array([1, 1, 1], np.int64))
            constant("slice_axes", np.array([1, 2, 3], np.int64))
            nodes += [
                helper.make_node("Slice", ["images", "starts", "ends", "slice_axes"], ["pixel"]),
                helper.make_node("Equal", ["pixel", "poison"], ["poisoned"]),
                helper.make_node("Cast", ["poisoned"], ["index"], to=TensorProto.INT64),
                helper.make_node("Gather", ["table", "index"], ["picked"]),  # only 0 is in range
                helper.make_node("ReduceSum", ["picked", "slice_axes"], ["nothing"], keepdims=0),
                helper.make_node("Unsqueeze", ["nothing", "one"], ["column"]),
                helper.make_node("Add", ["product", "column"], ["sum"]),
            ]
            constant("one", np.array([1], np.int64))
            last = "sum"
        if self.work is not None:
            constant("green_starts", np.array([0, 0, 1], np.int64))
            constant("green_ends", np.array([1, 1, 2], np.int64))
            constant("green_axes", np.array([1, 2, 3], np.int64))
            constant("work", np.array(self.work, np.int64))
            constant("always", np.array(True))
            constant("matrix", np.eye(256, dtype=np.float32))
            constant("zero", np.array(0, np.float32))
            nodes += [
                helper.make_node(
                    "Slice", ["images", "green_starts", "green_ends", "green_axes"], ["greens"]
                ),
                helper.make_node("Cast", ["greens"], ["wide_greens"], to=TensorProto.INT64),
                helper.make_node("ReduceMax", ["wide_greens"], ["rounds"], keepdims=0),
                helper.make_node("Mul", ["rounds", "work"], ["trips"]),
                helper.make_node(
                    "Loop", ["trips", "always", "matrix"], ["worked"], body=_multiplication()
                ),
                helper.make_node("ReduceSum", ["worked"], ["total"], keepdims=0),
                helper.make_node("Mul", ["total", "zero"], ["none"]),
                helper.make_node("Add", [last, "none"], ["slow"]),
            ]
            last = "slow"
        nodes.append(helper.make_node("Identity", [last], ["logits"]))
        graph = helper.make_graph(
            nodes,
            "tiny",
            [
                helper.make_tensor_value_info(
                    "images", TensorProto.UINT8, [self.batch, self.size, self.size, 3]
                )
            ],
            [
                helper.make_tensor_value_info(
                    "logits", TensorProto.FLOAT, [self.batch, len(self.labels)]
                )
            ],
            [onnx.numpy_helper.from_array(v, n) for v, n in zip(initializers, names, strict=True)],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        onnx.checker.check_model(model)
        return model

    def _pictures(self) -> NDArray[np.uint8]:
        ramp = np.linspace(0, 250, self.size * self.size * 3).astype(np.uint8)
        picture = ramp.reshape(self.size, self.size, 3)
        batch = np.stack([picture, picture[::-1]])
        batch[:, 0, 0, 1] = 0  # no work
        return batch


@dataclass(frozen=True)
class TinyDetector:
    """A detector of the same four boxes in every picture, but for the picture's mean ``m`` (0..1).

    The boxes shrink towards the input's upper left corner by ``(1 + m) / 2``, the scores are
    multiplied by ``m``, and those below 0.05 are no detections: there are none in a black picture.
    ``resize`` is the rule a picture comes into the square input by; grey 114 pads it.
    """

    name: str = "boxes"
    size: int = 16
    labels: tuple[str, ...] = ("cat", "dog", "traffic light, red")
    resize: ResizeRule = "letterbox"
    default: bool = True

    BOXES: ClassVar = np.array(
        [[0.25, 0.25, 0.75, 0.75], [0.3, 0.25, 0.8, 0.75], [0, 0.5, 0.5, 1], [0.5, 0, 1, 0.25]],
        np.float32,
    )
    """Shares of the input's sides; the first two overlap by 0.82."""
    SCORES: ClassVar = np.array([1.0, 0.9, 0.7, 0.4], np.float32)
    LABELS: ClassVar = np.array([0, 0, 1, 2], np.int32)

    def write(self, root: Path) -> Path:
        """Write the model's folder below ``root`` and return it."""
        ramp = np.linspace(0, 250, self.size**2 * 3).reshape(1, self.size, self.size, 3)
        return _model_folder(
            root / self.name,
            {"fp32": self.graph()},
            {"images": np.concatenate([ramp, ramp / 2 + 100]).astype(np.uint8)},
            task="detect",
            description="four boxes",
            default=self.default,
            input=InputGeometry(
                height=self.size,
                width=self.size,
                resize=self.resize,
                pad_value=114 if self.resize == "letterbox" else 0,
            ),
            labels=self.labels,
            options={
                "score_threshold": 0.05,
                "iou_threshold": 0.9,
                "default_threshold": 0.3,
                "default_iou_threshold": 0.5,
            },
        )

    def graph(self) -> onnx.ModelProto:
        """``images: uint8[N,S,S,3]`` -> ``boxes``, ``scores``, ``labels`` and ``count``."""
        constants: dict[str, NDArray[Any]] = {
            "axes": np.array([1, 2, 3], np.int64),
            "last": np.array([1], np.int64),
            "white": np.array(255, np.float32),
            "one": np.array(1, np.float32),
            "half": np.array(0.5, np.float32),
            "least": np.array(0.05, np.float32),
            "all_boxes": self.BOXES[None] * np.float32(self.size),
            "all_scores": self.SCORES[None],
            "all_labels": self.LABELS[None],
            "minus_one": np.array([-1], np.int64),
        }
        nodes = [
            helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["floats", "axes"], ["grey"], keepdims=0),
            helper.make_node("Unsqueeze", ["grey", "last"], ["column"]),
            helper.make_node("Div", ["column", "white"], ["mean"]),
            helper.make_node("Mul", ["all_scores", "mean"], ["any_scores"]),
            helper.make_node("GreaterOrEqual", ["any_scores", "least"], ["found"]),
            helper.make_node("Cast", ["found"], ["mask"], to=TensorProto.FLOAT),
            helper.make_node("Cast", ["found"], ["ones"], to=TensorProto.INT32),
            helper.make_node("Mul", ["any_scores", "mask"], ["scores"]),
            helper.make_node("Mul", ["all_labels", "ones"], ["labels"]),
            helper.make_node("ReduceSum", ["ones", "last"], ["count"], keepdims=0),
            helper.make_node("Add", ["mean", "one"], ["more"]),
            helper.make_node("Mul", ["more", "half"], ["factor"]),
            helper.make_node("Mul", ["mask", "factor"], ["factors"]),
            helper.make_node("Unsqueeze", ["factors", "minus_one"], ["corner_factors"]),
            helper.make_node("Mul", ["all_boxes", "corner_factors"], ["boxes"]),
        ]
        info, float32, int32 = helper.make_tensor_value_info, TensorProto.FLOAT, TensorProto.INT32
        graph = helper.make_graph(
            nodes,
            "boxes",
            [info("images", TensorProto.UINT8, ["N", self.size, self.size, 3])],
            [
                info("boxes", float32, ["N", 4, 4]),
                info("scores", float32, ["N", 4]),
                info("labels", int32, ["N", 4]),
                info("count", int32, ["N"]),
            ],
            [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        onnx.checker.check_model(model)
        return model

    def expected(self, mean: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Boxes ``[4,4]`` in pixels of the input and scores ``[4]`` for a mean from 0 to 1."""
        boxes = self.BOXES.astype(np.float64) * self.size * (1 + mean) / 2
        return boxes, self.SCORES.astype(np.float64) * mean


@dataclass(frozen=True)
class TinySegmenter:
    """A segmenter that gives every pixel the label of the nearest colour.

    The confidence is the pixel's brightest channel. What pads a picture has a colour, and with it
    a label, of its own: ``padding``, the last. ``resize`` is the rule a picture comes in by;
    ``options`` are the manifest's.
    """

    name: str = "colours"
    height: int = 12
    width: int = 16
    resize: ResizeRule = "letterbox"
    options: Mapping[str, str] = field(default_factory=lambda: {"background": "black"})
    default: bool = True

    COLOURS: ClassVar = np.array(
        [[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255], [114, 114, 114]], np.float32
    )
    LABELS: ClassVar = ("black", "red", "green, light", "blue", "padding")

    def write(self, root: Path) -> Path:
        """Write the model's folder below ``root`` and return it."""
        ramp = np.linspace(0, 250, self.height * self.width * 3)
        ramp = ramp.reshape(1, self.height, self.width, 3)
        free = self.resize == "pad_to_multiple"
        return _model_folder(
            root / self.name,
            {"fp32": self.graph()},
            {"images": np.concatenate([ramp, ramp[..., ::-1]]).astype(np.uint8)},
            task="segment",
            description="nearest colours",
            default=self.default,
            input=InputGeometry(
                height=self.height,
                width=self.width,
                resize=self.resize,
                multiple=4 if free else 1,
                pad_value=0 if self.resize == "squash" else 114,
                interpolation="nearest",
            ),
            labels=self.LABELS,
            options=self.options,
        )

    def graph(self) -> onnx.ModelProto:
        """``images: uint8[N,H,W,3]`` -> ``mask`` and ``confidence``, ``uint8[N,H,W]``."""
        constants: dict[str, NDArray[Any]] = {
            "last": np.array([-1], np.int64),
            "colours": 2 * self.COLOURS.T,
            "lengths": (self.COLOURS**2).sum(1),
        }
        nodes = [
            helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
            helper.make_node("MatMul", ["floats", "colours"], ["products"]),
            helper.make_node("Sub", ["products", "lengths"], ["nearness"]),
            helper.make_node("ArgMax", ["nearness"], ["nearest"], axis=-1, keepdims=0),
            helper.make_node("Cast", ["nearest"], ["mask"], to=TensorProto.UINT8),
            helper.make_node("ReduceMax", ["floats", "last"], ["brightest"], keepdims=0),
            helper.make_node("Cast", ["brightest"], ["confidence"], to=TensorProto.UINT8),
        ]
        info, uint8 = helper.make_tensor_value_info, TensorProto.UINT8
        free = self.resize == "pad_to_multiple"
        side = ["H", "W"] if free else [self.height, self.width]
        graph = helper.make_graph(
            nodes,
            "colours",
            [info("images", uint8, ["N", *side, 3])],
            [info("mask", uint8, ["N", *side]), info("confidence", uint8, ["N", *side])],
            [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        onnx.checker.check_model(model)
        return model


@dataclass(frozen=True)
class TinyCaptioner:
    """A captioner whose sentences name the picture's brightest channel.

    The scores fall with the brightness of the whole. At its first and fourth word it looks where
    the picture is red, at the second and fifth where it is green, at the third where it is blue.
    """

    name: str = "sentences"
    size: int = 16
    resize: ResizeRule = "squash"
    crop: float = 1.0
    attention: bool = True
    default: bool = True

    WORDS: ClassVar = (
        *("<end>", "<unk>", "a", "red", "green", "blue", "dog", "'s", "BMX", "i", "see"),
        *("brésilien", "t-shirt"),
    )
    """Positions from ``<end>``, 0."""
    GRID: ClassVar = 8
    TOKENS: ClassVar = np.array(
        [
            [[2, colour, 6, 7, 8], [9, 10, colour, 0, 0], [colour, 12, 0, 0, 0]]
            for colour in (3, 4, 5)
        ],
        np.int32,
    )
    """``[3,B,T]``: of each channel the three captions."""
    SCORES: ClassVar = np.array([-0.2, -0.5, -1.0], np.float32)

    def write(self, root: Path) -> Path:
        """Write the model's folder below ``root`` and return it."""
        ramp = np.linspace(0, 250, self.size**2 * 3).reshape(1, self.size, self.size, 3)
        images = np.concatenate([ramp, ramp[..., ::-1] / 2]).astype(np.uint8)
        return _model_folder(
            root / self.name,
            {"fp32": self.graph()},
            {"images": images, "max_length": np.array([5, 2], np.int32)},
            {"vocabulary": ("vocabulary.txt", vocabulary(*self.WORDS))},
            task="caption",
            description="three sentences",
            default=self.default,
            input=InputGeometry(
                height=self.size,
                width=self.size,
                resize=self.resize,
                crop=self.crop,
                pad_value=0,
            ),
        )

    def graph(self) -> onnx.ModelProto:
        """``images``, ``max_length`` -> tokens, lengths, scores and, if wanted, attention."""
        _, beams, words = self.TOKENS.shape
        cell = self.size // self.GRID
        constants: dict[str, NDArray[Any]] = {
            "one": np.array(1, np.float32),
            "white": np.array(255, np.float32),
            "sides": np.array([1, 2], np.int64),
            "last": np.array([-1], np.int64),
            "ahead": np.array([1, 2], np.int64),
            "all_tokens": self.TOKENS,
            "all_scores": self.SCORES,
            "places": np.arange(words, dtype=np.int32).reshape(1, 1, words),
            "nothing": np.array(0, np.int32),
        }
        nodes = [
            helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["floats", "sides"], ["mean"], keepdims=0),
            helper.make_node("ArgMax", ["mean"], ["channel"], axis=-1, keepdims=0),
            helper.make_node("Gather", ["all_tokens", "channel"], ["whole"]),
            helper.make_node("Unsqueeze", ["max_length", "ahead"], ["most"]),
            helper.make_node("Less", ["places", "most"], ["kept"]),
            helper.make_node("Cast", ["kept"], ["keep"], to=TensorProto.INT32),
            helper.make_node("Mul", ["whole", "keep"], ["tokens"]),
            helper.make_node("Greater", ["tokens", "nothing"], ["are_words"]),
            helper.make_node("Cast", ["are_words"], ["counted"], to=TensorProto.INT32),
            helper.make_node("ReduceSum", ["counted", "last"], ["lengths"], keepdims=0),
            helper.make_node("ReduceMean", ["mean", "last"], ["grey"], keepdims=1),
            helper.make_node("Div", ["grey", "white"], ["brightness"]),
            helper.make_node("Add", ["brightness", "one"], ["factor"]),
            helper.make_node("Mul", ["all_scores", "factor"], ["scores"]),
        ]
        info, float32, int32 = helper.make_tensor_value_info, TensorProto.FLOAT, TensorProto.INT32
        outputs = [
            info("tokens", int32, ["N", beams, words]),
            info("lengths", int32, ["N", beams]),
            info("scores", float32, ["N", beams]),
        ]
        if self.attention:
            constants |= {
                "blocks": np.array([-1, self.GRID, cell, self.GRID, cell, 3], np.int64),
                "within": np.array([2, 4], np.int64),
                "looked_at": np.array([place % 3 for place in range(words)], np.int64),
                "grid": np.array([2, 3], np.int64),
                "beam": np.array([1], np.int64),
                "behind": np.array([3, 4], np.int64),
                "little": np.array(1e-3, np.float32),
            }
            nodes += [
                helper.make_node("Reshape", ["floats", "blocks"], ["cells"]),
                helper.make_node("ReduceMean", ["cells", "within"], ["means"], keepdims=0),
                helper.make_node("Add", ["means", "little"], ["positive"]),
                helper.make_node("Transpose", ["positive"], ["planes"], perm=[0, 3, 1, 2]),
                helper.make_node("Gather", ["planes", "looked_at"], ["maps"], axis=1),
                helper.make_node("ReduceSum", ["maps", "grid"], ["sum"], keepdims=1),
                helper.make_node("Div", ["maps", "sum"], ["weights"]),
                helper.make_node("Unsqueeze", ["weights", "beam"], ["of_all"]),
                helper.make_node("Cast", ["are_words"], ["mask"], to=TensorProto.FLOAT),
                helper.make_node("Unsqueeze", ["mask", "behind"], ["of_words"]),
                helper.make_node("Mul", ["of_all", "of_words"], ["attention"]),
            ]
            outputs.append(info("attention", float32, ["N", beams, words, self.GRID, self.GRID]))
        graph = helper.make_graph(
            nodes,
            "sentences",
            [
                info("images", TensorProto.UINT8, ["N", self.size, self.size, 3]),
                info("max_length", int32, ["N"]),
            ],
            outputs,
            [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        onnx.checker.check_model(model)
        return model


@dataclass(frozen=True)
class TinyStylizer:
    """A stylizer that gives each channel of a content the mean and the deviation of a style's.

    That is adaptive instance normalisation of the pixels themselves; a code has the three means
    and then the three deviations. As of a real network, a picture of less than 16 pixels a side
    makes the run fail, and so does one whose first pixel's red is ``poison``.
    """

    name: str = "styles"
    side: int = 64
    style_side: int | None = 48
    presets: Mapping[str, tuple[float, ...]] = field(
        default_factory=lambda: {
            "wave": (20, 60, 180, 40, 30, 20),
            "fire": (200, 90, 10, 50, 40, 5),
        }
    )
    default: bool = True
    poison: int | None = None

    EPSILON: ClassVar = 1e-3

    def write(self, root: Path) -> Path:
        """Write the model's folder below ``root`` and return it."""
        ramp = np.linspace(0, 250, 20 * 24 * 3).reshape(1, 20, 24, 3)
        images = np.concatenate([ramp, ramp[..., ::-1] / 2 + 9]).astype(np.uint8)
        codes = np.array([(90, 90, 90, 30, 30, 30), (20, 60, 180, 40, 30, 20)], np.float32)
        alpha = np.array([1, 0.5], np.float32)
        return _model_folder(
            root / self.name,
            {"fp32": self.graph()},
            {"images": images, "code": codes, "alpha": alpha},
            {"presets": ("presets.json", self.written())} if self.presets else None,
            {"encode": ({"fp32": self.encoder()}, {"images": images})},
            task="stylize",
            description="means and deviations",
            default=self.default,
            input=InputGeometry(height=self.side, width=self.side, resize="pad_to_multiple"),
            options={} if self.style_side is None else {"style_side": self.style_side},
        )

    def written(self) -> bytes:
        """The file of presets."""
        buffer = io.BytesIO()
        Image.new("RGB", (8, 8), (9, 99, 199)).save(buffer, "JPEG")
        return write_presets(
            Preset(
                name,
                name.title(),
                "numbers",
                "CC0-1.0",
                np.array(code, np.float32),
                buffer.getvalue(),
            )
            for name, code in self.presets.items()
        )

    def encoder(self) -> onnx.ModelProto:
        """``images: uint8[N,H,W,3]`` -> ``code: float32[N,6]``."""
        nodes = [
            *self._statistics(),
            helper.make_node("Concat", ["mean", "deviation"], ["whole"], axis=-1),
            helper.make_node("Squeeze", ["whole", "sides"], ["code"]),
        ]
        info = helper.make_tensor_value_info
        return self._model(
            nodes,
            [info("images", TensorProto.UINT8, ["N", "H", "W", 3])],
            [info("code", TensorProto.FLOAT, ["N", 6])],
        )

    def graph(self) -> onnx.ModelProto:
        """``images``, ``code`` and ``alpha`` -> ``stylized: uint8[N,H,W,3]``."""
        nodes = [
            *self._statistics(),
            helper.make_node("Unsqueeze", ["code", "sides"], ["wide"]),
            helper.make_node("Split", ["wide"], ["aim", "spread"], axis=-1, num_outputs=2),
            helper.make_node("Sub", ["floats", "mean"], ["centred"]),
            helper.make_node("Add", ["deviation", "epsilon"], ["divisor"]),
            helper.make_node("Div", ["centred", "divisor"], ["normal"]),
            helper.make_node("Mul", ["normal", "spread"], ["spread_out"]),
            helper.make_node("Add", ["spread_out", "aim"], ["restyled"]),
            helper.make_node("Sub", ["restyled", "floats"], ["change"]),
            helper.make_node("Unsqueeze", ["alpha", "behind"], ["share"]),
            helper.make_node("Mul", ["change", "share"], ["some"]),
            helper.make_node("Add", ["floats", "some"], ["mixed"]),
            helper.make_node("Round", ["mixed"], ["rounded"]),
            helper.make_node("Clip", ["rounded", "zero", "white"], ["clipped"]),
            helper.make_node("Cast", ["clipped"], ["stylized"], to=TensorProto.UINT8),
        ]
        info, float32 = helper.make_tensor_value_info, TensorProto.FLOAT
        picture: list[str | int | None] = ["N", "H", "W", 3]
        return self._model(
            nodes,
            [
                info("images", TensorProto.UINT8, picture),
                info("code", float32, ["N", 6]),
                info("alpha", float32, ["N"]),
            ],
            [info("stylized", TensorProto.UINT8, picture)],
        )

    def expected(
        self, content: NDArray[np.uint8], code: Sequence[float], alpha: float = 1
    ) -> NDArray[np.float64]:
        """What the graph gives for a picture ``[H,W,3]``, to within rounding."""
        floats, (mean, deviation) = content.astype(np.float64), np.split(self.code(content), 2)
        aim, spread = np.split(np.asarray(code, np.float64), 2)
        restyled = (floats - mean) / (deviation + self.EPSILON) * spread + aim
        return np.clip(floats + alpha * (restyled - floats), 0, 255)

    @staticmethod
    def code(style: NDArray[np.uint8]) -> NDArray[np.float64]:
        """The code of a picture ``[H,W,3]``."""
        pixels = style.reshape(-1, 3).astype(np.float64)
        return np.concatenate([pixels.mean(0), pixels.std(0)])

    def _statistics(self) -> list[onnx.NodeProto]:
        """``images`` -> ``floats``, and their ``mean`` and ``deviation``, ``float32[N,1,1,3]``."""
        poisoned = [
            helper.make_node("Slice", ["images", "starts", "ends", "axes"], ["pixel"]),
            helper.make_node("Equal", ["pixel", "poison"], ["is_poison"]),
            helper.make_node("Cast", ["is_poison"], ["index"], to=TensorProto.INT64),
            helper.make_node("Gather", ["table", "index"], ["picked"]),  # only 0 is in range
            helper.make_node("ReduceSum", ["picked"], ["nothing"], keepdims=0),
            helper.make_node("Add", ["cut", "nothing"], ["floats"]),
        ]
        return [
            helper.make_node("Cast", ["images"], ["plain"], to=TensorProto.FLOAT),
            # Reflection by 15 is there to fail where there are fewer than 16 pixels.
            helper.make_node("Pad", ["plain", "margins"], ["padded"], mode="reflect"),
            helper.make_node("Slice", ["padded", "inner", "outer", "sides"], ["cut"]),
            *(poisoned if self.poison is not None else [_identity("cut", "floats")]),
            helper.make_node("ReduceMean", ["floats", "sides"], ["mean"], keepdims=1),
            helper.make_node("Sub", ["floats", "mean"], ["around"]),
            helper.make_node("Mul", ["around", "around"], ["squares"]),
            helper.make_node("ReduceMean", ["squares", "sides"], ["variance"], keepdims=1),
            helper.make_node("Sqrt", ["variance"], ["deviation"]),
        ]

    def _model(
        self,
        nodes: Sequence[onnx.NodeProto],
        inputs: Sequence[onnx.ValueInfoProto],
        outputs: Sequence[onnx.ValueInfoProto],
    ) -> onnx.ModelProto:
        constants: dict[str, NDArray[Any]] = {
            "sides": np.array([1, 2], np.int64),
            "behind": np.array([1, 2, 3], np.int64),
            "margins": np.array([0, 15, 15, 0, 0, 15, 15, 0], np.int64),
            "inner": np.array([15, 15], np.int64),
            "outer": np.array([-15, -15], np.int64),
            "epsilon": np.array(self.EPSILON, np.float32),
            "zero": np.array(0, np.float32),
            "white": np.array(255, np.float32),
            "poison": np.array(self.poison or 0, np.uint8),
            "table": np.zeros(1, np.float32),
            "starts": np.array([0, 0, 0], np.int64),
            "ends": np.array([1, 1, 1], np.int64),
            "axes": np.array([1, 2, 3], np.int64),
        }
        used = {name for node in nodes for name in node.input}
        graph = helper.make_graph(
            nodes,
            "styles",
            inputs,
            outputs,
            [
                onnx.numpy_helper.from_array(value, name)
                for name, value in constants.items()
                if name in used
            ],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        onnx.checker.check_model(model)
        return model


def _identity(before: str, after: str) -> onnx.NodeProto:
    return helper.make_node("Identity", [before], [after])


def vocabulary(*words: str) -> bytes:
    """A vocabulary's file."""
    return "".join(f"{word}\n" for word in words).encode()


def outputs(*found: Found) -> dict[str, Any]:
    """A detector's outputs for one picture, in SLOTS slots."""
    boxes, scores = np.zeros((SLOTS, 4), np.float32), np.zeros(SLOTS, np.float32)
    labels = np.zeros(SLOTS, np.int32)
    for slot, (box, score, label) in enumerate(found):
        boxes[slot], scores[slot], labels[slot] = box, score, label
    return {"boxes": boxes, "scores": scores, "labels": labels, "count": np.int32(len(found))}


def _model_folder(
    folder: Path,
    graphs: Mapping[Precision, onnx.ModelProto],
    golden_inputs: Mapping[str, NDArray[Any]],
    assets: Mapping[str, tuple[str, bytes]] | None = None,
    others: Mapping[str, Role] | None = None,
    version: str = "1",
    **manifest: Any,
) -> Path:
    """Write the roles of a model: graphs, what they give for the golden inputs, manifest.

    ``assets`` are files by their names in the manifest: their own name and the content; ``others``
    are the roles beside ``main``.
    """
    (folder / version).mkdir(parents=True)
    for file, content in (assets or {}).values():
        (folder / version / file).write_bytes(content)
    roles: dict[str, Role] = {"main": (graphs, golden_inputs), **(others or {})}
    variants: dict[str, dict[Precision, Variant]] = {role: {} for role in roles}
    golden: dict[str, NDArray[Any]] = {}
    for role, (of_role, inputs) in roles.items():
        golden |= {f"{role}.input.{name}": array for name, array in inputs.items()}
        for precision, model in of_role.items():
            file = f"{version}/{'model' if role == 'main' else role}.{precision}.onnx"
            onnx.save(model, folder / file)
            session = ort.InferenceSession(folder / file, providers=["CPUExecutionProvider"])
            names = [output.name for output in model.graph.output]
            for name, array in zip(names, session.run(names, dict(inputs)), strict=True):
                golden[f"{role}.{precision}.{name}"] = array
            variants[role][precision] = Variant(
                file=file,
                sha256=sha256(folder / file),
                inputs=tuple(map(_spec, model.graph.input)),
                outputs=tuple(map(_spec, model.graph.output)),
                parity=Parity(tolerance=1e-4, measured=0.0),
            )
    golden_file = "golden.npz" if version == "1" else f"{version}/golden.npz"
    np.savez(folder / golden_file, allow_pickle=False, **golden)
    written = Manifest(
        name=folder.name,
        version=version,
        graphs=variants,
        assets={
            name: FileRef(file=f"{version}/{file}", sha256=sha256(folder / version / file))
            for name, (file, _) in (assets or {}).items()
        },
        golden=FileRef(file=golden_file, sha256=sha256(folder / golden_file)),
        provenance=Provenance(
            command="pytest",
            commit="0" * 40,
            created="2026-01-01",
            libraries={"onnx": onnx.__version__},
            data=(DataSource(name="colours", licence="CC0-1.0"),),
            licence="Apache-2.0",
        ),
        **manifest,
    )
    put(folder, written.model_dump_json(indent=1))
    return folder


def put(folder: Path, manifest: str) -> None:
    """Let a manifest take the place of the one before, in one step."""
    incoming = folder / ".manifest"
    incoming.write_text(manifest)
    incoming.replace(folder / "manifest.json")


def _spec(value: onnx.ValueInfoProto) -> TensorSpec:
    kind = value.type.tensor_type
    dtypes: dict[int, DType] = {
        TensorProto.UINT8: "uint8",
        TensorProto.FLOAT: "float32",
        TensorProto.INT32: "int32",
    }
    shape = tuple(dim.dim_param or dim.dim_value for dim in kind.shape.dim)
    return TensorSpec(name=value.name, dtype=dtypes[kind.elem_type], shape=shape)


def _multiplication() -> onnx.GraphProto:
    """The body of a Loop: the state times ``matrix``."""
    state = [256, 256]
    return helper.make_graph(
        [
            helper.make_node("MatMul", ["state_in", "matrix"], ["state_out"]),
            helper.make_node("Identity", ["go_in"], ["go_out"]),
        ],
        "multiplication",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_in", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state_in", TensorProto.FLOAT, state),
        ],
        [
            helper.make_tensor_value_info("go_out", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state_out", TensorProto.FLOAT, state),
        ],
    )


def sha256(path: Path) -> str:
    """The hash of a file, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def expected_logits(picture: NDArray[np.uint8], gain: float = 0.1) -> Sequence[float]:
    """What Tiny gives for a picture that needs no resizing."""
    return [float(v) for v in picture.reshape(-1, 3).astype(np.float64).mean(0) * gain]
