"""From a folder to a serving model, and every way in which a folder is refused."""

import json
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from fabricate import Tiny, TinyCaptioner, TinyDetector, sha256, vocabulary

from service.admission import Admission
from service.contract import MAX_ASSET_BYTES, read_manifest
from service.device import Device
from service.errors import GraphError, InferenceError, ManifestError, ModelError
from service.loading import Loader, Model
from service.session import open_session
from service.settings import Settings
from service.tasks import TASKS
from service.telemetry import Telemetry


def loader_over(models: Path, device: Device | None = None, **settings: Any) -> Loader:
    return Loader(
        Settings(models=models, **settings),
        device or Device("cpu", 2),
        TASKS,
        Telemetry(),
        in_service=Admission(),
    )


@asynccontextmanager
async def loaded(folder: Path, **settings: Any) -> AsyncIterator[Model]:
    model = loader_over(folder.parent, **settings).load(folder)
    try:
        yield model
    finally:
        await model.batcher.close()


def rewrite(folder: Path, change: Callable[[Any], object]) -> None:
    """Change the manifest's document."""
    path = folder / "manifest.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def replace_golden(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the golden arrays, and the manifest's hash of them."""
    path = folder / "golden.npz"
    with np.load(path) as archive:
        arrays: dict[str, Any] = dict(archive)
    change(arrays)
    np.savez(path, allow_pickle=False, **arrays)
    rewrite(folder, lambda document: document["golden"].update(sha256=sha256(path)))


async def test_a_loaded_model_answers_and_says_what_it_is(tmp_path: Path) -> None:
    async with loaded(Tiny().write(tmp_path)) as model:
        assert (model.manifest.name, model.precision, model.device.kind) == ("tiny", "fp32", "cpu")
        assert model.deviation <= 1e-4
        picture = np.full((16, 16, 3), (200, 0, 0), np.uint8)
        answer = await model.batcher.submit("main", {"images": picture}, deadline=float("inf"))
        assert answer.outputs["logits"].tolist() == pytest.approx([20, 0, 0])


@pytest.mark.parametrize(
    ("device", "settings", "slots", "max_batch", "capacity"),
    [
        (Device("cpu", 3), {}, 3, 2, 64 + 6),
        (Device("cpu", 3), {"slots": 2, "max_batch": 4, "queue_size": 5}, 2, 4, 5 + 8),
    ],
)
async def test_slots_and_queue_follow_the_device_unless_set(
    tmp_path: Path,
    device: Device,
    settings: dict[str, int],
    slots: int,
    max_batch: int,
    capacity: int,
) -> None:
    folder = Tiny().write(tmp_path)
    model = loader_over(tmp_path, device, **settings).load(folder)
    await model.batcher.close()
    assert (model.batcher.slots, model.batcher.max_batch) == (slots, max_batch)
    assert (model.batcher.capacity, model.admission.capacity) == (capacity, capacity)


async def test_a_gpu_has_two_slots_and_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Tiny().write(tmp_path)
    here = Device("cpu", 1)
    opened: list[tuple[str, int | None]] = []

    def on_cpu(path: Path, variant: Any, field: str, device: Device, gpu_mem: int | None) -> Any:
        opened.append((device.kind, gpu_mem))
        return open_session(path, variant, field, here)

    monkeypatch.setattr("service.loading.open_session", on_cpu)
    model = loader_over(tmp_path, Device("cuda", 8), gpu_memory_mib=256).load(folder)
    await model.batcher.close()
    assert opened == [("cuda", 256)]
    assert (model.batcher.slots, model.batcher.max_batch) == (2, 32)


async def test_a_request_alone_in_the_service_is_run_as_lone(tmp_path: Path) -> None:
    loader = loader_over(tmp_path)
    model = loader.load(Tiny().write(tmp_path))
    seen: list[bool] = []
    session = model.sessions["main"]

    class Watched:
        def run(self, items: Any, *, lone: bool = False) -> Any:
            seen.append(lone)
            return session.run(items, lone=lone)

    assert isinstance(model.sessions, dict)
    model.sessions["main"] = Watched()
    picture = {"images": np.zeros((16, 16, 3), np.uint8)}
    with model.admission.admit():
        await model.batcher.submit("main", picture, deadline=float("inf"))
        with loader.in_service.admit():  # of any model
            await model.batcher.submit("main", picture, deadline=float("inf"))
    await model.batcher.close()
    assert seen == [True, False]


async def test_every_run_teaches_the_admission_how_long_an_item_takes(tmp_path: Path) -> None:
    async with loaded(Tiny().write(tmp_path)) as model:
        assert model.admission.seconds_per_item == 0
        picture = {"images": np.zeros((16, 16, 3), np.uint8)}
        await model.batcher.submit("main", picture, deadline=float("inf"))
    assert model.admission.seconds_per_item > 0


async def test_the_precision_that_is_set_is_loaded(tmp_path: Path) -> None:
    folder = Tiny(precisions=("fp32", "int8"), top1=(0.9, 0.1)).write(tmp_path)
    async with loaded(folder, precision="int8") as model:
        assert model.precision == "int8"
    async with loaded(folder) as model:
        assert model.precision == "fp32"  # int8 gives up too much


def _flip_a_byte(folder: Path, file: str) -> None:
    path = folder / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _swap_graph(folder: Path) -> None:
    """A graph for other pictures, with the right hash."""
    path = folder / "1/model.fp32.onnx"
    onnx.save(Tiny(size=32).graph(), path)
    rewrite(folder, lambda d: d["graphs"]["main"]["fp32"].update(sha256=sha256(path)))


def _shift_golden(folder: Path) -> None:
    replace_golden(folder, lambda a: a.update({"main.fp32.logits": a["main.fp32.logits"] + 1}))


def _drop_golden(folder: Path) -> None:
    replace_golden(folder, lambda arrays: arrays.pop("main.fp32.logits"))


REFUSED: dict[str, tuple[Callable[[Path], object], type[ModelError], str]] = {
    "altered graph": (
        lambda f: _flip_a_byte(f, "1/model.fp32.onnx"),
        GraphError,
        r"tiny: graphs\.main\.fp32\.sha256: .*model\.fp32\.onnx has [0-9a-f]{64}, the manifest",
    ),
    "altered golden": (lambda f: _flip_a_byte(f, "golden.npz"), GraphError, r"golden\.sha256: "),
    "missing graph": (
        lambda f: (f / "1/model.fp32.onnx").unlink(),
        GraphError,
        r"tiny: graphs\.main\.fp32\.file: .* cannot be read \(No such file",
    ),
    "missing golden": (lambda f: (f / "golden.npz").unlink(), GraphError, r"golden\.file: .*read"),
    "a folder for a file": (
        lambda f: rewrite(f, lambda d: d["golden"].update(file="1")),
        GraphError,
        r"golden\.file: .*Is a directory",
    ),
    "other graph": (
        _swap_graph,
        GraphError,
        r"tiny: graphs\.main\.fp32\.inputs\[0\]\.shape: manifest says \['N', 16, 16, 3\]",
    ),
    "golden mismatch": (
        _shift_golden,
        GraphError,
        r"graphs\.main\.fp32: golden outputs differ by 1, more than parity\.tolerance",
    ),
    "golden outputs missing": (_drop_golden, GraphError, r"golden: no arrays main\.fp32\.\*"),
    "unknown task": (
        lambda f: rewrite(f, lambda d: d.update(task="divine")),
        ManifestError,
        "tiny: task: 'divine' is none of classify",
    ),
    "labels too few": (
        lambda f: rewrite(f, lambda d: d.update(labels=["red", "green"])),
        ManifestError,
        r"model 'tiny': graphs\.main\.fp32: logits is float32\['N', 3\], .*\['N', 2\]",
    ),
    "other geometry": (
        lambda f: rewrite(f, lambda d: d["input"].update(height=8)),
        ManifestError,
        r"graphs\.main\.fp32: images is uint8\['N', 16, 16, 3\], .*\['N', 8, 16, 3\]",
    ),
    "no manifest": (lambda f: (f / "manifest.json").unlink(), ManifestError, "cannot be read"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_folder_that_does_not_keep_its_promise_is_refused_by_load_and_by_check(
    tmp_path: Path, what: str
) -> None:
    spoil, kind, complaint = REFUSED[what]
    folder = Tiny().write(tmp_path)
    loader = loader_over(tmp_path)
    assert [row[0] for row in loader.check(folder)] == ["fp32"]
    spoil(folder)
    with pytest.raises(kind, match=complaint):
        loader.load(folder)
    with pytest.raises(kind, match=complaint):
        list(loader.check(folder))


def test_a_graph_that_fails_on_its_own_golden_inputs_is_refused(tmp_path: Path) -> None:
    folder = Tiny().write(tmp_path)
    path = folder / "1/model.fp32.onnx"
    onnx.save(Tiny(poison=0).graph(), path)  # the golden pictures begin with 0
    rewrite(folder, lambda d: d["graphs"]["main"]["fp32"].update(sha256=sha256(path)))
    with pytest.raises(GraphError, match="fails on the golden inputs") as caught:
        loader_over(tmp_path).load(folder)
    assert isinstance(caught.value.__cause__, InferenceError)


async def test_of_several_variants_one_that_is_wrong_here_is_left_out_unless_it_is_asked_for(
    tmp_path: Path,
) -> None:
    folder = Tiny(precisions=("fp32", "int8"), top1=(0.9, 0.9)).write(tmp_path)
    replace_golden(folder, lambda a: a.update({"main.int8.logits": a["main.int8.logits"] + 1}))
    async with loaded(folder) as model:
        assert model.precision == "fp32"
    with pytest.raises(GraphError, match=r"graphs\.main\.int8: golden outputs differ by 1"):
        loader_over(tmp_path, precision="int8").load(folder)


def test_check_goes_through_every_variant_and_stops_at_the_first_wrong_one(tmp_path: Path) -> None:
    folder = Tiny(precisions=("fp32", "fp16", "int8"), top1=(0.9,)).write(tmp_path)
    replace_golden(folder, lambda a: a.update({"main.fp16.logits": a["main.fp16.logits"] + 1}))
    rows = loader_over(tmp_path).check(folder)
    precision, deviation, tolerance = next(rows)
    assert (precision, tolerance) == ("fp32", 1e-4)
    assert deviation <= tolerance
    with pytest.raises(GraphError, match=r"graphs\.main\.fp16"):
        next(rows)


async def test_golden_outputs_are_compared_as_the_task_does(tmp_path: Path) -> None:
    folder = TinyDetector().write(tmp_path)
    tensors = [f"main.fp32.{name}" for name in ("boxes", "scores", "labels")]
    with np.load(folder / "golden.npz") as archive:
        assert (archive["main.fp32.count"] == 4).all()
    replace_golden(folder, lambda a: a.update({name: a[name][:, ::-1] for name in tensors}))
    async with loaded(folder) as model:  # the same detections in other slots
        assert model.deviation < 1e-6
    ((_, deviation, _),) = loader_over(tmp_path).check(folder)
    assert deviation == model.deviation
    replace_golden(folder, lambda a: a.update({"main.fp32.count": a["main.fp32.count"] - 1}))
    with pytest.raises(GraphError, match=r"graphs\.main\.fp32: golden outputs differ by 0\."):
        loader_over(tmp_path).load(folder)


async def test_assets_are_read_with_the_model(tmp_path: Path) -> None:
    folder = TinyCaptioner().write(tmp_path)
    content = (folder / "1/vocabulary.txt").read_bytes()
    async with loaded(folder) as model:
        assert model.assets == {"vocabulary": content}
    assert [row[0] for row in loader_over(tmp_path).check(folder)] == ["fp32"]
    async with loaded(Tiny().write(tmp_path)) as model:
        assert model.assets == {}


def _replace_vocabulary(folder: Path, content: bytes) -> None:
    """Other words, with the right hash."""
    path = folder / "1/vocabulary.txt"
    path.write_bytes(content)
    rewrite(folder, lambda d: d["assets"]["vocabulary"].update(sha256=sha256(path)))


REFUSED_ASSETS: dict[str, tuple[Callable[[Path], object], type[ModelError], str]] = {
    "altered": (
        lambda f: _flip_a_byte(f, "1/vocabulary.txt"),
        GraphError,
        r"sentences: assets\.vocabulary\.sha256: .*vocabulary\.txt has [0-9a-f]{64}, the manifest",
    ),
    "missing": (
        lambda f: (f / "1/vocabulary.txt").unlink(),
        GraphError,
        r"sentences: assets\.vocabulary\.file: .* cannot be read \(No such file",
    ),
    "not named": (
        lambda f: rewrite(f, lambda d: d.update(assets={})),
        ManifestError,
        r"model 'sentences': assets\.vocabulary: a captioner needs its words",
    ),
    "no vocabulary": (
        lambda f: _replace_vocabulary(f, b"a dog"),
        ManifestError,
        r"model 'sentences': assets\.vocabulary: does not end with a line end",
    ),
    "too large": (
        lambda f: _replace_vocabulary(f, b"x" * (MAX_ASSET_BYTES + 1)),
        ManifestError,
        r"sentences: assets\.vocabulary\.file: .* has 16,777,217 bytes; at most 16,777,216 are",
    ),
    "outside the folder": (
        lambda f: rewrite(f, lambda d: d["assets"]["vocabulary"].update(file="../words.txt")),
        ManifestError,
        r"assets\.vocabulary\.file: .* must be a relative path inside the model's folder",
    ),
}


@pytest.mark.parametrize("what", REFUSED_ASSETS)
def test_a_model_whose_asset_is_not_what_was_promised_is_refused_by_load_and_by_check(
    tmp_path: Path, what: str
) -> None:
    spoil, kind, complaint = REFUSED_ASSETS[what]
    folder = TinyCaptioner().write(tmp_path)
    loader = loader_over(tmp_path)
    spoil(folder)
    with pytest.raises(kind, match=complaint):
        loader.load(folder)
    with pytest.raises(kind, match=complaint):
        list(loader.check(folder))


async def test_an_asset_may_be_as_large_as_the_limit(tmp_path: Path) -> None:
    folder = TinyCaptioner().write(tmp_path)
    room = MAX_ASSET_BYTES - len(vocabulary(*TinyCaptioner.WORDS))
    _replace_vocabulary(folder, vocabulary(*TinyCaptioner.WORDS, "z" * (room - 1)))
    async with loaded(folder) as model:
        assert len(model.assets["vocabulary"]) == MAX_ASSET_BYTES


def test_a_classifier_without_labels_is_refused(tmp_path: Path) -> None:
    folder = Tiny().write(tmp_path)
    manifest = read_manifest(folder)
    logits = manifest.graphs["main"]["fp32"].outputs[0]

    def no_labels(document: Any) -> None:
        document["labels"] = []
        variant = document["graphs"]["main"]["fp32"]
        variant["outputs"] = [{**logits.model_dump(), "shape": ["N", 0]}]

    rewrite(folder, no_labels)
    with pytest.raises(ManifestError, match=r"outputs\.0\.shape\.1"):
        loader_over(tmp_path).load(folder)


async def test_a_model_in_a_folder_reached_by_a_link_is_loaded(tmp_path: Path) -> None:
    folder = Tiny().write(tmp_path / "store")
    (tmp_path / "models").mkdir()
    (tmp_path / "models/tiny").symlink_to(folder)
    async with loaded(tmp_path / "models/tiny") as model:
        assert model.manifest.name == "tiny"
    shutil.rmtree(tmp_path / "store")
