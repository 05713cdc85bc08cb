"""What a failed run says about whom."""

import threading
import time
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from fabricate import Tiny
from onnx import TensorProto, helper, save

from service.contract import Parity, TensorSpec, Variant
from service.errors import (
    DeviceLostError,
    InferenceError,
    LateError,
    OutOfMemoryError,
    SightlineError,
)
from service.fault import error_of
from service.session import CpuSession, Endable, RunsUnderWay


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("Failed to allocate memory for requested buffer of size 140737488355328", "memory"),
        ("Available memory of 16777216 is smaller than requested bytes of 268435456", "memory"),
        ("CUDA failure 2: out of memory ; GPU=0", "memory"),
        ("CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0", "memory"),
        ("std::bad_alloc", "memory"),
        ("CUDA failure 700: an illegal memory access was encountered ; GPU=0", "device"),
        ("CUDA failure 719: unspecified launch failure ; GPU=0", "device"),
        ("device-side assert triggered", "device"),
        ("Exiting due to terminate flag being set to true.", "late"),
        ("indices element out of data bounds, idx=1 must be within the range [-1,0]", "input"),
        ("CUDA failure 7000: no such thing", "input"),
    ],
)
def test_the_text_of_an_exception_tells_the_kind_of_fault(said: str, kind: str) -> None:
    kinds: dict[str, type[SightlineError]] = {
        "memory": OutOfMemoryError,
        "device": DeviceLostError,
        "late": LateError,
        "input": InferenceError,
    }
    assert type(error_of(RuntimeError(f"[ONNXRuntimeError] : 1 : FAIL : {said}"))) is kinds[kind]


def test_what_python_cannot_allocate_is_a_lack_of_memory() -> None:
    error = error_of(MemoryError())
    assert isinstance(error, OutOfMemoryError)
    assert (error.status, error.headers["Retry-After"]) == (503, "1")


def test_a_run_the_runtime_has_no_memory_for_is_told_from_bad_input(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [
            helper.make_node("Expand", ["x", "many"], ["large"]),
            helper.make_node("ReduceSum", ["large", "axis"], ["y"], keepdims=0),
        ],
        "large",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1]),
            helper.make_tensor_value_info("length", TensorProto.INT64, ["N"]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N"])],
        [helper.make_tensor("axis", TensorProto.INT64, [1], [1])],
    )
    graph.node.insert(0, helper.make_node("Concat", ["one", "length"], ["many"], axis=0))
    graph.initializer.append(helper.make_tensor("one", TensorProto.INT64, [1], [1]))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    save(model, tmp_path / "model.onnx")
    session = ort.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])

    def run(length: int) -> object:
        return session.run(
            ["y"], {"x": np.ones((1, 1), np.float32), "length": np.array([length], np.int64)}
        )

    run(3)
    with pytest.raises(Exception, match="allocate") as raised:
        run(1 << 45)
    assert isinstance(error_of(raised.value), OutOfMemoryError)
    with pytest.raises(Exception, match="ONNXRuntimeError") as raised:
        session.run(["y"], {"x": np.ones((1, 2, 3), np.float32), "length": np.array([1])})
    assert type(error_of(raised.value)) is InferenceError


def tiny_session(root: Path) -> CpuSession:
    tiny = Tiny(work=1000)
    folder = tiny.write(root)
    variant = Variant(
        file="1/model.fp32.onnx",
        sha256="0" * 64,
        inputs=(TensorSpec(name="images", dtype="uint8", shape=("N", 16, 16, 3)),),
        outputs=(TensorSpec(name="logits", dtype="float32", shape=("N", 3)),),
        parity=Parity(tolerance=1e-4, measured=0.0),
    )
    return CpuSession(folder / "1/model.fp32.onnx", variant, "tiny", 1)


def test_a_run_that_is_told_to_ends_and_the_session_goes_on(tmp_path: Path) -> None:
    session = tiny_session(tmp_path)
    assert isinstance(session, Endable)
    assert session.end() == 0  # nothing runs
    endless = np.zeros((16, 16, 3), np.uint8)
    endless[0, 0, 1] = 255  # minutes of work
    failures: list[BaseException] = []

    def run() -> None:
        try:
            session.run([{"images": endless}])
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    while not session.end(older_than_s=0.02):
        assert thread.is_alive()
        time.sleep(0.001)
    assert session.end() == 0  # it has been told
    thread.join(60)
    assert [type(error) for error in failures] == [LateError]
    (answer,) = session.run([{"images": np.zeros((16, 16, 3), np.uint8)}])
    assert answer["logits"].tolist() == [0, 0, 0]


def test_only_runs_that_are_old_enough_are_told_to_end() -> None:
    under_way = RunsUnderWay()
    with under_way.one() as first, under_way.one() as second:
        assert under_way.end(older_than_s=60.0) == 0
        assert not first.terminate
        assert under_way.end() == 2
        assert first.terminate
        assert second.terminate
    assert under_way.end() == 0
