"""The guide's quick start, endpoints and "train your own", typed as they stand there."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import skimage.data
from PIL import Image

from service.contract import read_manifest
from tests.docs.guide import Walk, documents, shape
from tests.docs.pages import ROOT, Block, blocks

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]

QUICK_START, ENDPOINTS = "docs/quickstart.md", "docs/endpoints.md"
API, TRAIN, EXTEND = "docs/api.md", "docs/train-your-own.md", "docs/extending.md"


@pytest.fixture
def walk(tmp_path: Path) -> Iterator[Walk]:
    reader = Walk(tmp_path)
    yield reader
    reader.end()


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    """A reader of the quick start whose service, with the models that are shipped, is ready."""
    reader = Walk(tmp_path_factory.mktemp("quickstart"), ROOT / "models")
    start, docker, wait = blocks(QUICK_START, "sh")[:3]
    assert docker.text.startswith("docker ")  # tests/docker tries it
    try:
        reader.type(start)
        (ready,) = documents(reader.type(wait))
        assert ready["ready"] is True
        yield reader
    finally:
        reader.end()


def held_against(shown: Any, answer: Any) -> None:
    """What came is what the page shows, whatever the numbers and the variant are."""
    for one in (shown, answer):
        one["model"].pop("precision")
        for found in one.get("predictions", ())[1:]:
            found["label"] = "any"
        for caption in one.get("captions", ()):
            caption["text"] = bool(re.fullmatch(r"A .+\.", caption["text"]))
    assert shape(answer) == shape(shown)


def test_the_quick_start(started: Walk) -> None:
    typed = blocks(QUICK_START, "sh", "json", "python")[3:]
    shown = 0
    for block, after in zip(typed, [*typed[1:], None], strict=True):
        if block.language == "json":
            continue
        printed = started.type(block)
        if after is not None and after.language == "json":
            (answer,) = documents(printed)
            held_against(json.loads(after.text), answer)
            shown += 1
    assert shown == 4
    assert printed.strip() == "balloon"  # of the last block, which is Python
    for name in ("boxed.jpg", "styled.jpg"):
        with Image.open(started.folder / name) as picture:
            assert picture.format == "JPEG"


def answered(reader: Walk, block: Block) -> None:
    """Every call of a block had its answer: JSON that is no problem, or the picture it names."""
    written = re.findall(r"-o (\S+)", block.text)
    answers = list(documents(reader.type(block)))
    assert len(answers) == len(re.findall(r"^curl", block.text, re.MULTILINE)) - len(written)
    for answer in answers:
        assert isinstance(answer, list) or answer["model"], answer
    for name in written:
        with Image.open(reader.folder / name) as picture:
            picture.load()
            kind = {".jpg": "JPEG", ".png": "PNG", ".webp": "WEBP"}[Path(name).suffix]
            assert picture.format == kind


@pytest.mark.parametrize("block", blocks(ENDPOINTS, "sh"), ids=str)
def test_the_endpoints(started: Walk, block: Block) -> None:
    answered(started, block)


def photograph(title: str) -> Image.Image:
    """One that scikit-image brings along."""
    return Image.fromarray(getattr(skimage.data, title)())


CALLS = [block for block in blocks(API, "sh") if "/v2/repository" not in block.text]
"""Loading and unloading, which is off by default, has tests/e2e/test_swaps.py."""


@pytest.mark.parametrize("block", CALLS, ids=str)
def test_using_the_api(started: Walk, block: Block) -> None:
    """The page calls its pictures by names a reader's own might have."""
    photographs = {"cat": "chelsea", "street": "chelsea", "park": "astronaut", "house": "rocket"}
    for name, title in {**photographs, "painting": "coffee"}.items():
        photograph(title).save(started.folder / f"{name}.jpg")
    (started.folder / "notes.txt").write_text("no picture")
    answered(started, block)


def test_using_the_api_from_python(started: Walk) -> None:
    photograph("chelsea").save(started.folder / "cat.jpg")
    assert "'label': 'Egyptian cat'" in started.type(blocks(API, "python")[0])


def test_train_your_own(walk: Walk) -> None:
    install, published, from_nothing, check, serve = blocks(TRAIN, "sh")
    (draw,) = blocks(TRAIN, "python")
    (shown,) = blocks(TRAIN, "json")
    assert "--weights" not in published.text  # so it downloads; test_blocks.py parses it
    walk.type(install)
    walk.type(draw)
    assert len(list(walk.folder.glob("my_photos/*/*.png"))) == 120
    walk.type(from_nothing)
    manifest = read_manifest(walk.folder / "models/fruit")
    assert sorted(manifest.labels) == ["lime", "plum", "tomato"]
    assert manifest.precisions == ("fp32", "fp16", "int8")
    for name in ("augmentation.png", "curves.png"):
        with Image.open(walk.folder / "runs/fruit" / name) as picture:
            picture.load()
    assert walk.type(check).startswith("ok      fruit fp32 on cpu")
    ready, answer = documents(walk.type(serve))
    assert ready["models"] == ["fruit"]
    held_against(json.loads(shown.text), answer)
    assert answer["predictions"][0]["score"] > 0.5
    assert sum(one["score"] for one in answer["predictions"]) == pytest.approx(1, abs=1e-5)


SIXTH = """
import importlib.util, sys
import service.api, service.tasks
from service.__main__ import main
spec = importlib.util.spec_from_file_location("service.tasks.embed", "embed.py")
embed = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = service.tasks.embed = service.api.embed = embed
spec.loader.exec_module(embed)
service.tasks.TASKS[embed.NAME] = embed
exec(compile(open("route.py").read(), "route.py", "exec"), vars(service.api))
sys.exit(main(["serve", "--port", sys.argv[1], "--device", "cpu", "--cpus", "1"]))
"""
"""Puts the page's two blocks where the page says that they go, in a process of its own."""


def test_a_sixth_task(walk: Walk) -> None:
    module, route, model = blocks(EXTEND, "python")
    (ask,) = blocks(EXTEND, "sh")
    (walk.folder / "embed.py").write_text(module.text)
    (walk.folder / "route.py").write_text(route.text)
    (walk.folder / "sixth.py").write_text(SIXTH)
    assert walk.type(model).strip() == "models/embedder"
    walk.type(Block(EXTEND, 0, "sh", f"python sixth.py {walk.port} &\n"))
    (_, _, wait) = blocks(QUICK_START, "sh")[:3]
    (ready,) = documents(walk.type(wait))
    assert (ready["models"], ready["refused"]) == (["embedder"], {})
    (answer,) = documents(walk.type(ask))
    assert answer["model"] == {"name": "embedder", "version": "1", "precision": "fp32"}
    assert answer["image"] == {"width": 640, "height": 480}
    assert len(answer["embedding"]) == 64
    assert sum(value**2 for value in answer["embedding"]) == pytest.approx(1, abs=1e-3)
