import pytest
import torch
import torchvision

from training.nets.architectures import ArchitectureError, build
from training.published import describe, imagenet_labels
from training.weights import TABLE, WeightsError


@pytest.mark.parametrize("name", TABLE)
def test_a_row_tells_its_architecture_and_labels(name: str) -> None:
    published = describe(name)
    assert published.architecture == TABLE[name].architecture
    assert published.labels == (() if TABLE[name].lacks else imagenet_labels())
    assert str(published.size) in TABLE[name].preprocessing
    assert published.source.licence == TABLE[name].licence


@pytest.mark.parametrize(
    ("member", "architecture", "crop"),
    [
        ("ResNet50_Weights.IMAGENET1K_V1", "resnet50", 224 / 256),
        ("ResNet50_Weights.IMAGENET1K_V2", "resnet50", 224 / 232),
        ("MobileNet_V2_Weights.DEFAULT", "mobilenet_v2", 224 / 232),
        ("VGG19_BN_Weights.DEFAULT", "vgg19_bn", 224 / 256),
        ("GoogLeNet_Weights.DEFAULT", "googlenet", 224 / 256),
    ],
)
def test_torchvisions_weights_tell_their_architecture(
    member: str, architecture: str, crop: float
) -> None:
    published = describe(f"torchvision:{member}")
    assert published.architecture == architecture
    assert (published.size, published.crop) == (224, crop)
    assert published.labels[0] == "tench"
    assert len(published.labels) == 1000
    assert published.quality.startswith("top-1 ")


def test_free_locators_need_the_architecture() -> None:
    with pytest.raises(WeightsError, match=r"my\.pth does not tell its architecture"):
        describe("my.pth")
    published = describe("my.pth", "resnet20")
    assert (published.architecture, published.labels, published.size) == ("resnet20", (), 32)
    with pytest.raises(ArchitectureError, match="no network resnet19"):
        describe("my.pth", "resnet19")


@pytest.mark.parametrize(
    ("locator", "architecture", "message"),
    [
        ("mobilenet-v2-imagenet", "resnet18", "is of mobilenet_v2, not of resnet18"),
        ("torchvision:ResNet50_Weights.DEFAULT", "resnet18", "is of resnet50"),
        ("torchvision:ConvNeXt_Tiny_Weights.DEFAULT", None, "is of no network here; there are"),
        ("torchvision:ResNet50_Weights.V9", None, "no weights ResNet50_Weights"),
        ("torchvision:resnet50", None, "they are named like"),
        ("torchvision:VGG16_Weights.IMAGENET1K_FEATURES", None, "holds features only"),
    ],
)
def test_what_does_not_fit_is_refused(locator: str, architecture: str | None, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        describe(locator, architecture)


def test_googlenets_pixels_are_what_torchvision_makes_of_them() -> None:
    published = describe("torchvision:GoogLeNet_Weights.DEFAULT")
    mean, std = torch.tensor(published.mean), torch.tensor(published.std)
    torch.manual_seed(0)
    net = build("googlenet", 3).eval()
    theirs = torchvision.models.googlenet(
        num_classes=3, init_weights=False, transform_input=True
    ).eval()
    theirs.load_state_dict(net.state_dict())
    pixels = torch.rand(1, 3, 64, 64)
    usual = torchvision.transforms.functional.normalize(
        pixels, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    )
    with torch.inference_mode():
        ours = net((255 * pixels - mean) / std)
        torch.testing.assert_close(ours, theirs(usual), rtol=1e-3, atol=1e-3)
