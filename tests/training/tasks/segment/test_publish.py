"""A segmenter exported: one graph for any number of pictures, and the service's answers with it."""

import asyncio
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from PIL import Image
from torch import nn

from service import cli
from service.app import create_app
from service.contract import Manifest, read_manifest
from service.device import Device
from service.session import Arrays, Session, open_session
from service.settings import Settings
from service.tasks import segment as served
from service.tasks.segment import deviation
from tests.training.mask_sets import CLASSES
from training.export import export
from training.exportable import Exportable
from training.golden import golden_candidates
from training.graph import reference
from training.nets.segmentation.architectures import build
from training.optimisation import Optimisation
from training.settings import Training
from training.tasks.segment import publish as publishing
from training.tasks.segment.config import Segment
from training.tasks.segment.metrics import measure
from training.tasks.segment.predict import confusions, confusions_with, item, predict
from training.tasks.segment.publish import TOLERANCE, options, publish
from training.tasks.segment.train import Results, train

HEIGHT, WIDTH = 64, 72
LIGHT = "fcn8s-efficientnet_lite0"
COMMAND = "sightline-train segment --data shapes"
CONFIG = Segment(
    name="shapes",
    architecture=LIGHT,
    height=HEIGHT,
    width=WIDTH,
    optimisation=Optimisation(batch_size=4, lr=1e-3),
    training=Training(epochs=1, warmup_epochs=0),
)


def results_of(config: Segment, fabric: Fabric) -> Results:
    """Of a training whose network then gets other scores: after a few steps they are all alike.

    They are those of the finest map, and each class has the same mean over the test pictures.
    """
    results = train(config, fabric)
    net, test = results.module.net, results.gathered.test
    finest = net.get_submodule("scores.0.4")
    assert isinstance(finest, nn.Conv2d)
    torch.manual_seed(1)
    images = torch.stack([test[at].image for at in range(len(test))]).permute(0, 2, 3, 1)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if name.startswith("upsamplings."):
                parameter.zero_()
        nn.init.normal_(finest.weight)
        assert finest.bias is not None
        finest.bias -= net(results.module.pixels(images)).mean((0, 2, 3))
    quality = measure(confusions(results.module, test), CLASSES, resamples=20)
    return replace(results, quality=quality)


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


@pytest.fixture(scope="module")
def made(masks: Path, fabric: Fabric, tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("made")
    torch.manual_seed(0)
    torch.save(build(LIGHT, len(CLASSES)).state_dict(), folder / "begun.pth")
    weights = str(folder / "begun.pth")
    config = replace(CONFIG, data=masks, weights=weights, run=folder / "runs")
    results = results_of(config, fabric)
    with pytest.MonkeyPatch.context() as patch:
        few = golden_candidates(HEIGHT, WIDTH)[::9]
        patch.setattr(publishing, "golden_candidates", lambda *_: few)
        exportable = publish(config, results, COMMAND)
    folder, manifest = export(exportable, folder / "models")
    variant = manifest.graphs["main"]["fp32"]
    session = open_session(folder / variant.file, variant, "main", Device("cpu", 1))
    test = results.gathered.test
    pictures: list[Arrays] = [{"images": item(test, at)} for at in range(len(test))]
    return Made(results, exportable, folder, manifest, session, pictures)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_one_graph_takes_any_number_of_pictures(made: Made, count: int) -> None:
    grey: Arrays = {"images": np.full((HEIGHT, WIDTH, 3), 127, np.uint8)}
    for items in (made.pictures[:count], [grey] * count, [grey, *made.pictures][:count]):
        expected, found = made.expected(items), made.session.run(items)
        assert len(found) == count
        for one, other in zip(found, expected, strict=True):
            assert one["mask"].shape == one["confidence"].shape == (HEIGHT, WIDTH)
            assert one["mask"].dtype == one["confidence"].dtype == np.uint8
            assert deviation(one, other) <= TOLERANCE
            apart = one["confidence"].astype(int) - other["confidence"]
            assert np.abs(apart).max() <= 1
    assert len(np.unique(made.expected(made.pictures[:1])[0]["mask"])) == len(CLASSES)


def test_a_picture_is_answered_alike_alone_and_in_a_batch(made: Made) -> None:
    for picture, among in zip(made.pictures, made.session.run(made.pictures), strict=True):
        [alone] = made.session.run([picture])
        assert deviation(alone, among) <= TOLERANCE


def test_a_graphs_figures_are_pytorchs(made: Made) -> None:
    test = made.results.gathered.test
    found, expected = confusions_with(made.session, test), confusions(made.results.module, test)
    assert len(found) == len(expected) == 6
    for one, other in zip(found, expected, strict=True):
        assert one.sum() == other.sum()
        assert np.abs(one - other).sum() <= 4 * TOLERANCE * other.sum()


def test_the_folder_is_a_segmenter_the_service_accepts(made: Made) -> None:
    manifest = read_manifest(made.folder)
    assert manifest == made.manifest
    served.check(manifest, {})
    assert manifest.labels == CLASSES
    assert set(manifest.precisions) == {"fp32", "fp16", "int8"}
    assert manifest.input.resize == "letterbox"
    assert (manifest.input.height, manifest.input.width) == (HEIGHT, WIDTH)
    assert manifest.options == {"background": "background", "palette": "#000000 #800000 #008000"}
    assert manifest.graphs["main"]["fp32"].parity.measured <= TOLERANCE
    quality = made.results.quality
    for precision in manifest.precisions:
        stated = {m.name: m for m in manifest.metrics if m.variant == precision}
        assert stated.keys() == {"miou", "pixel_accuracy"}
        assert {metric.samples for metric in stated.values()} == {6}
        near = 0.01 if precision == "fp32" else 0.2
        assert stated["miou"].value == pytest.approx(quality.miou, abs=near)
        assert stated["pixel_accuracy"].value == pytest.approx(quality.pixel_accuracy, abs=near)


def test_golden_pictures_show_more_than_one_class(made: Made) -> None:
    graph = made.exportable.graphs["main"]
    assert len(graph.golden) == 2
    assert not np.array_equal(graph.golden[0]["images"], graph.golden[1]["images"])
    for found in made.expected(graph.golden):
        assert len(np.unique(found["mask"])) > 1
    with np.load(made.folder / "golden.npz") as golden:
        assert golden["main.fp32.mask"].shape == (2, HEIGHT, WIDTH)


def test_every_precision_passes_the_services_check(
    made: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["models", "check", "--models", str(made.folder.parent)]) == 0
    told = capsys.readouterr().out
    assert all(f"ok      shapes {precision}" in told for precision in made.manifest.precisions)


def test_the_card_tells_what_a_user_must_know(made: Made) -> None:
    text = (made.folder / "MODEL_CARD.md").read_text()
    quality = made.results.quality
    assert made.manifest.description in text
    assert COMMAND in text
    assert "starting from `begun.pth`" in text
    assert "8 pictures" in text
    assert "6 test pictures" in text
    shares = quality.confusion.sum(1) / quality.confusion.sum()
    for name, share, iou in zip(CLASSES, shares.tolist(), quality.iou.tolist(), strict=True):
        assert f"| {name} | {share:.2%} | {iou:.3f} |" in text
    assert "shapes (pictures of the user)" in text
    assert str(made.folder.parents[1]) not in text + made.manifest.model_dump_json()
    assert str(made.results.gathered.test.masked.items[0].path.parent) not in text
    config = made.manifest.provenance.config
    assert config["architecture"] == LIGHT
    assert config["parameters"] == sum(p.numel() for p in made.results.module.parameters())
    assert (config["height"], config["width"]) == (HEIGHT, WIDTH)


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        (None, "from random weights"),
        ("efficientnet-lite0-imagenet", "starting from `efficientnet-lite0-imagenet`"),
        ("/home/me/b.pth", "starting from `b.pth`"),
    ],
)
def test_the_weights_a_training_began_with_are_named(
    made: Made, weights: str | None, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [one.name for one in made.manifest.provenance.data] == [
        "begun.pth",
        "shapes (pictures of the user)",
    ]
    graph = made.exportable.graphs["main"]
    monkeypatch.setattr(publishing, "graph", lambda *_, **__: graph)
    results = made.results if weights else replace(made.results, begun=None)
    exportable = publish(replace(CONFIG, weights=weights), results, COMMAND)
    assert len(exportable.data) == (2 if weights else 1)
    assert told in exportable.card.summary
    assert "/home" not in str(exportable.config)


def test_a_set_without_background_says_none() -> None:
    assert options([(128, 64, 128), (0, 0, 192)], None) == {"palette": "#804080 #0000c0"}


async def test_the_service_answers_with_masks_of_the_original(made: Made) -> None:
    test = made.results.gathered.test
    expected = dict(predict(made.results.module, test))
    app = create_app(Settings(models=made.folder.parent, precision="fp32"))
    async with app.router.lifespan_context(app):
        while not app.state.sightline.registry.ready:
            await asyncio.sleep(0.01)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            for index, truth in enumerate(test.masked.items):
                response = await client.post(
                    "/segment",
                    params={"classes": ",".join(CLASSES), "model": "shapes"},
                    content=truth.path.read_bytes(),
                    headers={"content-type": "image/png", "accept": "image/png"},
                )
                assert response.status_code == 200, response.text
                with Image.open(io.BytesIO(response.content)) as picture:
                    found = np.asarray(picture)
                assert found.shape == (truth.height, truth.width)
                assert np.mean(found != expected[index]) <= TOLERANCE
