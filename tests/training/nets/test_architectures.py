import pytest
import torch
from torch import nn

from training.nets.architecture import SCRATCH_MEAN, SCRATCH_STD, belongs
from training.nets.architectures import ARCHITECTURES, ArchitectureError, build, find

SMALL = [name for name, architecture in ARCHITECTURES.items() if architecture.small]
# Trainable parameters for 1000 classes, as torchvision states them.
PUBLISHED = {
    "vgg11_bn": 132868840,
    "vgg16": 138357544,
    "vgg16_bn": 138365992,
    "vgg19": 143667240,
    "vgg19_bn": 143678248,
    "resnet18": 11689512,
    "resnet34": 21797672,
    "resnet50": 25557032,
    "resnet50_keras": 25557032,
    "mobilenet_v2": 3504872,
}


def built_on_meta(name: str, classes: int = 10, **options: bool) -> nn.Module:
    with torch.device("meta"):
        return build(name, classes, small_images=options.get("small_images", False))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_stages_hold_every_parameter_once_and_the_head_is_last(name: str) -> None:
    architecture = find(name)
    for small_images in {False, architecture.small}:
        net = built_on_meta(name, small_images=small_images)
        for parameter, _ in net.named_parameters():
            assert sum(belongs(parameter, stage) for stage in architecture.stages) == 1, parameter
        for stage in architecture.stages:
            assert any(belongs(parameter, stage) for parameter in net.state_dict()), stage
    assert architecture.stages[-1] == architecture.head


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_nothing_but_the_head_depends_on_the_classes(name: str) -> None:
    few, many = (built_on_meta(name, classes).state_dict() for classes in (3, 5))
    differing = {key for key in few if few[key].shape != many[key].shape}
    assert differing
    assert all(belongs(key, find(name).head) for key in differing)


@pytest.mark.parametrize("name", PUBLISHED)
def test_for_imagenet_a_network_has_its_published_size(name: str) -> None:
    net = built_on_meta(name, 1000)
    assert sum(parameter.numel() for parameter in net.parameters()) == PUBLISHED[name]


@pytest.mark.parametrize("name", [n for n in SMALL if not n.startswith(("vgg19", "plain"))])
def test_small_grey_pictures_give_logits(name: str) -> None:
    net = build(name, 4, channels=1, small_images=True, size=32).eval()
    with torch.inference_mode():
        assert net(torch.zeros(2, 1, 32, 32)).shape == (2, 4)


def test_large_grey_pictures_give_logits() -> None:
    for name in ("efficientnet_lite0", "resnet50_keras", "mobilenet_v2"):
        net = build(name, 4, channels=1).eval()
        with torch.inference_mode():
            assert net(torch.zeros(1, 1, 64, 64)).shape == (1, 4)


def test_small_pictures_keep_their_size_through_the_stem() -> None:
    sizes = {}

    def note(name: str) -> None:
        net = build(name, 2, small_images=True).eval()
        shapes: list[int] = []
        for module in net.modules():
            if isinstance(module, nn.Conv2d):
                module.register_forward_hook(lambda _, __, out: shapes.append(out.shape[-1]))
        with torch.inference_mode():
            net(torch.zeros(1, 3, 32, 32))
        sizes[name] = (shapes[0], shapes[-1])

    for name in ("resnet18", "googlenet", "mobilenet_v2"):
        note(name)
    assert sizes == {"resnet18": (32, 4), "googlenet": (32, 4), "mobilenet_v2": (32, 4)}


@pytest.mark.parametrize(("small_images", "size"), [(True, 32), (False, 64)])
def test_googlenet_has_auxiliary_logits_in_training_only(small_images: bool, size: int) -> None:
    net = build("googlenet", 3, small_images=small_images)
    output = net(torch.zeros(2, 3, size, size))
    assert [logits.shape for logits in output] == [(2, 3)] * 3
    assert output._fields == ("logits", "aux_logits2", "aux_logits1")
    assert net.eval()(torch.zeros(2, 3, size, size)).shape == (2, 3)


def test_dropout_is_set_where_there_is_one() -> None:
    for name in ("convnet", "vgg16", "googlenet", "mobilenet_v2", "efficientnet_lite0"):
        net = build(name, 2, dropout=0.125, small_images=name == "vgg16")
        rates = {module.p for module in net.modules() if isinstance(module, nn.Dropout)}
        assert rates - {0.7} == {0.125}, name  # 0.7 in GoogLeNet's auxiliary heads
    with pytest.raises(ArchitectureError, match="resnet18 has no dropout"):
        build("resnet18", 2, dropout=0.5)


def test_what_cannot_be_built_says_what_can() -> None:
    with pytest.raises(ArchitectureError, match="no network resnet19; there are convnet,"):
        build("resnet19", 2)
    with pytest.raises(ArchitectureError, match="cannot be adapted to small pictures; these can"):
        build("efficientnet_lite0", 2, small_images=True)


def test_from_scratch_all_channels_share_one_mean() -> None:
    resnet = find("resnet18")
    assert resnet.mean == pytest.approx((123.675, 116.28, 103.53))
    assert (resnet.from_scratch().mean, resnet.from_scratch().std) == (SCRATCH_MEAN, SCRATCH_STD)
    assert find("convnet").mean == SCRATCH_MEAN


def test_the_keras_network_halves_in_the_1x1_convolutions() -> None:
    keras, ours = build("resnet50_keras", 2).eval(), build("resnet50", 2).eval()
    ours.load_state_dict(keras.state_dict())
    strides = {
        name: module.stride
        for name, module in keras.named_modules()
        if isinstance(module, nn.Conv2d) and module.stride != (1, 1)
    }
    stages = ("layer2", "layer3", "layer4")
    halving = [f"{s}.0.{conv}" for s in stages for conv in ("conv1", "downsample.0")]
    assert sorted(strides) == sorted(["conv1", *halving])
    assert {m.eps for m in keras.modules() if isinstance(m, nn.BatchNorm2d)} == {1e-3}
