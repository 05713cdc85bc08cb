"""SegNet's preset in small: from weights without normalisations to what the service accepts."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from torch import nn
from torchvision.models import vgg

from service import cli
from service.contract import DataSource, read_manifest
from service.tasks import segment as served
from tests.training.mask_sets import write_camvid
from training.data.camvid import CLASSES
from training.export import export
from training.golden import golden_candidates
from training.nets.pixels import Pixels
from training.nets.segmentation import loading, segnet
from training.nets.segmentation.architectures import find
from training.nets.segmentation.bodies import vgg16_features
from training.nets.segmentation.loading import Begun
from training.tasks.segment import publish as publishing
from training.tasks.segment import train as trainings
from training.tasks.segment.config import Segment
from training.tasks.segment.presets import PRESETS
from training.tasks.segment.publish import publish
from training.tasks.segment.train import train

SEGNET = find("segnet")


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """SegNet with as many layers, but few channels."""
    channels = [64, 64, "M", *(8, 8, "M"), *(8, 8, 8, "M") * 3]
    monkeypatch.setitem(vgg.cfgs, "D", channels)
    monkeypatch.setattr(segnet, "_DECODER", ((8,) * 4, (8,) * 4, (8,) * 4, (8, 8, 64)))


@pytest.fixture
def plain(narrow: None, monkeypatch: pytest.MonkeyPatch) -> nn.Module:
    """Layers of a VGG-16 without normalisations; their weights are what trainings begin with."""
    torch.manual_seed(5)
    features = vgg16_features(batch_norm=False)

    def load(net: Any, architecture: Any, locator: str, downloads: Path | None) -> Begun:
        assert locator == "vgg16-imagenet-features"
        loading._fill_between(net.encoder, features)
        source = DataSource(name=locator, licence="BSD-3-Clause")
        return Begun(source, whole=False, lacks_norms=True, note="read for the first time")

    monkeypatch.setattr(loading, "load", load)
    return features


@pytest.fixture
def config(tmp_path: Path) -> Segment:
    """The preset for pictures of 45x61 pixels, whose halves are rounded up at each pooling."""
    preset = PRESETS["camvid-segnet"]
    return replace(
        preset,
        data=write_camvid(tmp_path / "CamVid", {"train": 8, "val": 1, "test": 2}),
        height=45,
        width=61,
        augmentation=replace(preset.augmentation, crop_height=45, crop_width=61),
        optimisation=replace(preset.optimisation, batch_size=4),
        training=replace(preset.training, epochs=1),
        run=tmp_path / "runs",
    )


def test_the_encoder_begins_as_the_network_its_weights_are_of(
    plain: nn.Module, config: Segment, fabric: Fabric, monkeypatch: pytest.MonkeyPatch
) -> None:
    class BegunError(Exception):
        pass

    seen: list[tuple[nn.Module, Any]] = []

    def fit(config: Segment, net: nn.Module, architecture: Any, gathered: Any, fabric: Any) -> None:
        seen.append((net, gathered))
        raise BegunError

    monkeypatch.setattr(trainings, "_fit", fit)
    told: list[str] = []
    with pytest.raises(BegunError):
        train(replace(config, frozen_stages=0, keep_statistics=False), fabric, told.append)
    assert "vgg16-imagenet-features: read for the first time" in told
    [(net, gathered)] = seen
    images = torch.stack([gathered.train[index].image for index in range(8)])
    pixels = Pixels(SEGNET.mean, SEGNET.std)(images.permute(0, 2, 3, 1))
    encoder = net.get_submodule("encoder")
    with torch.no_grad():
        expected = plain(pixels)
        kept = encoder.eval()(pixels)
        seen_now = encoder.train()(pixels)
    torch.testing.assert_close(seen_now, expected, rtol=1e-4, atol=1e-4)
    # Variances that are kept are of one pixel less, which is seen where there are few.
    torch.testing.assert_close(kept, expected, rtol=1e-2, atol=1e-2)
    assert expected.std() > 0.01


def test_segnet_becomes_a_model_the_service_accepts(
    plain: nn.Module,
    config: Segment,
    fabric: Fabric,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    few = golden_candidates(45, 61)[:6]
    monkeypatch.setattr(publishing, "golden_candidates", lambda *_: few)
    results = train(config, fabric)
    assert results.begun is not None
    folder, manifest = export(publish(config, results, "sightline-train camvid-segnet"), tmp_path)
    assert read_manifest(folder) == manifest
    served.check(manifest, {})
    assert manifest.labels == CLASSES
    assert manifest.precisions == ("fp32", "fp16")
    assert "background" not in manifest.options
    assert manifest.graphs["main"]["fp32"].parity.measured <= publishing.TOLERANCE
    with np.load(folder / "golden.npz") as golden:
        assert golden["main.fp32.mask"].shape == (2, 45, 61)
    assert cli.main(["models", "check", "--models", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert all(f"ok      camvid-segnet {precision}" in told for precision in manifest.precisions)
