"""The losses of a detector: what they teach, and what they leave out."""

from collections.abc import Callable, Mapping, Sequence

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList

from tests.training.nets.detection.random_detectors import (
    LIGHT,
    TORCHVISIONS,
    colourful,
    random_detector,
)
from training.nets.detection.architectures import build, find, freeze_first
from training.nets.detection.detector import Detector, Target
from training.nets.pixels import Pixels

HEIGHT, WIDTH = 96, 128
OBJECTS = ((10.0, 10.0, 60.0, 60.0), (70.0, 20.0, 100.0, 90.0))
LOSSES = {"objectness", "proposals", "classes", "boxes"}
#: The left half.
IGNORED = (0.0, 0.0, 64.0, 96.0)
Corners = tuple[float, float, float, float]


def target(objects: Sequence[Corners] = (), ignored: Sequence[Corners] = ()) -> Target:
    return {
        "boxes": torch.tensor(objects).reshape(-1, 4),
        "labels": torch.arange(len(objects)) + 1,
        "ignored": torch.tensor(ignored).reshape(-1, 4),
    }


def pixels(name: str, count: int) -> Tensor:
    architecture = find(name)
    normalise = Pixels(architecture.mean, architecture.std)
    normalised: Tensor = normalise(colourful(count, HEIGHT, WIDTH))
    return normalised


def losses(
    detector: Detector, targets: Sequence[Target], name: str = LIGHT
) -> Mapping[str, Tensor]:
    """In training mode, the samples always drawn alike."""
    torch.manual_seed(3)
    found: Mapping[str, Tensor] = detector.train()(pixels(name, len(targets)), targets)
    assert found.keys() == LOSSES
    return found


def values(found: Mapping[str, Tensor]) -> dict[str, float]:
    return {name: float(loss.detach()) for name, loss in found.items()}


def backward(found: Mapping[str, Tensor]) -> None:
    torch.stack(list(found.values())).sum().backward()  # type: ignore[no-untyped-call]


@pytest.fixture(params=[LIGHT, TORCHVISIONS])
def fresh(request: pytest.FixtureRequest) -> tuple[str, Detector]:
    """A detector as training begins with it."""
    torch.manual_seed(0)
    return request.param, build(request.param, 3)


def test_the_losses_reach_every_parameter(fresh: tuple[str, Detector]) -> None:
    name, detector = fresh
    found = losses(detector, [target(OBJECTS), target()], name)
    assert all(torch.isfinite(loss) and loss > 0 for loss in found.values())
    backward(found)
    for key, parameter in detector.named_parameters():
        assert parameter.requires_grad, key
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key
        assert parameter.grad.any(), key


def test_steps_on_a_batch_lower_its_losses() -> None:
    torch.manual_seed(0)
    detector = build(LIGHT, 2)
    optimizer = torch.optim.Adam(detector.parameters(), lr=1e-3)
    sums = []
    for _ in range(6):
        found = losses(detector, [target(OBJECTS), target(OBJECTS[:1])])
        sums.append(sum(values(found).values()))
        optimizer.zero_grad()
        backward(found)
        optimizer.step()
    assert sums[-1] < 0.8 * sums[0]


def test_a_batch_without_objects_teaches_what_is_background() -> None:
    detector = random_detector()
    found = losses(detector, [target(), target()])
    assert values(found)["proposals"] == values(found)["boxes"] == 0
    assert found["objectness"] > 0
    assert found["classes"] > 0
    backward(found)
    gradients = [p.grad for p in detector.parameters() if p.grad is not None]
    assert all(torch.isfinite(one).all() for one in gradients)
    assert detector.roi_heads.box_predictor.cls_score.weight.grad.any()


def sampled_anchors(detector: Detector, targets: Sequence[Target]) -> tuple[Tensor, Tensor]:
    """The anchors of all pictures, and which of them the objectness was learned from."""
    seen: list[Tensor] = []

    def keep(module: nn.Module, inputs: object, output: Tensor) -> None:
        del module, inputs
        output.retain_grad()
        seen.append(output)

    hook = detector.rpn.head.cls_logits.register_forward_hook(keep)
    losses(detector, targets)["objectness"].backward()  # type: ignore[no-untyped-call]
    hook.remove()
    sizes = [(HEIGHT, WIDTH)] * len(targets)
    images = ImageList(torch.zeros(len(targets), 3, HEIGHT, WIDTH), sizes)
    anchors = detector.rpn.anchor_generator(images, seen)
    chosen = []
    for output in seen:
        assert output.grad is not None
        chosen.append(output.grad.permute(0, 2, 3, 1).flatten(1) != 0)
    return torch.stack(anchors), torch.cat(chosen, 1)


def sampled_proposals(detector: Detector, targets: Sequence[Target]) -> list[Tensor]:
    """The proposals that the heads learned from, of each picture."""
    seen: list[list[Tensor]] = []
    hook = detector.roi_heads.box_roi_pool.register_forward_pre_hook(
        lambda _, inputs: seen.append(inputs[1])
    )
    losses(detector, targets)
    hook.remove()
    return seen[0]


def share_in(boxes: Tensor, other: Corners) -> Tensor:
    """How much of each box lies in another."""
    x_min, y_min, x_max, y_max = other
    wide = boxes[:, 2].clamp(max=x_max) - boxes[:, 0].clamp(min=x_min)
    high = boxes[:, 3].clamp(max=y_max) - boxes[:, 1].clamp(min=y_min)
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return wide.clamp(min=0) * high.clamp(min=0) / area


def anchors_learned(targets: Sequence[Target]) -> list[Tensor]:
    anchors, chosen = sampled_anchors(random_detector(), targets)
    return [boxes[rows] for boxes, rows in zip(anchors, chosen, strict=True)]


def proposals_learned(targets: Sequence[Target]) -> list[Tensor]:
    return sampled_proposals(random_detector(), targets)


@pytest.mark.parametrize("learned", [anchors_learned, proposals_learned])
def test_background_in_an_ignored_box_is_not_learned(
    learned: Callable[[Sequence[Target]], list[Tensor]],
) -> None:
    with_it, without_it = learned([target(ignored=[IGNORED]), target()])
    assert len(with_it) > 10
    assert (share_in(with_it, IGNORED) < 0.5).all()
    assert (share_in(without_it, IGNORED) >= 0.5).any()


@pytest.mark.parametrize("learned", [anchors_learned, proposals_learned])
def test_an_object_in_an_ignored_box_is_learned(
    learned: Callable[[Sequence[Target]], list[Tensor]],
) -> None:
    [boxes] = learned([target(OBJECTS[:1], ignored=[IGNORED])])
    inside = boxes[share_in(boxes, IGNORED) >= 0.5]
    assert len(inside) > 0
    # Only what lies well on the object, and nothing beside it.
    assert (share_in(inside, OBJECTS[0]) > 0.4).all()


def test_several_ignored_boxes_are_left_out_one_by_one() -> None:
    whole = (0.0, 0.0, float(WIDTH), float(HEIGHT))
    quarters = [(0.0, 0.0, 64.0, 96.0), (64.0, 0.0, 128.0, 48.0)]
    [boxes] = proposals_learned([target(ignored=quarters)])
    assert len(boxes) > 0
    assert all((share_in(boxes, one) < 0.5).all() for one in quarters)
    assert (share_in(boxes, whole) == 1).all()


def test_a_batch_of_ignored_boxes_alone_can_be_trained_on() -> None:
    detector = random_detector()
    whole = target(ignored=[(0.0, 0.0, float(WIDTH), float(HEIGHT))])
    found = losses(detector, [whole, whole])
    assert values(found)["classes"] == values(found)["boxes"] == 0
    assert torch.isfinite(found["objectness"])
    backward(found)
    gradients = [p.grad for p in detector.parameters() if p.grad is not None]
    assert all(torch.isfinite(one).all() for one in gradients)


@pytest.mark.parametrize(("name", "stages"), [(LIGHT, 0), (LIGHT, 2), (TORCHVISIONS, 2)])
def test_frozen_stages_and_statistics_stay_as_they_are(name: str, stages: int) -> None:
    detector = random_detector(name)
    architecture = find(name)
    freeze_first(detector, architecture, stages)
    before = {key: tensor.clone() for key, tensor in detector.state_dict().items()}
    learning = [p for p in detector.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(learning, lr=0.1)
    backward(losses(detector, [target(OBJECTS)], name))
    optimizer.step()
    changed = {
        key for key, tensor in detector.state_dict().items() if not tensor.equal(before[key])
    }
    frozen = tuple(f"{p}." for group in architecture.stages[:stages] for p in group)
    body = {key for key in before if key.startswith("backbone.body.")}
    weights = {key for key, parameter in detector.named_parameters() if parameter.ndim > 1}
    assert not changed & {key for key in body if "running_" in key or "num_batches" in key}
    assert not any(key.startswith(frozen) for key in changed if frozen)
    kept = {key for key in weights if frozen and key.startswith(frozen)}
    assert bool(kept) == bool(stages)
    assert weights - kept <= changed


def test_16_bits_give_nearly_the_same_losses() -> None:
    torch.manual_seed(0)
    detector = build(LIGHT, 3)
    targets = [target(OBJECTS), target(OBJECTS[:1])]
    exact = losses(detector, targets)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = losses(detector, targets)
    assert {loss.dtype for loss in found.values()} == {torch.float32}
    assert values(found) == pytest.approx(values(exact), rel=0.05)
    assert values(found) != values(exact)
    backward(found)
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in detector.parameters())
