import pytest
import torch

from training.nets.style.adain import adain_network
from training.nets.style.losses import gram
from training.nets.style.vgg import Vgg19
from training.tasks.stylize.objective import Aim, Losses, Weighting
from training.tasks.stylize.targets import targets


def test_the_total_weighs_its_parts() -> None:
    losses = Losses(torch.tensor([1.0, 2]), torch.tensor([0.1, 0.2]), torch.tensor([0.5, 0]))
    total = losses.total(Weighting(style_weight=10, smooth_weight=4))
    torch.testing.assert_close(total, torch.tensor([4.0, 4.0]))


def test_a_picture_has_no_content_loss_to_itself_and_no_style_loss_to_its_style(
    vgg: Vgg19,
) -> None:
    content, style = torch.rand(1, 3, 32, 32), torch.rand(1, 3, 32, 32) * torch.rand(1, 3, 1, 1)
    with torch.inference_mode():
        aim = Aim.of(vgg(content), vgg(style))
        of_content, of_style = (aim.losses(vgg(each), each) for each in (content, style))
    assert of_content.content.item() == 0
    assert of_content.style.item() > 0
    assert of_style.style.item() == 0
    assert of_style.content.item() > 0


def test_an_aim_is_told_by_the_layers_asked_for(vgg: Vgg19) -> None:
    with torch.inference_mode():
        features = vgg(torch.rand(1, 3, 16, 16))
    aim = Aim.of(features, features, ("relu3_1",), ("relu1_1", "relu2_1"))
    assert list(aim.content) == ["relu3_1"]
    assert {name: tuple(table.shape) for name, table in aim.style.items()} == {
        "relu1_1": (1, 64, 64),
        "relu2_1": (1, 128, 128),
    }


def test_targets_of_a_view_are_its_gram_matrices_and_its_code(vgg: Vgg19) -> None:
    views = torch.randint(0, 256, (3, 32, 32, 3), dtype=torch.uint8)
    net = adain_network()
    net.encoder.get_submodule("vgg").load_state_dict(vgg.state_dict())
    made = targets(vgg, net, views.numpy(), torch.device("cpu"))
    grams, codes = made.of(torch.tensor([2, 0]), torch.device("cpu"))
    with torch.inference_mode():
        features = vgg(views[[2, 0]].permute(0, 3, 1, 2) / 255)
    for name, table in grams.items():
        assert table.dtype == torch.float32
        torch.testing.assert_close(table, gram(features[name]), atol=2e-3, rtol=2e-3)
    torch.testing.assert_close(codes[:, :64], features["relu1_1"].mean((2, 3)))
    with pytest.raises(IndexError):
        made.of(torch.tensor([3]), torch.device("cpu"))
