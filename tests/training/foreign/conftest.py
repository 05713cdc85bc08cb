"""Tiny foreign files, as other exporters leave them, and what they give when run by hand."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from service.contract import read_manifest
from service.device import Device
from service.session import open_session
from training.foreign import command

SIZE = 16
LABELS = ("ant", "bee", "cat", "dog")
MIDDLE = 6
_TYPES = {
    "float32": TensorProto.FLOAT,
    "float16": TensorProto.FLOAT16,
    "uint8": TensorProto.UINT8,
    "int32": TensorProto.INT32,
}


@dataclass(frozen=True)
class Foreign:
    """Convolution, mean over the picture, one layer; ``write`` makes the file.

    ``batch`` is "N" or a number, ``glued``: a constant fits that number only, ``mixed``: the
    scores of a picture depend on the others, ``noisy``: they depend on chance, ``ends``: how the
    scores come out, ``extra``: a further output or input.
    """

    layout: str = "nchw"
    dtype: str = "float32"
    batch: int | str = "N"
    size: int | None = SIZE
    channels: int = 3
    opset: int = 17
    ir_version: int = 8
    weights_as_inputs: bool = False
    external: bool = False
    names: tuple[str, str] = ("data", "scores")
    ends: str = "logits"
    flat: str = "flatten"
    glued: bool = False
    mixed: bool = False
    noisy: bool = False
    extra: str = ""
    domain: str = ""

    def write(self, path: Path) -> Path:
        model = self.model()
        where = "weights.bin" if self.external else None
        onnx.save(
            model,
            path,
            save_as_external_data=self.external,
            location=where,
            size_threshold=0,
        )
        return path

    def model(self) -> onnx.ModelProto:
        source, target = self.names
        random = np.random.default_rng(7)
        middle = MIDDLE + 2 * self.glued
        half = self.dtype == "float16"
        weights: dict[str, NDArray[Any]] = {
            "kernel": random.normal(0, 0.3, (MIDDLE, self.channels, 3, 3)),
            "matrix": random.normal(0, 0.6, (middle, len(LABELS))),
            "bias": random.normal(0, 0.3, len(LABELS)),
        }
        weights = {n: w.astype("float16" if half else "float32") for n, w in weights.items()}
        nodes: list[onnx.NodeProto] = []

        def add(operator: str, *inputs: str, out: str, **attributes: Any) -> None:
            nodes.append(helper.make_node(operator, list(inputs), [out], **attributes))

        last = source
        if self.dtype == "uint8":
            add("Cast", last, out="as_float", to=TensorProto.FLOAT)
            add("Div", "as_float", "255", out="small")
            weights["255"] = np.array(255, np.float32)
            last = "small"
        if self.layout == "nhwc":
            add("Transpose", last, out="planes", perm=[0, 3, 1, 2])
            last = "planes"
        add("Conv", last, "kernel", out="features", strides=[2, 2])
        add("Relu", "features", out="sightline.pixels.0")  # one of the importer's own names
        add("GlobalAveragePool", "sightline.pixels.0", out="pooled")
        last = "pooled"
        if self.glued:
            add("Concat", last, "token", out="glued", axis=1)
            weights["token"] = np.ones((int(self.batch), 2, 1, 1), np.float32)
            last = "glued"
        leading = 0 if self.flat == "flatten" else self.batch
        weights["lengths"] = np.array([leading, middle], np.int64)
        if self.flat == "line":
            add("Reshape", last, "all", out="line")
            weights["all"] = np.array([-1], np.int64)
            add("Reshape", "line", "lengths", out="flat")
        elif self.flat == "turned":  # right for a batch of 1 only, but runs with any
            add("Transpose", last, out="turned", perm=[1, 0, 2, 3])
            add("Reshape", "turned", "lengths", out="flat")
        elif self.flat == "constant":
            add("Constant", out="constant", value=numpy_helper.from_array(weights["lengths"]))
            add("Reshape", last, "constant", out="flat")
        elif self.flat == "reshape":
            add("Reshape", last, "lengths", out="flat")
        elif self.flat == "allowzero":
            add("Reshape", last, "lengths", out="flat", allowzero=1)
        else:
            add("Flatten", last, out="flat")
        add("Gemm", "flat", "matrix", "bias", out="gemm")
        last = "gemm"
        if self.mixed:
            add("Softmax", last, out="mixed", axis=0)
            last = "mixed"
        if self.noisy:
            add("RandomNormalLike", last, out="noise")
            add("Add", last, "noise", out="noisy")
            last = "noisy"
        shape: list[Any] = [self.batch, len(LABELS)]
        if self.ends == "faint":
            add("Mul", last, "tiny", out=target)
            weights["tiny"] = np.array(1e-6, np.float32)
        elif self.ends == "softmax":
            add("Softmax", last, out=target, axis=1)
        elif self.ends == "sharp":
            add("Mul", last, "100", out="sharp")
            weights["100"] = np.array(100, weights["bias"].dtype)
            add("Softmax", "sharp", out=target, axis=1)
        elif self.ends == "sigmoid":
            add("Sigmoid", last, out=target)
        elif self.ends == "argmax":
            add("ArgMax", last, out=target, axis=1)
            shape = [self.batch, 1]
        elif self.ends == "nan":
            add("Sqrt", last, out="root")
            add("Log", "root", out=target)
        elif self.ends in ("nc11", "1nc"):
            add("Unsqueeze", last, "axes", out=target)
            nc11 = self.ends == "nc11"
            weights["axes"] = np.array([2, 3] if nc11 else [0], np.int64)
            shape = [*shape, 1, 1] if nc11 else [1, *shape]
        else:
            add("Identity", last, out=target, domain=self.domain)
        integer = self.ends == "argmax"
        kind = TensorProto.INT64 if integer else _TYPES["float16" if half else "float32"]
        outputs = [helper.make_tensor_value_info(target, kind, shape)]
        if self.extra == "output":
            features = [self.batch, MIDDLE, None, None]
            outputs.insert(0, helper.make_tensor_value_info("features", kind, features))
        plane = [self.size, self.size]
        planes = [self.channels, *plane] if self.layout == "nchw" else [*plane, self.channels]
        picture = [self.batch, *planes]
        inputs = [helper.make_tensor_value_info(source, _TYPES[self.dtype], picture)]
        if self.extra == "input":
            inputs.append(helper.make_tensor_value_info("scale", TensorProto.FLOAT, [1]))
        tensors = [numpy_helper.from_array(value, name) for name, value in weights.items()]
        if self.weights_as_inputs:
            inputs += [
                helper.make_tensor_value_info(t.name, t.data_type, list(t.dims)) for t in tensors
            ]
        graph = helper.make_graph(nodes, "foreign", inputs, outputs, tensors)
        opsets = [helper.make_opsetid("", self.opset)]
        if self.domain:
            opsets.append(helper.make_opsetid(self.domain, 1))
        return helper.make_model(graph, opset_imports=opsets, ir_version=self.ir_version)


@dataclass
class Desk:
    """A folder to work in, and the command."""

    folder: Path
    said: list[str] = field(default_factory=list)

    @property
    def models(self) -> Path:
        return self.folder / "models"

    def run(self, *arguments: str) -> None:
        """``sightline models import ARGUMENTS``, with name and labels."""
        labels = self.folder / "labels.txt"
        if not labels.exists():
            labels.write_text("\n".join(LABELS) + "\n")
        words = ["--name", "mine", "--labels", str(labels), *arguments]
        command.run(
            words, prog="sightline models import", models=self.models, report=self.said.append
        )

    def write(self, **options: Any) -> Path:
        return Foreign(**options).write(self.folder / "net.onnx")

    def logits(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What the imported model gives for one batch."""
        folder = self.models / "mine"
        ((precision, variant),) = read_manifest(folder).graphs["main"].items()
        session = open_session(folder / variant.file, variant, precision, Device("cpu", 1))
        answers = session.run([{"images": image} for image in images])
        return np.stack([answer["logits"] for answer in answers])

    def pictures(self, count: int, seed: int = 3) -> NDArray[np.uint8]:
        """Pictures of different colours ``uint8[N,S,S,3]``."""
        random = np.random.default_rng(seed)
        colours = random.uniform(0, 255, (count, 1, 1, 3))
        noise = random.normal(0, 60, (count, SIZE, SIZE, 3))
        return np.clip(colours + noise, 0, 255).astype(np.uint8)

    def by_hand(
        self,
        images: NDArray[np.uint8],
        *,
        layout: str = "nchw",
        bgr: bool = False,
        mean: Any = 0.0,
        std: Any = 1.0,
        dtype: str = "float32",
        output: str = "scores",
        repeat: int = 1,
    ) -> NDArray[np.float32]:
        """The file's own scores ``float32[N,C]``, picture by picture; mean and std in pixels."""
        path = self.folder / "net.onnx"
        session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
        rows = []
        for image in images:
            pixels: NDArray[Any] = image[..., ::-1] if bgr else image
            if dtype != "uint8":
                pixels = ((pixels.astype(np.float64) - mean) / std).astype(dtype)
            if layout == "nchw":
                pixels = np.moveaxis(pixels, -1, 0)
            batch = np.stack([pixels] * repeat)
            scores = session.run([output], {session.get_inputs()[0].name: batch})[0]
            rows.append(scores.reshape(repeat, -1)[0].astype(np.float32))
        return np.stack(rows)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A place to import tiny files at."""
    return Desk(tmp_path)
