"""Graphs behind the Session protocol: signatures, batches, failures, memory."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from fabricate import Tiny, TinyCaptioner, sha256
from onnx import TensorProto, helper

from service import session as session_module
from service.arena import configure
from service.contract import Parity, TensorSpec, Variant, read_manifest
from service.device import CPU_PROVIDER, CUDA_PROVIDER, Device
from service.errors import DeviceError, GraphError, InferenceError
from service.session import (
    CpuSession,
    CudaSession,
    Session,
    open_session,
    split,
    stack,
)
from service.settings import Settings

ROOT = Path(__file__).parents[2]
TINY = Tiny(size=8, poison=7)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return TINY.write(tmp_path)


@pytest.fixture
def variant(folder: Path) -> Variant:
    return read_manifest(folder).graphs["main"]["fp32"]


@pytest.fixture
def cuda_path_on_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """CudaSession's own way of running, with the CPU in the GPU's place."""
    load = session_module._load

    def on_cpu(path: Path, options: ort.SessionOptions, _: list[Any]) -> ort.InferenceSession:
        return load(path, options, [CPU_PROVIDER])

    monkeypatch.setattr(session_module, "_load", on_cpu)
    monkeypatch.setattr(session_module, "CUDA_PROVIDER", CPU_PROVIDER)


@pytest.fixture(params=["narrow only", "narrow and wide", "bound"])
def session(request: pytest.FixtureRequest, folder: Path, variant: Variant) -> Session:
    """Every kind of session there is, over the same graph."""
    if request.param == "bound":
        request.getfixturevalue("cuda_path_on_cpu")
        return CudaSession(folder / variant.file, variant, "main", gpu_mem_mib=64)
    cpus = 1 if request.param == "narrow only" else 2
    return CpuSession(folder / variant.file, variant, "main", cpus)


def pictures(count: int, seed: int = 0, red: int | None = None) -> list[dict[str, Any]]:
    random = np.random.default_rng(seed)
    batch = random.integers(8, 256, (count, 8, 8, 3)).astype(np.uint8)
    if red is not None:
        batch[:, 0, 0, 0] = red
    return [{"images": picture} for picture in batch]


def means(items: Sequence[dict[str, Any]]) -> Any:
    return np.stack([item["images"].reshape(-1, 3).mean(0) * 0.1 for item in items])


@pytest.mark.parametrize("lone", [False, True])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_every_item_of_a_batch_gets_its_own_outputs(
    session: Session, count: int, lone: bool
) -> None:
    items = pictures(count)
    outputs = session.run(items, lone=lone)
    assert [set(output) for output in outputs] == [{"logits"}] * count
    np.testing.assert_allclose([o["logits"] for o in outputs], means(items), rtol=1e-5)


def test_narrow_and_wide_runs_agree(folder: Path, variant: Variant) -> None:
    session = CpuSession(folder / variant.file, variant, "main", 2)
    items = pictures(3)
    alike = session.run(items)
    assert session._wide is None  # until a run wants it
    for narrow, wide in zip(alike, session.run(items, lone=True), strict=True):
        np.testing.assert_array_equal(narrow["logits"], wide["logits"])
    assert session._wide not in (None, session._narrow)


@pytest.mark.parametrize("bound", [False, True], ids=["cpu", "bound"])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_numbers_go_with_the_pictures_of_a_batch(
    request: pytest.FixtureRequest, tmp_path: Path, count: int, bound: bool
) -> None:
    folder = TinyCaptioner().write(tmp_path)
    described = read_manifest(folder).graphs["main"]["fp32"]
    session: Session = CpuSession(folder / described.file, described, "main", 2)
    if bound:
        request.getfixturevalue("cuda_path_on_cpu")
        session = CudaSession(folder / described.file, described, "main", None)
    images = np.random.default_rng(0).integers(0, 256, (count, 16, 16, 3), np.uint8)
    for most in (range(1, 1 + count), range(count, 0, -1)):  # other numbers in the same buffers
        items = [
            {"images": image, "max_length": np.array(words, np.int32)}
            for image, words in zip(images, most, strict=True)
        ]
        for lone in (False, True):
            together = session.run(items, lone=lone)
            assert [each["lengths"][0] for each in together] == list(most)
            for item, outputs in zip(items, together, strict=True):
                (alone,) = session.run([item], lone=lone)
                for name, array in outputs.items():
                    np.testing.assert_array_equal(array, alone[name])


def test_outputs_of_an_earlier_run_are_not_overwritten_by_a_later_one(session: Session) -> None:
    first = pictures(2, seed=1)
    kept = session.run(first)
    for seed in range(2, 6):
        session.run(pictures(2, seed=seed))
    np.testing.assert_allclose([o["logits"] for o in kept], means(first), rtol=1e-5)


def test_a_graph_that_fails_on_a_batch_fails_that_batch_only(
    session: Session, caplog: pytest.LogCaptureFixture
) -> None:
    good, bad = pictures(2), pictures(1, red=7)
    with pytest.raises(InferenceError, match="could not process this input"):
        session.run([*good, *bad])
    assert "a run failed" in caplog.text
    np.testing.assert_allclose(session.run(good)[1]["logits"], means(good)[1], rtol=1e-5)


def test_inputs_the_graph_does_not_take_are_a_failed_run(session: Session) -> None:
    with pytest.raises(InferenceError):
        session.run([{"images": np.zeros((9, 9, 3), np.uint8)}])
    with pytest.raises(InferenceError):
        session.run([{"pictures": np.zeros((8, 8, 3), np.uint8)}])


def test_bound_buffers_are_reused_and_bounded(
    cuda_path_on_cpu: None, folder: Path, variant: Variant
) -> None:
    session = CudaSession(folder / variant.file, variant, "main", None)
    kept = session._buffers._kept
    session.run(pictures(3))
    (buffer,) = kept.values()
    session.run(pictures(3, seed=1))
    assert list(kept.values()) == [buffer]
    for count in range(1, 41):
        session.run(pictures(count))
    assert len(kept) == session_module._PINNED_BUFFERS
    assert [shape[0] for _, shape, _ in kept] == list(range(9, 41))  # the oldest went


def test_bound_buffers_lie_in_pinned_memory_where_there_is_any(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Any] = []

    class Candidate:
        ep_name = CUDA_PROVIDER

        def memory_info(self, kind: Any) -> Any:
            asked.append(kind)
            device = ort.OrtAllocatorType.ORT_DEVICE_ALLOCATOR
            return ort.OrtMemoryInfo("Cpu", device, 0, ort.OrtMemType.DEFAULT)

    configure(Settings().cpu_arena_mib)  # makes the allocator the candidate's memory belongs to
    monkeypatch.setattr(ort, "get_ep_devices", lambda: [Candidate()])
    value = session_module._host_tensor((2, 3), np.dtype(np.uint8))
    value.numpy()[:] = 7
    assert value.numpy().tolist() == [[7, 7, 7], [7, 7, 7]]
    assert asked == [ort.OrtDeviceMemoryType.HOST_ACCESSIBLE]


def test_a_cuda_session_that_fell_back_to_the_cpu_is_refused(
    monkeypatch: pytest.MonkeyPatch, folder: Path, variant: Variant
) -> None:
    load = session_module._load
    monkeypatch.setattr(session_module, "_load", lambda p, o, _: load(p, o, [CPU_PROVIDER]))
    with pytest.raises(DeviceError, match=r"the session fell back to.*CPUExecutionProvider"):
        open_session(folder / variant.file, variant, "main", Device("cuda", 2), 512)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"name": "pictures"}, r"main\.inputs: manifest names \['pictures'\].*\['images'\]"),
        ({"dtype": "float32"}, r"main\.inputs\[0\]\.dtype: manifest says float32.*uint8"),
        ({"shape": ("N", 8, 9, 3)}, r"main\.inputs\[0\]\.shape: manifest says \['N', 8, 9, 3\]"),
        ({"shape": ("N", 8, "W", 3)}, r"main\.inputs\[0\]\.shape"),
        ({"shape": (1, 8, 8, 3)}, r"main\.inputs\[0\]\.shape"),
        ({"shape": ("N", 8, 8)}, r"main\.inputs\[0\]\.shape"),
    ],
)
def test_an_input_that_differs_from_the_manifest_is_named(
    folder: Path, variant: Variant, change: dict[str, Any], complaint: str
) -> None:
    wrong = variant.model_copy(update={"inputs": (variant.inputs[0].model_copy(update=change),)})
    with pytest.raises(GraphError, match=complaint):
        open_session(folder / variant.file, wrong, "main", Device("cpu", 1))


def test_an_output_that_differs_from_the_manifest_is_named(folder: Path, variant: Variant) -> None:
    logits = variant.outputs[0]
    for outputs, complaint in (
        ((logits, logits.model_copy(update={"name": "boxes"})), r"main\.outputs: manifest names"),
        ((logits.model_copy(update={"dtype": "float16"}),), r"main\.outputs\[0\]\.dtype"),
        ((logits.model_copy(update={"shape": ("N", 4)}),), r"main\.outputs\[0\]\.shape"),
    ):
        wrong = variant.model_copy(update={"outputs": outputs})
        with pytest.raises(GraphError, match=complaint):
            open_session(folder / variant.file, wrong, "main", Device("cpu", 1))


def test_a_dimension_may_have_another_name_than_in_the_graph(
    folder: Path, variant: Variant
) -> None:
    images = variant.inputs[0].model_copy(update={"shape": ("batch", 8, 8, 3)})
    other = variant.model_copy(update={"inputs": (images,)})
    open_session(folder / variant.file, other, "main", Device("cpu", 1)).run(pictures(2))


@pytest.mark.parametrize("content", [b"", b"no graph at all"])
def test_a_file_that_is_no_graph_is_refused(
    tmp_path: Path, folder: Path, variant: Variant, content: bytes
) -> None:
    (tmp_path / "broken.onnx").write_bytes(content)
    with pytest.raises(GraphError, match=r"broken\.onnx: .+"):
        open_session(tmp_path / "broken.onnx", variant, "main", Device("cpu", 1))


def test_a_graph_whose_output_has_no_batch_dimension_fails_its_runs(tmp_path: Path) -> None:
    model = onnx_model([helper.make_node("ReduceSum", ["x", "zero"], ["y"], keepdims=0)], "x", "y")
    path, variant = save(tmp_path, model, ["N", 4], [4])
    session = open_session(path, variant, "main", Device("cpu", 1))
    items = [{"x": np.ones(4, np.float32)}] * 3
    with pytest.raises(InferenceError, match=r"output 'y' has shape \(4,\) for a batch of 3"):
        session.run(items)


def onnx_model(nodes: list[onnx.NodeProto], x: str, y: str) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, ["N", 4])],
        [helper.make_tensor_value_info(y, TensorProto.FLOAT, [4])],
        [onnx.numpy_helper.from_array(np.array([0], np.int64), "zero")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def save(
    folder: Path, model: onnx.ModelProto, x: list[int | str], y: list[int | str]
) -> tuple[Path, Variant]:
    path = folder / "model.onnx"
    onnx.save(model, path)
    return path, Variant(
        file="1/model.onnx",
        sha256=sha256(path),
        inputs=(TensorSpec(name="x", dtype="float32", shape=tuple(x)),),
        outputs=(TensorSpec(name="y", dtype="float32", shape=tuple(y)),),
        parity=Parity(tolerance=0.0, measured=0.0),
    )


def test_a_batch_is_taken_apart_in_order_and_no_row_may_be_missing() -> None:
    outputs = {"a": np.arange(6).reshape(3, 2), "b": np.array([7, 8, 9])}
    rows = split(outputs, 3)
    assert [row["a"].tolist() for row in rows] == [[0, 1], [2, 3], [4, 5]]
    assert [int(row["b"]) for row in rows] == [7, 8, 9]
    assert all(isinstance(row["b"], np.ndarray) and row["b"].shape == () for row in rows)
    for count in (2, 4):
        with pytest.raises(InferenceError, match=f"for a batch of {count}"):
            split(outputs, count)
    with pytest.raises(InferenceError, match=r"output 'c' has shape \(\) for a batch of 1"):
        split({"c": np.array(1)}, 1)


def test_a_single_array_is_not_copied_to_make_a_batch_of_one() -> None:
    array = np.zeros((2, 2))
    assert np.shares_memory(stack([array]), array)
    assert stack([array]).shape == (1, 2, 2)
    assert stack([array, array]).shape == (2, 2, 2)
    number = np.array(7, np.int32)
    for batch in ([number], [number, number]):
        stacked = stack(batch)
        assert (stacked.shape, stacked.dtype) == ((len(batch),), np.dtype(np.int32))
        assert (stacked == 7).all()


OVER_THE_BOUND = """
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from service.contract import Parity, TensorSpec, Variant
from service.device import Device
from service.errors import InferenceError
from service.arena import configure
from service.session import open_session

path = Path(sys.argv[1])
floats = TensorProto.FLOAT
graph = helper.make_graph(
    [
        helper.make_node("Expand", ["x", "large"], ["wide"]),  # 16 MiB an item
        helper.make_node("Softmax", ["wide"], ["soft"]),
        helper.make_node("ReduceSum", ["soft", "last"], ["y"], keepdims=0),
    ],
    "large",
    [helper.make_tensor_value_info("x", floats, ["N", 1])],
    [helper.make_tensor_value_info("y", floats, ["N"])],
    [
        onnx.numpy_helper.from_array(np.array([1, 4 << 20], np.int64), "large"),
        onnx.numpy_helper.from_array(np.array([1], np.int64), "last"),
    ],
)
opset = [helper.make_opsetid("", 18)]
onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)
variant = Variant(
    file="1/model.onnx",
    sha256="0" * 64,
    inputs=(TensorSpec(name="x", dtype="float32", shape=("N", 1)),),
    outputs=(TensorSpec(name="y", dtype="float32", shape=("N",)),),
    parity=Parity(tolerance=0.0, measured=0.0),
)
configure(cpu_arena_mib=100)
configure(cpu_arena_mib=100)  # the second time changes nothing and fails nothing
session = open_session(path, variant, "main", Device("cpu", 2))
one = {"x": np.ones(1, np.float32)}
for lone in (False, True):
    for count in (1, 8, 1):  # 32, 256 and again 32 MiB
        try:
            (first, *_) = session.run([one] * count, lone=lone)
            sys.stdout.write(f"{count}: {float(first['y']):.3f}\\n")
        except InferenceError as error:
            sys.stdout.write(f"{count}: {type(error).__name__}: {error}\\n")
"""


def test_a_run_that_needs_more_than_the_arena_fails_alone(tmp_path: Path) -> None:
    """In a process of its own: the arena is set up once a process."""
    done = subprocess.run(
        [sys.executable, "-c", OVER_THE_BOUND, str(tmp_path / "model.onnx")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    failed = "8: OutOfMemoryError: there is not enough memory for this now; try again later"
    assert done.stdout.splitlines() == ["1: 1.000", failed, "1: 1.000"] * 2, done.stderr


GROWING = """
import sys
from pathlib import Path
import numpy as np
import onnx
from onnx import TensorProto, helper
from service.contract import Parity, TensorSpec, Variant
from service.device import Device
from service.arena import configure
from service.session import open_session

path, floats = Path(sys.argv[1]), TensorProto.FLOAT
graph = helper.make_graph(
    [
        helper.make_node("Softmax", ["x"], ["once"]),
        helper.make_node("Softmax", ["once"], ["twice"]),
        helper.make_node("ReduceSum", ["twice", "last"], ["y"], keepdims=0),
    ],
    "growing",
    [helper.make_tensor_value_info("x", floats, ["N", "L"])],
    [helper.make_tensor_value_info("y", floats, ["N"])],
    [onnx.numpy_helper.from_array(np.array([1], np.int64), "last")],
)
opset = [helper.make_opsetid("", 18)]
onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)
variant = Variant(
    file="1/model.onnx",
    sha256="0" * 64,
    inputs=(TensorSpec(name="x", dtype="float32", shape=("N", "L")),),
    outputs=(TensorSpec(name="y", dtype="float32", shape=("N",)),),
    parity=Parity(tolerance=0.0, measured=0.0),
)
configure(cpu_arena_mib=100)
session = open_session(path, variant, "main", Device("cpu", 2))
for lone in (False, True):
    for half_mib in range(2, 20):  # at most 2 tensors of 38 MiB at a time, 700 MiB in all
        (only,) = session.run([{"x": np.ones(half_mib << 19, np.float32)}], lone=lone)
        sys.stdout.write(f"{float(only['y']):.1f}\\n")
"""


def test_runs_of_ever_larger_inputs_do_not_fill_the_arena(tmp_path: Path) -> None:
    """In a process of its own: the arena is set up once a process."""
    done = subprocess.run(
        [sys.executable, "-c", GROWING, str(tmp_path / "model.onnx")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.stdout.splitlines() == ["1.0"] * 36, done.stderr
