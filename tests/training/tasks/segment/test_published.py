"""Published networks, with made-up weights of the same names under torchvision's file names."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from rich.console import Console
from torch import Tensor, nn
from torchvision.models import get_weight, segmentation

from service.admission import Admission
from service.contract import InputGeometry
from service.device import Device
from service.loading import Loader
from service.session import Arrays
from service.settings import Settings
from service.tasks import TASKS
from service.tasks.segment import deviation
from service.telemetry import Telemetry
from tests.training.mask_sets import draw, write_picture, write_voc_masks
from training.data.errors import DataError
from training.data.voc_masks import held_out_voc
from training.files import FileError
from training.golden import golden_pictures
from training.tasks.segment import publish, published_pictures
from training.tasks.segment.published import PUBLISHED, VocSegmenter, load, voc_segmenter
from training.tasks.segment.published_pictures import gather

SIZE = 64
GEOMETRY = InputGeometry(height=SIZE, width=SIZE, resize="letterbox", pad_value=116)
SMALL = PUBLISHED["fcn-resnet50"]
LABELS = ("background", *get_weight(SMALL.partition(":")[2]).meta["categories"][1:])


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("SIGHTLINE_CACHE", str(folder))
    return folder


@pytest.fixture(autouse=True, scope="module")
def few_candidates() -> Iterator[None]:
    """The golden pictures are not searched for among many, which takes a while."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(publish, "golden_candidates", lambda *size: list(golden_pictures(*size)))
        yield


@pytest.fixture(scope="module")
def original() -> nn.Module:
    """torchvision's smaller network, which tells pixels of the golden pictures apart."""
    torch.manual_seed(0)
    net: nn.Module = segmentation.fcn_resnet50(weights_backbone=None, aux_loss=True)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        net.train()(_normalised(_golden()))
        net.get_parameter("classifier.4.weight").mul_(4)
    return net.eval()


def _golden() -> Tensor:
    return torch.from_numpy(np.stack(golden_pictures(SIZE, SIZE))).permute(0, 3, 1, 2) / 255


def _normalised(images: Tensor) -> Tensor:
    preset = get_weight(SMALL.partition(":")[2]).transforms()
    mean, std = (torch.tensor(values)[:, None, None] for values in (preset.mean, preset.std))
    return (images - mean) / std


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


def blank(locator: str) -> dict[str, Tensor]:
    """Weights of one stored number each, so that their file is small."""
    name = locator.partition("_Res")[2].partition("_")[0]
    with torch.device("meta"):
        builder = getattr(segmentation, f"fcn_res{name.lower()}")
        shapes = builder(weights_backbone=None, aux_loss=True).state_dict()
    return {
        key: torch.full((), 0.5).to(tensor.dtype).expand(tensor.shape)
        for key, tensor in shapes.items()
    }


@pytest.fixture
def file(hub: Hub, tmp_path: Path) -> Path:
    """The file of the smaller network."""
    return hub.offer(SMALL, blank(SMALL), tmp_path)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures without masks, not all in the same folder."""
    folder = tmp_path_factory.mktemp("photographs")
    for seed, name in enumerate(("a.jpg", "b.png", "more/c.jpg")):
        write_picture(folder / name, draw(seed)[0])
    return folder


@pytest.fixture(scope="module")
def models(
    original: nn.Module, photographs: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """What the command makes of the smaller network's file and some pictures."""
    folder = tmp_path_factory.mktemp("published")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("SIGHTLINE_CACHE", str(folder / "cache"))
        weights = Hub(monkeypatch).offer(SMALL, original.state_dict(), folder)
        config = VocSegmenter(
            weights=str(weights), size=SIZE, pictures=photographs, out=folder / "models"
        )
        config.run(Console(quiet=True))
    return folder / "models"


def test_the_model_answers_as_torchvision_does(models: Path, original: nn.Module) -> None:
    settings = Settings(models=models, precision="fp32")
    loader = Loader(settings, Device("cpu", 1), TASKS, Telemetry(), in_service=Admission())
    model = loader.load(models / "voc-resnet")
    assert model.manifest.labels == LABELS
    assert model.manifest.options["background"] == "background"
    assert str(model.manifest.options["palette"]).startswith("#000000 #800000 #008000")
    assert set(model.manifest.precisions) == {"fp32", "fp16", "int8"}
    with torch.inference_mode():
        sure, masks = original(_normalised(_golden()))["out"].softmax(1).max(1)
    for at, pixels in enumerate(golden_pictures(SIZE, SIZE)):
        outputs: Arrays = model.sessions["main"].run([{"images": pixels}])[0]
        wanted = {
            "mask": masks[at].to(torch.uint8).numpy(),
            "confidence": (sure[at] * 255).round().to(torch.uint8).numpy(),
        }
        assert len(np.unique(wanted["mask"])) > 3
        assert deviation(outputs, wanted) <= 0.001


def test_the_card_says_where_it_all_comes_from(models: Path) -> None:
    card = " ".join((models / "voc-resnet" / "MODEL_CARD.md").read_text().split())
    for words in (
        "mean IoU of 60.5 % on COCO's val2017",
        "letterboxed to 64x64",
        "calibrated on 3 others",
        "Nothing was measured for these files: --data named no pictures",
        "https://cocodataset.org/#termsofuse",
        SMALL,
    ):
        assert words in card
    assert str(models.parent) not in card


def test_what_is_not_asked_for_is_not_made(file: Path, photographs: Path) -> None:
    exportable = voc_segmenter(VocSegmenter(name="things", weights=str(file), size=SIZE))
    assert exportable.graphs["main"].precisions == ("fp32", "fp16")
    assert exportable.evaluate is None
    assert (exportable.input.resize, exportable.input.width) == ("letterbox", SIZE)
    assert exportable.licence == "BSD-3-Clause"
    assert exportable.command == (
        "sightline-train voc-segmenter --architecture fcn-resnet50 --name things --size 64 "
        "--precisions fp32 fp16 int8"
    )
    config = VocSegmenter(
        weights=str(file), size=SIZE, pictures=photographs, precisions=("fp32",), default=True
    )
    exportable = voc_segmenter(config)
    assert exportable.graphs["main"].precisions == ("fp32",)
    assert not exportable.graphs["main"].calibration
    assert exportable.default


@pytest.mark.parametrize("architecture", PUBLISHED)
def test_every_published_network_loads_whole(hub: Hub, tmp_path: Path, architecture: str) -> None:
    locator = PUBLISHED[architecture]
    file = hub.offer(locator, blank(locator), tmp_path)
    assert re.search(r"-[0-9a-f]{8}\.pth$", get_weight(locator.partition(":")[2]).url)
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    file.rename(downloads / file.name)
    module, source = load(VocSegmenter(architecture=architecture, downloads=downloads))
    assert all(bool((parameter == 0.5).all()) for parameter in module.parameters())
    assert source.name == locator
    assert source.url is not None
    assert source.url.endswith(file.name)


def test_without_the_hub_the_file_to_get_is_told(file: Path) -> None:
    with pytest.raises(FileError) as caught:
        load(VocSegmenter())
    assert "there is no network here" in str(caught.value)
    assert f"https://download.pytorch.org/models/{file.name} (135 MiB)" in str(caught.value)
    assert f"--weights {file.name}" in str(caught.value)


@pytest.mark.usefixtures("file")
def test_another_file_is_refused(tmp_path: Path, cache: Path) -> None:
    other = tmp_path / "other.pth"
    torch.save({"weight": torch.zeros(1)}, other)
    with pytest.raises(FileError, match=r"other\.pth has the sha256 .*The file is https:"):
        load(VocSegmenter(weights=str(other)))
    with pytest.raises(FileError, match=r"missing\.pth cannot be read"):
        load(VocSegmenter(weights=str(tmp_path / "missing.pth")))
    assert not cache.exists()


def test_what_is_measured_on_is_not_calibrated_with(
    tmp_path: Path, photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = partial(held_out_voc, count=2)
    monkeypatch.setattr(published_pictures, "held_out_voc", few)
    voc = write_voc_masks(tmp_path / "VOC", [f"2007_{number:06}" for number in range(5)])
    (voc / "JPEGImages" / "2007_000000.jpg").write_bytes(b"damaged")
    told: list[str] = []
    shown = gather(voc, None, GEOMETRY, told.append)
    assert shown.measured is not None
    assert shown.measured.masked.classes == LABELS
    assert (len(shown.measured), len(shown.calibration), len(shown.checked)) == (2, 2, 2)
    pictures = [one["images"].tobytes() for one in (*shown.calibration, *shown.checked)]
    assert len(set(pictures)) == 4
    assert "2007_000000" in told[0]
    assert shown.evaluate is not None
    assert [source.name for source in shown.sources] == ["VOC (pictures of the user)"]
    both = gather(voc, photographs, GEOMETRY)
    assert (len(both.checked), len(both.calibration)) == (2, 3)
    assert not gather(voc, photographs, GEOMETRY, calibrate=False).calibration


def test_folders_without_pictures_are_refused(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("no picture")
    with pytest.raises(DataError, match="holds no picture"):
        gather(None, tmp_path, GEOMETRY)
    with pytest.raises(DataError, match="is not a folder"):
        gather(None, tmp_path / "words.txt", GEOMETRY)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"architecture": "segnet"}, "--architecture must be one of fcn-resnet50, fcn-resnet101"),
        ({"weights": PUBLISHED["fcn-resnet101"]}, "--weights must be torchvision:FCN_ResNet50"),
        ({"size": 20}, "--size must be 32 or more"),
        ({"name": "No Name"}, "--name must be small letters"),
        ({"precisions": ("int8",)}, "--precisions must have fp32"),
    ],
)
def test_options_out_of_range_are_refused(options: Mapping[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        VocSegmenter(**options)
