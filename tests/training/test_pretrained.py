import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from training import weights
from training.conversions import read_torch
from training.nets.architectures import build
from training.pretrained import load_pretrained
from training.weights import WeightsError


@pytest.fixture
def trained() -> nn.Module:
    torch.manual_seed(0)
    return build("resnet20", 5)


@pytest.fixture
def saved(trained: nn.Module, tmp_path: Path) -> str:
    path = tmp_path / "resnet20.pth"
    torch.save(trained.state_dict(), path)
    return str(path)


def equal(net: nn.Module, other: nn.Module) -> set[str]:
    state, theirs = net.state_dict(), other.state_dict()
    return {n for n in state if n in theirs and torch.equal(state[n], theirs[n])}


def test_all_but_the_head_is_loaded_for_other_classes(trained: nn.Module, saved: str) -> None:
    net = build("resnet20", 3)
    loaded = load_pretrained(net, "resnet20", saved)
    assert loaded.fresh == ("fc.weight", "fc.bias")
    assert equal(net, trained) == set(net.state_dict()) - set(loaded.fresh)
    assert loaded.sha256 == hashlib.sha256(Path(saved).read_bytes()).hexdigest()
    assert not loaded.first_use  # the user's own file


def test_the_head_is_replaced_even_where_it_would_fit(trained: nn.Module, saved: str) -> None:
    net = build("resnet20", 5)
    before = net.get_parameter("fc.weight").clone()
    load_pretrained(net, "resnet20", saved)
    assert torch.equal(net.get_parameter("fc.weight"), before)


def test_the_head_can_be_kept(trained: nn.Module, saved: str) -> None:
    net = build("resnet20", 5)
    assert load_pretrained(net, "resnet20", saved, keep_head=True).fresh == ()
    assert equal(net, trained) == set(net.state_dict())
    with pytest.raises(WeightsError, match=r"of another shape: fc\.bias \(5,\) in place of \(3,\)"):
        load_pretrained(build("resnet20", 3), "resnet20", saved, keep_head=True)


def test_weights_of_another_network_are_refused_and_change_nothing(saved: str) -> None:
    net = build("resnet32", 5)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    with pytest.raises(WeightsError, match=r"does not fit this resnet32; missing: layer1\.3\.bn1"):
        load_pretrained(net, "resnet32", saved)
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
    with pytest.raises(WeightsError, match=r"not in the network: .* and \d+ more"):
        load_pretrained(build("convnet", 5), "convnet", saved)


def test_other_channels_are_named(saved: str) -> None:
    grey = build("resnet20", 5, channels=1)
    with pytest.raises(WeightsError, match=r"conv1\.weight \(16, 3, 3, 3\) in place of \(16, 1"):
        load_pretrained(grey, "resnet20", saved)


def test_files_from_before_batches_were_counted_load(trained: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "old.pth"
    state = trained.state_dict()
    torch.save({n: t for n, t in state.items() if not n.endswith("num_batches_tracked")}, path)
    net = build("resnet20", 5)
    assert load_pretrained(net, "resnet20", str(path), keep_head=True).fresh == ()


def test_a_row_may_lack_parts(
    trained: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "features.pth"
    state = trained.state_dict()
    torch.save({n: t for n, t in state.items() if not n.startswith(("fc", "layer3"))}, path)
    row = replace(
        weights.TABLE["vgg16-imagenet-features"],
        architecture="resnet20",
        source=str(path),
        file="",
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        lacks=("layer3", "fc"),
        read=read_torch,
    )
    monkeypatch.setitem(weights.TABLE, "mine", row)
    net = build("resnet20", 5)
    fresh = load_pretrained(net, "resnet20", "mine").fresh
    assert {name.partition(".")[0] for name in fresh} == {"layer3", "fc"}
    with pytest.raises(WeightsError, match="mine holds no layer3, fc, so no head to keep"):
        load_pretrained(net, "resnet20", "mine", keep_head=True)
