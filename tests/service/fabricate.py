"""Tiny real models for tests: ONNX graphs built node by node, in folders under the contract."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper

from service.contract import (
    DataSource,
    FileRef,
    InputGeometry,
    Manifest,
    Metric,
    Parity,
    Precision,
    Provenance,
    TensorSpec,
    Variant,
)


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

    def write(self, root: Path) -> Path:
        """Write the model's folder below ``root`` and return it."""
        folder = root / self.name
        (folder / "1").mkdir(parents=True)
        variants: dict[Precision, Variant] = {}
        golden = {"main.input.images": self._pictures()}
        for precision in self.precisions:
            file = f"1/model.{precision}.onnx"
            onnx.save(self.graph(), folder / file)
            session = ort.InferenceSession(folder / file, providers=["CPUExecutionProvider"])
            logits = session.run(None, {"images": golden["main.input.images"]})[0]
            golden[f"main.{precision}.logits"] = logits
            variants[precision] = Variant(
                file=file,
                sha256=sha256(folder / file),
                inputs=(
                    TensorSpec(
                        name="images",
                        dtype="uint8",
                        shape=(self.batch, self.size, self.size, 3),
                    ),
                ),
                outputs=(
                    TensorSpec(
                        name="logits", dtype="float32", shape=(self.batch, len(self.labels))
                    ),
                ),
                parity=Parity(tolerance=1e-4, measured=0.0),
            )
        np.savez(folder / "golden.npz", allow_pickle=False, **golden)
        manifest = Manifest(
            name=self.name,
            version="1",
            task="classify",
            description="mean colour",
            default=self.default,
            graphs={"main": variants},
            input=InputGeometry(height=self.size, width=self.size, resize="squash"),
            labels=self.labels,
            golden=FileRef(file="golden.npz", sha256=sha256(folder / "golden.npz")),
            metrics=tuple(
                Metric(name="top1", value=value, dataset="colours", split="test", variant=precision)
                for precision, value in zip(self.precisions, self.top1, strict=False)
            ),
            provenance=Provenance(
                command="pytest",
                commit="0" * 40,
                created="2026-01-01",
                libraries={"onnx": onnx.__version__},
                data=(DataSource(name="colours", licence="CC0-1.0"),),
                licence="Apache-2.0",
            ),
        )
        (folder / "manifest.json").write_text(manifest.model_dump_json(indent=1))
        return folder

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
