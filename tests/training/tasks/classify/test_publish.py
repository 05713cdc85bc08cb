"""Small networks with each kind of front, exported and compared with PyTorch."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from service.contract import Manifest, Precision, read_manifest
from service.device import Device
from service.golden import deviation
from service.images import Limits, decode
from service.resize import fit
from service.session import Session, open_session
from service.tasks import classify as served
from tests.training.tasks.classify.tiny_sets import TEST
from training.export import export
from training.exportable import Exportable
from training.graph import reference
from training.nets import architectures
from training.nets.digits import Digits
from training.tasks.classify.config import Classify
from training.tasks.classify.data import gather
from training.tasks.classify.presets import MNIST, PRESETS
from training.tasks.classify.publish import golden_digits, publish
from training.tasks.classify.recipe import predict
from training.tasks.classify.train import Results, Trained, start

COMMAND = "sightline-train anything"
FOLDER = Classify(name="crops", architecture="convnet", size=32, held_out=0.2, test=0.2)
CONFIGS = {
    "folder": FOLDER,
    "fashion-mnist": replace(PRESETS["fashion-mnist"], architecture="convnet", held_out=0.2),
    "mnist": replace(MNIST, architecture="convnet", held_out=0.2),
}


def results_of(config: Classify, seeds: int = 1) -> Results:
    """Of networks that were never trained, but have seen pictures to normalise by."""
    published = start(config)
    gathered = gather(config, published)
    trained = []
    for seed in range(seeds):
        torch.manual_seed(seed)
        net = architectures.build(
            published.architecture,
            len(gathered.train.classes),
            channels=gathered.channels,
            small_images=gathered.small_images,
            size=gathered.size,
        )
        images = gathered.train.images.permute(0, 3, 1, 2).float()
        with torch.no_grad():
            for _ in range(20):
                net.train()((images - 128) / 64)
        probabilities = predict(net, published, gathered.test)
        right = (probabilities.argmax(1) == gathered.test.targets).double().mean()
        trained.append(Trained(seed, net, 0.5 + seed / 10, probabilities, float(right)))
    return Results(published, gathered, trained, 0.25)


@dataclass
class Made:
    """A model folder and what it was made from."""

    config: Classify
    results: Results
    exportable: Exportable
    folder: Path
    manifest: Manifest

    def open(self, precision: Precision) -> Session:
        described = self.manifest.graphs["main"][precision]
        path = self.folder / described.file
        return open_session(path, described, "main", Device("cpu", 2))

    def logits(self, precision: Precision, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        session = self.open(precision)
        return np.stack([session.run([{"images": one}])[0]["logits"] for one in pictures])

    @property
    def test_pictures(self) -> NDArray[np.uint8]:
        assert self.exportable.evaluate is not None
        return np.stack([item["images"] for item in self.exportable.evaluate._items])  # type: ignore[attr-defined]


Make = Callable[[str], Made]


@pytest.fixture(scope="module")
def make(sets: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Exports a data set's model, once."""
    made: dict[str, Made] = {}
    out = tmp_path_factory.mktemp("models")

    def of(name: str) -> Made:
        if name not in made:
            config = replace(CONFIGS[name], data=sets[name])
            results = results_of(config)
            exportable = publish(config, results, COMMAND)
            folder, manifest = export(exportable, out)
            made[name] = Made(config, results, exportable, folder, manifest)
        return made[name]

    return of


@pytest.mark.parametrize("name", CONFIGS)
def test_the_graph_computes_what_pytorch_does(make: Make, name: str) -> None:
    made = make(name)
    parity = made.manifest.graphs["main"]["fp32"].parity
    assert parity.measured <= parity.tolerance <= 2e-3
    pictures = made.test_pictures
    expected = reference(made.exportable.graphs["main"], [{"images": one} for one in pictures])
    found = made.logits("fp32", pictures)
    worst = max(deviation(one, other["logits"]) for one, other in zip(found, expected, strict=True))
    assert worst <= parity.tolerance
    # What training measured went the same way, though the service's pixels took another.
    probabilities = torch.from_numpy(found).softmax(1)
    torch.testing.assert_close(probabilities, made.results.best.probabilities, atol=0.02, rtol=0)


@pytest.mark.parametrize("name", CONFIGS)
def test_the_stated_accuracy_is_that_of_the_trained_network(make: Make, name: str) -> None:
    made = make(name)
    stated = {
        (metric.variant, metric.name): metric for metric in made.manifest.metrics if metric.ranks
    }
    top1 = stated["fp32", "top1"]
    assert top1.value == pytest.approx(made.results.best.test_top1)
    assert (top1.split, top1.samples) == ("test", len(made.results.gathered.test))
    found = made.logits("fp32", made.test_pictures).argmax(1)
    targets = made.results.gathered.test.targets.numpy()
    assert top1.value == pytest.approx(float((found == targets).mean()))


@pytest.mark.parametrize("name", ["folder", "fashion-mnist"])
def test_pixels_have_smaller_variants_that_mostly_agree(make: Make, name: str) -> None:
    made = make(name)
    assert made.manifest.precisions == ("fp32", "fp16", "int8")
    exact = made.logits("fp32", made.test_pictures)
    for precision in ("fp16", "int8"):
        close = made.logits(precision, made.test_pictures)
        assert np.abs(close - exact).max() < 0.25 * np.ptp(exact)
        agreement = [
            metric.value
            for metric in made.manifest.metrics
            if (metric.variant, metric.name) == (precision, "agreement_with_fp32")
        ]
        assert agreement == [pytest.approx((close.argmax(1) == exact.argmax(1)).mean(), abs=1e-5)]


def test_digits_have_none_as_thresholds_on_pixels_do_not_round(make: Make) -> None:
    made = make("mnist")
    assert made.manifest.precisions == ("fp32",)
    assert (made.manifest.input.height, made.manifest.input.resize) == (112, "shortest_side")
    assert made.manifest.labels == tuple("0123456789")


def test_digits_are_measured_as_they_would_be_posted(make: Make, sets: dict[str, Path]) -> None:
    made = make("mnist")
    assert made.test_pictures.shape == (TEST, 112, 112, 3)
    inverted = made.logits("fp32", 255 - made.test_pictures)
    np.testing.assert_allclose(inverted, made.logits("fp32", made.test_pictures), atol=0.02)
    framed = made.results.gathered.test.images
    assert framed.shape == (TEST, 28, 28, 1)
    with torch.inference_mode():
        ink = Digits().eval()(torch.from_numpy(made.test_pictures))
    torch.testing.assert_close((ink * 255).permute(0, 2, 3, 1), framed.float(), atol=0.51, rtol=0)


def test_a_file_of_the_folder_is_answered_by_its_pixels(make: Make, folder: Path) -> None:
    """From the file on, by the service's own functions."""
    made = make("folder")
    path = folder / "rocket/0.png"
    picture = decode(path.read_bytes(), Limits())
    images = fit(picture, made.manifest.input)[0]
    assert images.shape == (32, 32, 3)
    net = made.results.best.net.eval()
    with torch.inference_mode():
        pixels = torch.from_numpy(images.copy()).permute(2, 0, 1)[None].float()
        expected = net((pixels - 128) / 64)
    np.testing.assert_allclose(made.logits("fp32", images[None]), expected, atol=1e-4)
    served.check(made.manifest, {})


def test_grey_networks_take_colour_pictures_by_their_brightness(make: Make) -> None:
    made = make("fashion-mnist")
    random = np.random.default_rng(0)
    colour = random.integers(0, 256, (1, 28, 28, 3), dtype=np.uint8)
    with torch.inference_mode():
        grey = torch.from_numpy(colour @ np.array([0.299, 0.587, 0.114])).float()[:, None]
        expected = made.results.best.net.eval()((grey - 128) / 64)
    np.testing.assert_allclose(made.logits("fp32", colour), expected, atol=1e-3)


@pytest.mark.parametrize("name", CONFIGS)
def test_the_card_tells_what_a_user_must_know(make: Make, name: str) -> None:
    made = make(name)
    text = (made.folder / "MODEL_CARD.md").read_text()
    source = made.results.gathered.source
    assert made.manifest.description in text
    assert source.name in text
    assert source.licence in text
    assert COMMAND in text
    assert f"Licence: {made.config.licence}" in text
    assert f"{made.results.best.test_top1:.4f}" in text
    assert "always answers with" in text
    assert "from random weights" in text
    assert f"{len(made.results.gathered.train)} pictures" in text
    assert f"{len(made.results.gathered.test)} test pictures" in text
    assert "One training" in text
    assert str(made.config.data) not in text
    assert read_manifest(made.folder) == made.manifest
    config = made.manifest.provenance.config
    assert config["architecture"] == "convnet"
    assert config["parameters"] == sum(p.numel() for p in made.results.best.net.parameters())
    assert made.manifest.provenance.seed == 0


def test_the_best_of_several_seeds_is_published_and_all_are_told_of(
    sets: dict[str, Path],
) -> None:
    config = replace(FOLDER, data=sets["folder"], seeds=3)
    results = results_of(config, seeds=3)
    assert results.best.seed == 2
    exportable = publish(config, results, COMMAND)
    assert exportable.seed == 2
    text = exportable.card.figures
    for one in results.trained:
        assert f"{100 * one.test_top1:.2f}" in text
    assert "3 trainings" in text
    assert "25.00 %" in text
    assert f"mean {100 * results.figures()['mean_test_top1']:.2f} %" in text


def test_the_weights_a_training_began_with_are_named(sets: dict[str, Path]) -> None:
    config = replace(
        FOLDER,
        data=sets["folder"],
        architecture=None,
        weights="efficientnet-lite0-imagenet",
        size=64,
    )
    exportable = publish(config, results_of(config), COMMAND)
    weights, pictures = exportable.data
    assert "efficientnet_lite0" in weights.name
    assert weights.licence == "Apache-2.0"
    assert pictures.name == "crops (pictures of the user)"
    assert "starting from `efficientnet-lite0-imagenet` (top-1 75.1 %" in exportable.card.summary
    assert exportable.graphs["main"].module.pixels.mean == 127.0


def test_golden_digits_are_of_both_polarities() -> None:
    board, paper = golden_digits()
    assert board.shape == paper.shape == (112, 112, 3)
    assert board[0, 0].mean() < board.max() / 2
    assert paper[0, 0].mean() > paper.max() / 2
    with torch.inference_mode():
        ink = Digits().eval()(torch.from_numpy(np.stack([board, paper])))
    assert (ink.amax((1, 2, 3)) == 1).all()
    assert 0.1 < float(ink.mean()) < 0.35
