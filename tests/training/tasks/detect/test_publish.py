"""A detector exported: one graph for any number of pictures, and the service's answers with it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from service import cli
from service.app import create_app
from service.boxes import iou
from service.contract import Manifest, read_manifest
from service.device import Device
from service.session import Arrays, Session, open_session
from service.settings import Settings
from service.tasks import detect as served
from service.tasks.detect import deviation
from tests.training.nets.detection.random_detectors import LIGHT, batched, random_detector
from training.export import export
from training.exportable import Exportable
from training.graph import reference
from training.optimisation import Optimisation
from training.settings import Training
from training.tasks.detect import steady
from training.tasks.detect.config import Detect
from training.tasks.detect.metrics import Detections, measure
from training.tasks.detect.predict import item, predict, predict_with
from training.tasks.detect.publish import TOLERANCE, publish
from training.tasks.detect.train import Results, train

SIZE = 96
COMMAND = "sightline-train detect --data shapes"
CONFIG = Detect(
    name="shapes",
    size=SIZE,
    frozen_stages=0,
    threshold=0.4,
    iou_threshold=0.3,
    optimisation=Optimisation(batch_size=4, lr=1e-5),
    training=Training(epochs=1, warmup_epochs=0),
)


def results_of(config: Detect, fabric: Fabric) -> Results:
    """Of a training that begins with spread weights and changes them little.

    After a few steps from nothing all boxes score alike, and any of them may be the best. The
    least score is such that something is found in half of the test pictures.
    """
    results = train(config, fabric)
    test, detector = results.gathered.test, results.module.detector
    images = torch.from_numpy(np.stack([item(test, at) for at in range(len(test))]))
    with torch.inference_mode():
        best = results.module(images)[1][:, 0].sort().values
    detector.roi_heads.score_thresh = float(best[2:4].mean())
    module = batched(detector, LIGHT, SIZE, SIZE)
    quality = measure(predict(module, test, config.iou_threshold), test.boxed, 20)
    return replace(results, module=module, quality=quality)


@dataclass
class Made:
    """A model folder and what it was made from."""

    results: Results
    exportable: Exportable
    folder: Path
    manifest: Manifest
    session: Session
    pictures: list[Arrays]

    def expected(self, items: Sequence[Arrays]) -> list[Arrays]:
        """By PyTorch."""
        return reference(self.exportable.graphs["main"], items)

    def split(self) -> tuple[list[Arrays], list[Arrays]]:
        """The test pictures in which something is found, and those in which nothing is."""
        found = [int(one["count"]) > 0 for one in self.expected(self.pictures)]
        both = list(zip(self.pictures, found, strict=True))
        return [one for one, is_found in both if is_found], [one for one, it in both if not it]


@pytest.fixture(scope="module")
def made(boxes: Path, fabric: Fabric, tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("made")
    torch.save(random_detector().state_dict(), folder / "spread.pth")
    weights = str(folder / "spread.pth")
    config = replace(CONFIG, data=boxes, weights=weights, run=folder / "runs")
    results = results_of(config, fabric)
    exportable = publish(config, results, COMMAND)
    folder, manifest = export(exportable, folder / "models")
    variant = manifest.graphs["main"]["fp32"]
    session = open_session(folder / variant.file, variant, "main", Device("cpu", 1))
    test = results.gathered.test
    pictures: list[Arrays] = [{"images": item(test, at)} for at in range(len(test))]
    return Made(results, exportable, folder, manifest, session, pictures)


def assert_same(made: Made, items: Sequence[Arrays]) -> list[int]:
    """ONNX Runtime and PyTorch agree on a batch; returns how many detections each picture has."""
    expected, found = made.expected(items), made.session.run(items)
    counts = [int(one["count"]) for one in found]
    assert counts == [int(one["count"]) for one in expected]
    assert max(map(deviation, found, expected)) <= TOLERANCE
    for one, count in zip(found, counts, strict=True):
        assert not any(one[name][count:].any() for name in ("boxes", "scores", "labels"))
    return counts


@pytest.mark.parametrize("count", [1, 2, 5])
def test_one_graph_takes_any_number_of_pictures(made: Made, count: int) -> None:
    some, none = made.split()
    counts = assert_same(made, [*some, *none][:count])
    assert counts[0] > 0


@pytest.mark.parametrize("count", [1, 2, 5])
def test_nothing_found_in_a_whole_batch(made: Made, count: int) -> None:
    _, none = made.split()
    assert assert_same(made, (none * 2)[:count]) == [0] * count


def test_some_pictures_of_a_batch_with_detections_and_some_without(made: Made) -> None:
    some, none = made.split()
    counts = assert_same(made, [none[0], some[0], none[1], some[1], some[2]])
    assert [count > 0 for count in counts] == [False, True, False, True, True]


@pytest.mark.parametrize("grey", [0, 127, 255])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_pictures_of_one_colour(made: Made, grey: int, count: int) -> None:
    blank: Arrays = {"images": np.full((SIZE, SIZE, 3), grey, np.uint8)}
    assert len(assert_same(made, [blank] * count)) == count


def test_a_picture_is_answered_alike_alone_and_in_a_batch(made: Made) -> None:
    items = [*made.pictures, {"images": np.zeros((SIZE, SIZE, 3), np.uint8)}]
    together = made.session.run(items)
    for picture, among in zip(items, together, strict=True):
        [alone] = made.session.run([picture])
        assert alone["count"] == among["count"]
        assert deviation(alone, among) <= TOLERANCE


def test_a_graphs_predictions_are_pytorchs(made: Made) -> None:
    test = made.results.gathered.test
    iou_threshold = CONFIG.iou_threshold
    found = predict_with(made.session, test, iou_threshold)
    expected = predict(made.results.module, test, iou_threshold)
    for one, other in zip(found, expected, strict=True):
        assert_alike(one, other)


def assert_alike(one: Detections, other: Detections) -> None:
    """The same detections, whatever their order among nearly equal scores."""
    assert sorted(one.labels.tolist()) == sorted(other.labels.tolist())
    if len(one.labels):
        overlap = iou(one.boxes, other.boxes)
        overlap[one.labels[:, None] != other.labels[None]] = 0
        partner = overlap.argmax(1)
        assert sorted(partner.tolist()) == list(range(len(partner)))
        np.testing.assert_allclose(one.boxes, other.boxes[partner], atol=0.5)
        np.testing.assert_allclose(one.scores, other.scores[partner], atol=TOLERANCE)


def test_the_folder_is_a_detector_the_service_accepts(made: Made) -> None:
    manifest = read_manifest(made.folder)
    assert manifest == made.manifest
    served.check(manifest, {})
    assert manifest.labels == ("disc", "square")
    assert manifest.precisions[0] == "fp32"
    assert manifest.input.resize == "letterbox"
    assert (manifest.input.height, manifest.input.width) == (SIZE, SIZE)
    assert manifest.options["default_threshold"] == 0.4
    assert manifest.options["default_iou_threshold"] == 0.3
    assert manifest.graphs["main"]["fp32"].parity.measured <= TOLERANCE
    stated = {m.name: m.value for m in manifest.metrics if m.variant == "fp32"}
    quality = made.results.quality
    for name in ("map", "map50", "map75"):
        assert stated[name] == pytest.approx(getattr(quality, name), abs=1e-3)


def test_the_card_tells_what_a_user_must_know(made: Made) -> None:
    text = (made.folder / "MODEL_CARD.md").read_text()
    quality = made.results.quality
    assert made.manifest.description in text
    assert COMMAND in text
    assert "starting from `spread.pth`" in text
    assert "8 pictures" in text
    assert "6 test pictures" in text
    for name, objects in zip(quality.classes, quality.objects, strict=True):
        assert f"| {name} | {objects} |" in text
    assert "shapes (pictures of the user)" in text
    assert str(made.folder.parents[1]) not in text + made.manifest.model_dump_json()
    assert str(made.results.gathered.test.boxed.items[0].path.parent) not in text
    config = made.manifest.provenance.config
    assert config["architecture"] == LIGHT
    assert config["parameters"] == sum(p.numel() for p in made.results.module.parameters())
    assert config["size"] == SIZE


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        (None, "from random weights"),
        ("efficientnet-lite0-imagenet", "starting from `efficientnet-lite0-imagenet`"),
        ("pypi:a==1#b/c.pth", "starting from `pypi:a==1#b/c.pth`"),
        ("/home/me/b.pth", "starting from `b.pth`"),
    ],
)
def test_the_weights_a_training_began_with_are_named(
    made: Made, weights: str | None, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The graph is the same with all of them, and which pictures it is compared on takes long.
    monkeypatch.setattr(steady, "golden", lambda *_: [])
    monkeypatch.setattr(steady, "steady", lambda *_: [])
    assert [one.name for one in made.manifest.provenance.data] == [
        "spread.pth",
        "shapes (pictures of the user)",
    ]
    results = made.results if weights else replace(made.results, begun=None)
    exportable = publish(replace(CONFIG, weights=weights), results, COMMAND)
    assert len(exportable.data) == (2 if weights else 1)
    assert told in exportable.card.summary
    assert "/home" not in str(exportable.config)


def test_every_precision_passes_the_services_check(
    made: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["models", "check", "--models", str(made.folder.parent)]) == 0
    told = capsys.readouterr().out
    assert all(f"ok      shapes {precision}" in told for precision in made.manifest.precisions)


async def test_the_service_answers_with_boxes_in_the_original(made: Made) -> None:
    test = made.results.gathered.test
    expected = predict(made.results.module, test, CONFIG.iou_threshold)
    app = create_app(Settings(models=made.folder.parent))
    async with app.router.lifespan_context(app):
        while not app.state.sightline.registry.ready:
            await asyncio.sleep(0.01)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            for index, truth in enumerate(test.boxed.items):
                response = await client.post(
                    "/detect",
                    params={"threshold": 0, "model": "shapes"},
                    content=truth.path.read_bytes(),
                    headers={"content-type": "image/png"},
                )
                assert response.status_code == 200, response.text
                answer = response.json()
                assert answer["model"]["name"] == "shapes"
                found = answer["detections"]
                boxes = np.array([list(one["box"].values()) for one in found]).reshape(-1, 4)
                scores = np.array([one["score"] for one in found])
                labels = np.array([one["index"] for one in found], np.int64)
                assert (np.diff(scores) <= 0).all()
                assert (boxes <= (truth.width, truth.height) * 2).all()
                assert_alike(Detections(boxes, scores, labels), expected[index])
    assert sum(len(one.scores) for one in expected) > 3
