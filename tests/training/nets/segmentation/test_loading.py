"""Weights of classifiers and of whole networks in a segmentation network, all or nothing."""

import pickle
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import segmentation

from tests.training.nets.segmentation.random_segmenters import (
    DILATED,
    HIDDEN,
    LIGHT,
    SEGNET,
    VGG,
    fresh,
)
from training import files, weights
from training.conversions import ConversionError, read_torch
from training.files import FileError, Obtained
from training.nets import architectures as classifiers
from training.nets.segmentation.architectures import ARCHITECTURES, class_layers, find
from training.nets.segmentation.bodies import vgg16_features
from training.nets.segmentation.loading import load
from training.weights import WeightsError

State = Mapping[str, Tensor]
LABELS = 21
PUBLISHED = "torchvision:FCN_ResNet50_Weights.COCO_WITH_VOC_LABELS_V1"


class NarrowVgg(nn.Module):
    """VGG-16 with 16 hidden units in place of 4096."""

    def __init__(self, *, batch_norm: bool, classes: int) -> None:
        super().__init__()
        self.features = vgg16_features(batch_norm=batch_norm)
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, HIDDEN),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(HIDDEN, HIDDEN),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(HIDDEN, classes),
        )


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Classifiers on VGG-16 are narrow, which takes less time and room."""
    build = classifiers.build

    def built(name: str, classes: int) -> nn.Module:
        if name.startswith("vgg16"):
            return NarrowVgg(batch_norm=name.endswith("bn"), classes=classes)
        return build(name, classes)

    monkeypatch.setattr(classifiers, "build", built)


def state_of(net: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in net.state_dict().items()}


def changed(net: nn.Module, before: State) -> set[str]:
    return {name for name, tensor in net.state_dict().items() if not tensor.equal(before[name])}


def settled(net: nn.Module) -> nn.Module:
    """A network whose statistics and shifts are its own as well."""
    for norm in net.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for tensor in (norm.weight.data, norm.bias.data, norm.running_mean, norm.running_var):
                assert tensor is not None
                tensor.uniform_(0.5, 1.5)
    return net


def classifier(name: str, classes: int = 1000) -> nn.Module:
    torch.manual_seed(7)
    return settled(classifiers.build(name, classes))


def saved(state: object, folder: Path, name: str = "weights.pth") -> Path:
    path = folder / name
    torch.save(state, path)
    return path


def offered(monkeypatch: pytest.MonkeyPatch, path: Path, *, first_use: bool = False) -> None:
    """Have torchvision's files be this one."""
    monkeypatch.setattr(files, "obtain", lambda *_: Obtained(path, "ab" * 32, first_use))


def in_the_table(monkeypatch: pytest.MonkeyPatch, row: str, path: Path) -> None:
    """Have the file of a row of the table be a state dictionary."""
    monkeypatch.setitem(weights.TABLE, row, replace(weights.TABLE[row], read=read_torch))
    monkeypatch.setattr(files, "resolve", lambda *_: path)


@pytest.mark.parametrize(
    ("name", "row"),
    [
        (LIGHT, "efficientnet-lite0-imagenet"),
        ("fcn8s-efficientnet_lite1", "efficientnet-lite1-imagenet"),
        ("fcn4s-efficientnet_lite2", "efficientnet-lite2-imagenet"),
        ("fcn8s-resnet50_keras", "resnet50-keras-imagenet"),
        ("fcn-resnet50_keras", "resnet50-keras-imagenet"),
    ],
)
def test_a_body_begins_with_its_row_of_the_table(
    name: str, row: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    architecture = find(name)
    given = classifier(architecture.classifier)
    in_the_table(monkeypatch, row, saved(given.state_dict(), tmp_path))
    net = fresh(name)
    before = state_of(net)
    begun = load(net, architecture, row)
    body = net.get_submodule(architecture.body[:-1]).state_dict()
    assert not [key for key in body if not body[key].equal(given.state_dict()[key])]
    moved = changed(net, before)
    assert all(key.startswith(architecture.body) for key in moved)
    parameters = [key for key, _ in net.named_parameters() if key.startswith(architecture.body)]
    assert moved.issuperset(parameters)
    assert (begun.whole, begun.lacks_norms, begun.note) == (False, False, "")
    assert begun.source.licence == weights.TABLE[row].licence


@pytest.fixture(scope="module")
def convolutions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, State]:
    """The pickle of VGG-16's convolutions that the table names, and what it holds."""
    torch.manual_seed(3)
    features = vgg16_features(batch_norm=False)
    convs = [module for module in features if isinstance(module, nn.Conv2d)]
    held = {}
    for index, conv in enumerate(convs):
        assert conv.bias is not None
        kernel = conv.weight.detach().permute(2, 3, 1, 0).numpy()
        held[f"Conv_{index}"] = {"kernel": kernel, "bias": conv.bias.detach().numpy() + index + 1}
    path = tmp_path_factory.mktemp("flax") / "vgg16.ckpt"
    path.write_bytes(pickle.dumps({"VGG16_0": held}, protocol=4))
    return path, weights.TABLE["vgg16-imagenet-features"].read(path)


def test_a_fully_convolutional_vgg_begins_with_convolutions_alone(
    convolutions: tuple[Path, State], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, given = convolutions
    monkeypatch.setattr(files, "resolve", lambda *_: path)
    net = fresh(VGG)
    before = state_of(net)
    begun = load(net, find(VGG), "vgg16-imagenet-features")
    assert changed(net, before) == {f"body.{key}" for key in given}
    assert all(net.state_dict()[f"body.{key}"].equal(tensor) for key, tensor in given.items())
    assert not begun.lacks_norms


def test_segnet_takes_convolutions_that_were_trained_without_normalisations(
    convolutions: tuple[Path, State], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, given = convolutions
    monkeypatch.setattr(files, "resolve", lambda *_: path)
    net = fresh(SEGNET)
    before = state_of(net)
    begun = load(net, find(SEGNET), "vgg16-imagenet-features")
    assert begun.lacks_norms
    assert not begun.whole
    convs = [m for m in net.get_submodule("encoder").modules() if isinstance(m, nn.Conv2d)]
    found = [tensor for conv in convs for tensor in (conv.weight, conv.bias)]
    for ours, theirs in zip(found, given.values(), strict=True):
        assert ours is not None
        assert ours.equal(theirs)
    assert len(changed(net, before)) == len(found)


def test_fully_connected_layers_become_convolutions_over_what_they_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the middle of its last map an FCN sees what the classifier sees of 224x224 pixels."""
    given = classifier("vgg16")
    assert isinstance(given, NarrowVgg)
    offered(monkeypatch, saved(given.state_dict(), tmp_path), first_use=True)
    net = fresh(VGG).eval()
    begun = load(net, find(VGG), "torchvision:VGG16_Weights.IMAGENET1K_V1")
    assert begun.note == f"trusted on first use: sha256 {'ab' * 32}"
    images = torch.randn(1, 3, 224, 224)
    with torch.inference_mode():
        seen = net.get_submodule("body")(images)[-1]
        expected = given.eval().classifier[:5](given.features(images).flatten(1))
    assert seen.shape == (1, HIDDEN, 7, 7)
    torch.testing.assert_close(seen[..., 3, 3], expected, rtol=1e-3, atol=1e-3)
    assert expected.any()


@pytest.mark.parametrize(
    ("name", "enum", "kind"),
    [
        (SEGNET, "VGG16_BN_Weights.IMAGENET1K_V1", "vgg16_bn"),
        (SEGNET, "VGG16_Weights.IMAGENET1K_V1", "vgg16"),
        ("fcn8s-resnet50", "ResNet50_Weights.IMAGENET1K_V1", "resnet50"),
        (DILATED, "ResNet50_Weights.IMAGENET1K_V2", "resnet50"),
    ],
)
def test_torchvisions_classifiers_are_taken(
    name: str, enum: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    architecture = find(name)
    given = classifier(kind)
    offered(monkeypatch, saved(given.state_dict(), tmp_path))
    net = fresh(name)
    begun = load(net, architecture, f"torchvision:{enum}")
    assert begun.lacks_norms == (name == SEGNET and kind == "vgg16")
    assert begun.source.licence == "BSD-3-Clause"
    ours = net.get_submodule(architecture.body[:-1])
    theirs = given.get_submodule("features") if name == SEGNET else given
    pairs = [
        [module.weight for module in each.modules() if isinstance(module, nn.Conv2d)]
        for each in (ours, theirs)
    ]
    assert all(one.equal(other) for one, other in zip(*pairs, strict=True))
    if not begun.lacks_norms:
        state = theirs.state_dict()
        assert all(tensor.equal(state[key]) for key, tensor in ours.state_dict().items())


@pytest.mark.parametrize("form", ["state dictionary", "checkpoint"])
@pytest.mark.parametrize("name", [LIGHT, VGG, SEGNET])
def test_a_run_on_other_classes_gives_all_but_what_tells_them(
    name: str, form: str, tmp_path: Path
) -> None:
    state = settled(fresh(name, classes=3, seed=1)).state_dict()
    held = state if form == "state dictionary" else {"networks": {"net": state}, "epoch": 4}
    path = saved(held, tmp_path, "best.ckpt")
    architecture = find(name)
    if name == VGG:
        architecture = replace(architecture, make=lambda classes: fresh(VGG, classes))
    of_classes = class_layers(architecture)
    for classes in (5, 3):
        net = fresh(name, classes)
        before = state_of(net)
        begun = load(net, architecture, str(path))
        for key, tensor in net.state_dict().items():
            assert tensor.equal((before if key in of_classes else state)[key]), key
        assert (begun.whole, begun.lacks_norms, begun.note) == (True, False, "")
        assert begun.source.name == "best.ckpt"
        assert str(tmp_path) not in str(begun)


def test_a_run_on_the_same_classes_can_keep_them(tmp_path: Path) -> None:
    given = settled(fresh(classes=5, seed=1))
    path = saved(given.state_dict(), tmp_path)
    net = fresh(classes=5)
    load(net, find(LIGHT), str(path), keep_classes=True)
    assert not changed(net, given.state_dict())
    before = state_of(other := fresh(classes=4))
    with pytest.raises(WeightsError, match=r"scores\.0\.4\.bias \(5,\) in place of \(4,\)"):
        load(other, find(LIGHT), str(path), keep_classes=True)
    assert not changed(other, before)


def test_torchvisions_published_network_is_taken_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(2)
    theirs = settled(segmentation.fcn_resnet50(weights_backbone=None, aux_loss=True)).eval()
    state = {
        key: tensor
        for key, tensor in theirs.state_dict().items()
        if not key.endswith("num_batches_tracked")  # as in the oldest files
    }
    offered(monkeypatch, saved(state, tmp_path), first_use=True)
    net = fresh(DILATED, LABELS).eval()
    begun = load(net, find(DILATED), PUBLISHED, keep_classes=True)
    images = torch.randn(1, 3, 40, 56)
    with torch.inference_mode():
        torch.testing.assert_close(net(images), theirs(images)["out"])
    assert begun.whole
    assert begun.note == f"trusted on first use: sha256 {'ab' * 32}"
    assert begun.source.name == PUBLISHED
    assert str(begun.source.url).endswith("fcn_resnet50_coco-1167a1af.pth")
    before = state_of(net := fresh(DILATED, classes=4))
    load(net, find(DILATED), PUBLISHED)
    kept = set(before) - changed(net, before)
    assert {key for key in kept if "num_batches" not in key} == class_layers(find(DILATED))


def test_torchvisions_larger_network_is_taken_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with torch.device("meta"):
        shapes = segmentation.fcn_resnet101(weights_backbone=None, aux_loss=True).state_dict()
    # One stored number each, so that the file is small.
    state = {
        key: torch.full((), 0.5).to(tensor.dtype).expand(tensor.shape)
        for key, tensor in shapes.items()
    }
    offered(monkeypatch, saved(state, tmp_path))
    net = fresh("fcn-resnet101", LABELS)
    load(net, find("fcn-resnet101"), PUBLISHED.replace("50", "101"), keep_classes=True)
    assert all(bool((parameter == 0.5).all()) for parameter in net.parameters())


def refused(locator: str, name: str = LIGHT) -> str:
    """The complaint about weights, after which a network is as it was."""
    net = fresh(name)
    before = state_of(net)
    with pytest.raises(WeightsError) as caught:
        load(net, find(name), locator)
    assert not changed(net, before)
    return str(caught.value)


def test_weights_that_do_not_fit_are_refused_whole(tmp_path: Path) -> None:
    path = saved(classifier("efficientnet_lite1", 10).state_dict(), tmp_path)
    assert "does not fit this efficientnet_lite0" in refused(str(path))
    assert f"{PUBLISHED} is not of {LIGHT}; name the architecture" in refused(PUBLISHED)
    other = "efficientnet-lite1-imagenet"
    assert "is of efficientnet_lite1, not of efficientnet_lite0" in refused(other)
    assert "is of vgg16, not of resnet50" in refused("vgg16-imagenet-features", DILATED)
    assert "weights of a whole network alone, such as torchvision:FCN_ResNet101" in refused(
        str(path), "fcn-resnet101"
    )
    saved(fresh("fcn8s-efficientnet_lite0").state_dict(), tmp_path)
    assert "does not fit the network: it has no scores.3." in refused(str(path))
    saved(fresh(SEGNET).state_dict(), tmp_path)
    assert "does not fit this efficientnet_lite0; missing: _blocks" in refused(str(path))
    state = dict(fresh().state_dict())
    state["scores.4"] = state.pop("scores.0.0.weight")
    saved(state, tmp_path)
    complaint = refused(str(path))
    assert "no scores.0.0.weight" in complaint
    assert "scores.4, which the network lacks" in complaint
    state = dict(fresh().state_dict())
    state["scores.1.1.bias"] = torch.zeros(3)
    saved(state, tmp_path)
    assert "scores.1.1.bias (3,) in place of (128,)" in refused(str(path))


def test_files_that_hold_no_weights_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"missing\.pth cannot be read"):
        load(fresh(), find(LIGHT), str(tmp_path / "missing.pth"))
    (tmp_path / "text.pth").write_text("not weights")
    with pytest.raises(ConversionError, match="cannot be read as PyTorch weights"):
        load(fresh(), find(LIGHT), str(tmp_path / "text.pth"))


def test_every_row_for_a_body_is_of_a_network_here() -> None:
    begun = {architecture.classifier for architecture in ARCHITECTURES.values()}
    for name in begun - {""}:
        assert name in classifiers.ARCHITECTURES
    rows = {row.architecture for row in weights.TABLE.values()}
    assert rows - {"mobilenet_v2"} <= begun
