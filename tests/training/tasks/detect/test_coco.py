"""Published detectors, with made-up weights of the same names under torchvision's file names."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor, nn
from torchvision.models import detection, get_weight

from service.admission import Admission
from service.contract import read_manifest
from service.device import Device
from service.loading import Loader
from service.session import Arrays
from service.settings import Settings
from service.tasks import TASKS
from service.tasks.detect import deviation
from service.telemetry import Telemetry
from tests.training.box_sets import write_coco
from training import cli
from training.data.errors import DataError
from training.files import FileError
from training.golden import golden_pictures
from training.tasks.detect.coco import LOCATORS, CocoDetector, coco_detector, load
from training.tasks.detect.coco_pictures import gather

SIZE = 96
SMALL = "torchvision:FasterRCNN_MobileNet_V3_Large_320_FPN_Weights.COCO_V1"
BUILDERS = {
    "FasterRCNN_ResNet50_FPN_Weights": detection.fasterrcnn_resnet50_fpn,
    "FasterRCNN_ResNet50_FPN_V2_Weights": detection.fasterrcnn_resnet50_fpn_v2,
    "FasterRCNN_MobileNet_V3_Large_FPN_Weights": detection.fasterrcnn_mobilenet_v3_large_fpn,
    "FasterRCNN_MobileNet_V3_Large_320_FPN_Weights": (
        detection.fasterrcnn_mobilenet_v3_large_320_fpn
    ),
}
CATEGORIES: list[str] = get_weight(SMALL.partition(":")[2]).meta["categories"]
LABELS = tuple(name for name in CATEGORIES[1:] if name != "N/A")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("SIGHTLINE_CACHE", str(folder))
    return folder


@pytest.fixture(scope="module")
def original() -> nn.Module:
    """torchvision's small detector, which finds different things in the golden pictures."""
    torch.manual_seed(0)
    sizes = {"min_size": SIZE, "max_size": SIZE}
    net: nn.Module = detection.fasterrcnn_mobilenet_v3_large_320_fpn(
        weights=None, weights_backbone=None, num_classes=91, box_detections_per_img=500, **sizes
    )
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    louder = {"rpn.head": 3.0, "roi_heads.box_head": 2.0, "roi_heads.box_predictor.cls_score": 4.5}
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            for prefix, factor in louder.items():
                if name.startswith(prefix) and name.endswith("weight"):
                    parameter.mul_(factor)
        net.get_parameter("roi_heads.box_predictor.cls_score.bias")[CATEGORIES.index("N/A")] += 1
        net.get_submodule("backbone.body").train()(_normalised(net, _golden()))
    return net.eval()


def _golden() -> list[Tensor]:
    return [torch.from_numpy(one).permute(2, 0, 1) / 255 for one in golden_pictures(SIZE, SIZE)]


def _normalised(net: nn.Module, pictures: list[Tensor]) -> Tensor:
    images: Tensor = net.get_submodule("transform")(pictures)[0].tensors
    return images


def as_published(state: Mapping[str, Tensor], *, frozen: bool) -> dict[str, Tensor]:
    """As torchvision's older files call their tensors, but for those that were not frozen."""
    if not frozen:
        return dict(state)
    return {
        re.sub(r"(_blocks\.\d|rpn\.head\.conv)(\.0)+(?=\.(weight|bias)$)", r"\1", name): tensor
        for name, tensor in state.items()
        if not name.endswith("num_batches_tracked")
    }


@dataclass(frozen=True)
class Hub:
    """What torchvision is made to say of weights."""

    monkeypatch: pytest.MonkeyPatch

    def offer(self, locator: str, state: Mapping[str, Tensor], folder: Path) -> Path:
        """Write a file that is called as torchvision's, but for the digits of its own hash."""
        real = get_weight(locator.partition(":")[2])
        plain = folder / "plain"
        torch.save(dict(state), plain)
        digits = hashlib.sha256(plain.read_bytes()).hexdigest()[:8]
        url = f"{real.url.rpartition('-')[0]}-{digits}.pth"
        offered = SimpleNamespace(url=url, meta=real.meta)
        self.monkeypatch.setattr(torchvision.models, "get_weight", lambda _: offered)
        self.monkeypatch.setattr(torch.hub, "download_url_to_file", _no_hub)
        return plain.rename(folder / Path(url).name)


def _no_hub(*_: Any, **__: Any) -> None:
    raise OSError("there is no network here")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    return Hub(monkeypatch)


@pytest.fixture
def small(hub: Hub, original: nn.Module, tmp_path: Path) -> Path:
    """The file of the small detector."""
    return hub.offer(SMALL, as_published(original.state_dict(), frozen=True), tmp_path)


def expected(net: nn.Module, picture: Tensor) -> tuple[Arrays, int]:
    """torchvision's answer without the holes, as a graph gives it, and how many those were."""
    with torch.inference_mode():
        found = net([picture])[0]
    names = [CATEGORIES[number] for number in found["labels"].tolist()]
    real = [at for at, name in enumerate(names) if name != "N/A"][:100]
    outputs: Arrays = {
        "boxes": np.zeros((100, 4), np.float32),
        "scores": np.zeros(100, np.float32),
        "labels": np.zeros(100, np.int32),
        "count": np.array(len(real), np.int32),
    }
    outputs["boxes"][: len(real)] = found["boxes"][real]
    outputs["scores"][: len(real)] = found["scores"][real]
    outputs["labels"][: len(real)] = [LABELS.index(names[at]) for at in real]
    return outputs, len(names) - len(real)


def write_set(folder: Path, parts: Mapping[str, int]) -> Path:
    """A set in COCO's form whose discs are called cats, and squares as COCO calls nothing."""
    seed = 0
    for part, count in parts.items():
        path = folder / "annotations" / f"instances_{part}2017.json"
        content = write_coco(path, folder / f"{part}2017", count, seed)
        content["categories"][0]["name"] = "cat"
        path.write_text(json.dumps(content))
        seed += count
    return folder


@pytest.fixture(scope="module")
def models(original: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command makes of the small detector's file and some pictures."""
    folder = tmp_path_factory.mktemp("coco")
    data = write_set(folder / "cats", {"train": 3, "val": 2})
    options = ["--size", str(SIZE), "--data", str(data), "--out", str(folder / "models")]
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("SIGHTLINE_CACHE", str(folder / "cache"))
        state = as_published(original.state_dict(), frozen=True)
        file = Hub(monkeypatch).offer(SMALL, state, folder)
        assert cli.main(["coco-detector", "--file", str(file), *options]) == 0
    return folder / "models"


def test_the_model_answers_as_torchvision_does(models: Path, original: nn.Module) -> None:
    settings = Settings(models=models, precision="fp32")
    loader = Loader(settings, Device("cpu", 1), TASKS, Telemetry(), in_service=Admission())
    model = loader.load(models / "coco")
    assert model.manifest.labels == LABELS
    holes = 0
    for pixels, picture in zip(golden_pictures(SIZE, SIZE), _golden(), strict=True):
        outputs = model.sessions["main"].run([{"images": pixels}])[0]
        wanted, dropped = expected(original, picture)
        assert outputs["count"] == wanted["count"] > 5
        assert len(set(wanted["labels"].tolist())) > 2
        assert deviation(outputs, wanted) < 1e-3
        holes += dropped
    assert holes > 5, "a detector that finds no hole tests nothing of them"


def test_the_model_is_measured_on_the_pictures_named(models: Path) -> None:
    manifest = read_manifest(models / "coco")
    measured = {(one.variant, one.name, one.dataset, one.split) for one in manifest.metrics}
    assert {"fp32", "int8"} <= set(manifest.precisions)
    assert measured == {
        (variant, name, "cats", "val")
        for variant in manifest.precisions
        for name in ("map", "map50", "map75")
    }
    assert {one.samples for one in manifest.metrics} == {2}
    card = (models / "coco" / "MODEL_CARD.md").read_text()
    assert "Measured on 2 pictures of cats (val)" in card
    assert "calibrated on 3 others" in card
    assert str(models.parent) not in card


def test_the_card_says_what_is_published_and_what_is_not_measured(small: Path) -> None:
    exportable = coco_detector(CocoDetector(name="things", file=small, size=SIZE, default=True))
    card = exportable.card
    for words in ("22.8 % on COCO's val2017", "letterboxed to 96x96", "resized to 320 pixels"):
        assert words in card.figures
    assert "--data named no pictures" in card.unmeasured
    assert exportable.evaluate is None
    assert "int8" not in exportable.graphs["main"].precisions
    assert (exportable.input.resize, exportable.input.width) == ("letterbox", SIZE)
    assert (exportable.licence, exportable.default) == ("BSD-3-Clause", True)
    assert "https://cocodataset.org/#termsofuse" in [source.url for source in exportable.data]
    assert exportable.options["iou_threshold"] == 0.5
    assert exportable.command == (
        f"sightline-train coco-detector --weights {SMALL} --name things --size {SIZE} "
        "--threshold 0.5 --default"
    )


def test_the_file_may_lie_among_downloads(small: Path, tmp_path: Path) -> None:
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    small.rename(downloads / small.name)
    loaded = load(CocoDetector(downloads=downloads))
    assert loaded.source.name == SMALL
    assert loaded.source.licence == "BSD-3-Clause"
    assert loaded.source.url is not None
    assert loaded.source.url.endswith(small.name)


@pytest.mark.parametrize("locator", [one for one in LOCATORS if one != SMALL])
def test_the_other_detectors_load_whole(hub: Hub, tmp_path: Path, locator: str) -> None:
    enum = locator.partition(":")[2].partition(".")[0]
    with torch.device("meta"):
        shapes = BUILDERS[enum](weights=None, weights_backbone=None, num_classes=91).state_dict()
    # One stored number each, so that the file is small.
    state = {
        name: torch.full((), 0.5).to(tensor.dtype).expand(tensor.shape)
        for name, tensor in shapes.items()
    }
    is_frozen = "V2" not in enum
    file = hub.offer(locator, as_published(state, frozen=is_frozen), tmp_path)
    loaded = load(CocoDetector(weights=locator, file=file))
    parameters = dict(loaded.net.named_parameters())
    assert all(bool((parameter == 0.5).all()) for parameter in parameters.values())
    norms = [m for m in loaded.net.backbone.modules() if isinstance(m, nn.BatchNorm2d)]
    constant = sum(2 * norm.num_features for norm in norms) if is_frozen else 0
    count = sum(parameter.numel() for parameter in parameters.values())
    assert count - constant == _published(locator)["num_params"]
    assert loaded.precision == _published(locator)["_metrics"]["COCO-val2017"]["box_map"]
    assert loaded.labels == LABELS
    assert loaded.net.roi_heads.nms_thresh == 0.5
    variance = loaded.net.get_buffer(_first_variance(loaded.net))
    eps = 0.0 if enum == "FasterRCNN_ResNet50_FPN_Weights" else 1e-5
    assert variance + 1e-5 == pytest.approx(0.5 + eps, abs=1e-7)


def _first_variance(net: nn.Module) -> str:
    return next(name for name, _ in net.named_buffers() if name.endswith("running_var"))


def _published(locator: str) -> Mapping[str, Any]:
    member = locator.partition(":")[2]
    enum, _, version = member.partition(".")
    meta: Mapping[str, Any] = getattr(detection, enum)[version].meta
    return meta


def test_the_published_files_tell_their_hashes() -> None:
    assert len(LOCATORS) == len(BUILDERS)
    for locator in LOCATORS:
        url = getattr(detection, locator[12:].partition(".")[0]).COCO_V1.url
        assert re.search(r"-[0-9a-f]{8}\.pth$", url)


def test_without_the_hub_the_file_to_get_is_told(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["coco-detector", "--out", str(tmp_path / "models")]) == 1
    told = capsys.readouterr().err
    assert "there is no network here" in told
    assert f"https://download.pytorch.org/models/{small.name} (74 MiB)" in told
    assert f"--file {small.name}" in told
    assert not (tmp_path / "models").exists()


@pytest.mark.usefixtures("small")
def test_another_file_is_refused(tmp_path: Path, cache: Path) -> None:
    other = tmp_path / "other.pth"
    torch.save({"weight": torch.zeros(1)}, other)
    with pytest.raises(FileError, match=r"other\.pth has the sha256 .*The file is https:"):
        load(CocoDetector(file=other))
    with pytest.raises(FileError, match=r"missing\.pth cannot be read"):
        load(CocoDetector(file=tmp_path / "missing.pth"))
    assert not cache.exists()


def test_what_is_measured_on_is_not_calibrated_with(tmp_path: Path) -> None:
    told: list[str] = []
    alone = gather(write_set(tmp_path / "val", {"val": 5}), LABELS, SIZE, 116, told.append)
    assert (alone.part, len(alone.pictures), len(alone.calibrating)) == ("val", 2, 3)
    paths = [{one.path for one in p.boxed.items} for p in (alone.pictures, alone.calibrating)]
    assert not paths[0] & paths[1]
    assert alone.pictures.boxed.classes == LABELS
    assert alone.pictures.boxed.counts.nonzero()[0].tolist() == [LABELS.index("cat")]
    assert "left out: square" in told[0]
    for parts in ({"train": 1}, {"val": 1}):
        folder = write_set(tmp_path / "-".join(parts) / "one", parts)
        with pytest.raises(DataError, match="such as person"):
            gather(folder, LABELS, SIZE, 116)


def test_what_is_left_out_of_the_pictures_is_told(tmp_path: Path) -> None:
    folder = write_set(tmp_path, {"train": 3, "val": 3})
    path = folder / "annotations/instances_val2017.json"
    content = json.loads(path.read_text())
    first = content["annotations"][0]
    content["annotations"] += [{**first, "id": 100 + n, "bbox": [n, 1, 0, 5]} for n in range(25)]
    path.write_text(json.dumps(content))
    damaged = folder / "train2017/0001.png"
    damaged.write_bytes(damaged.read_bytes()[:300])
    told: list[str] = []
    found = gather(folder, LABELS, SIZE, 116, told.append)
    assert [len(found.pictures), len(found.calibrating)] == [3, 2]
    assert sum("0003.png: box" in line for line in told) == 20
    assert told[-1] == "and 6 more objects or pictures like these"


def test_weights_may_be_named_with_and_without_torchvision() -> None:
    for locator in LOCATORS:
        assert CocoDetector(weights=locator).locator == locator
        assert CocoDetector(weights=locator.partition(":")[2]).locator == locator


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"weights": "ResNet50_Weights.DEFAULT"}, "--weights must be one of torchvision:Faster"),
        ({"size": 100}, "--size must be a multiple of 32"),
        ({"threshold": 0.01}, "--threshold must be from 0.05"),
        ({"name": "No Name"}, "--name must be small letters"),
    ],
)
def test_options_out_of_range_are_refused(options: Mapping[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        CocoDetector(**options)
