from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from training.data.box_augment import BoxAugment, BoxAugmentation, Example

SIZE, PAD = 128, 114
NOTHING = BoxAugmentation(flip=False, crop=0, scale_min=1, scale_max=1, photometric=0)
COLOURS = torch.tensor([[255, 0, 0], [0, 255, 0], [0, 0, 255]], dtype=torch.uint8)
BOXES = torch.tensor([[8.0, 8, 40, 32], [60, 20, 100, 70], [110, 60, 150, 90]])


@pytest.fixture
def picture() -> Tensor:
    """Black, 160x100, with a rectangle of pure colour for each of the boxes."""
    image = torch.zeros(3, 100, 160, dtype=torch.uint8)
    for (x_min, y_min, x_max, y_max), colour in zip(BOXES.int().tolist(), COLOURS, strict=True):
        image[:, y_min:y_max, x_min:x_max] = colour[:, None, None]
    return image


Vary = Callable[[BoxAugmentation, int], Example]


@pytest.fixture
def vary(picture: Tensor) -> Vary:
    def varied(augmentation: BoxAugmentation, seed: int) -> Example:
        torch.manual_seed(seed)
        augment = BoxAugment(augmentation, SIZE, PAD)
        return augment(picture, BOXES, torch.arange(3), torch.zeros(3, dtype=torch.bool))

    return varied


def seen(image: Tensor, label: int) -> Tensor:
    """Where a rectangle shows at least half its colour, ``bool[S, S]``, black and grey apart."""
    wanted = image[label].int()
    others = image.int().sum(0) - wanted
    return (wanted > 127) & (others < 80)


def edges(mask: Tensor) -> Tensor:
    """The box around what is true."""
    rows, columns = torch.nonzero(mask.any(1))[:, 0], torch.nonzero(mask.any(0))[:, 0]
    low, high = [columns[0], rows[0]], [columns[-1] + 1, rows[-1] + 1]
    return torch.stack(low + high).float()


@pytest.mark.parametrize(
    "augmentation",
    [
        NOTHING,
        BoxAugmentation(crop=0, scale_min=1, scale_max=1, photometric=0),
        BoxAugmentation(flip=False, vertical_flip=True, crop=0, photometric=0),
        BoxAugmentation(flip=False, crop=1, scale_min=1, scale_max=1, photometric=0),
        BoxAugmentation(flip=False, crop=0, scale_min=0.5, scale_max=2, photometric=0),
        BoxAugmentation(flip=False, crop=0, zoom_out=3, photometric=0),
        BoxAugmentation(vertical_flip=True, crop=0.5, zoom_out=2, photometric=0),
    ],
)
def test_boxes_stay_around_their_objects(vary: Vary, augmentation: BoxAugmentation) -> None:
    found = 0
    for seed in range(20):
        example = vary(augmentation, seed)
        assert example.image.shape == (3, SIZE, SIZE)
        assert example.image.dtype == torch.uint8
        assert example.boxes.dtype == torch.float32
        for box, label in zip(example.boxes, example.labels.tolist(), strict=True):
            assert (edges(seen(example.image, label)) - box).abs().max() <= 1.0
            found += 1
    assert found >= 20


def test_objects_mostly_cut_off_are_left_out(vary: Vary) -> None:
    augmentation = BoxAugmentation(flip=False, crop=0, scale_min=2, scale_max=2, photometric=0)
    whole = (BOXES[:, 2:] - BOXES[:, :2]).prod(1) * (SIZE * 2 / 160) ** 2
    kept = set()
    for seed in range(40):
        example = vary(augmentation, seed)
        for label in range(3):
            share = float(seen(example.image, label).sum() / whole[label])
            if abs(share - 0.25) > 0.04:
                assert (label in example.labels.tolist()) == (share > 0.25)
                kept.add(share > 0.25)
    assert kept == {True, False}


def test_objects_that_become_tiny_are_left_out() -> None:
    image = torch.zeros(3, 640, 640, dtype=torch.uint8)
    boxes = torch.tensor([[100.0, 100, 109, 300], [200, 200, 211, 211]])
    example = BoxAugment(NOTHING, SIZE, PAD)(
        image, boxes, torch.arange(2), torch.tensor([False, True])
    )
    assert example.labels.tolist() == [1]
    assert example.ignored.tolist() == [True]
    assert torch.allclose(example.boxes, boxes[1:] / 5)


def test_flips_mirror_half_of_the_pictures(vary: Vary) -> None:
    flip = BoxAugmentation(crop=0, scale_min=1, scale_max=1, photometric=0)
    upside = BoxAugmentation(
        flip=False, vertical_flip=True, crop=0, scale_min=1, scale_max=1, photometric=0
    )
    mirrored = [vary(flip, seed).boxes[0, 0].item() > SIZE / 2 for seed in range(60)]
    assert 15 < sum(mirrored) < 45
    below = [  # the first rectangle is above the last, unless the picture is upside down
        bool(boxes[0, 1] > boxes[2, 1]) for boxes in (vary(upside, s).boxes for s in range(60))
    ]
    assert 15 < sum(below) < 45
    still = [vary(NOTHING, seed).boxes[0, 0].item() for seed in range(10)]
    assert still == [pytest.approx(8 * SIZE / 160)] * 10


def test_pictures_are_laid_all_over_the_canvas(vary: Vary) -> None:
    small = BoxAugmentation(flip=False, crop=0, scale_min=0.5, scale_max=0.5, photometric=0)
    begins = torch.stack([vary(small, seed).boxes[0, :2] for seed in range(60)])
    # The picture is 64x40: it begins between 0 and 64 across, 0 and 88 down.
    assert (begins.min(0).values < 12).all()
    assert begins[:, 0].max() > 55
    assert begins[:, 1].max() > 75


def test_half_of_the_pictures_are_shrunk(vary: Vary) -> None:
    augmentation = BoxAugmentation(
        flip=False, crop=0, zoom_out=3, scale_min=1, scale_max=1, photometric=0
    )
    widths = [vary(augmentation, seed).boxes[0] for seed in range(60)]
    shrunk = [float(32 * SIZE / 160 / (box[2] - box[0])) for box in widths]
    assert 15 < sum(factor > 1.001 for factor in shrunk) < 45
    assert 2 < max(shrunk) < 3.1


def test_the_canvas_keeps_its_colour(vary: Vary) -> None:
    for seed in range(10):
        image = vary(BoxAugmentation(scale_min=0.5, scale_max=0.5, photometric=1), seed).image
        border = torch.cat([image[:, 0], image[:, -1], image[:, :, 0], image[:, :, -1]], dim=1)
        assert (border == PAD).all(0).float().mean() > 0.5


def test_colours_change_and_boxes_do_not(vary: Vary) -> None:
    coloured = BoxAugmentation(flip=False, crop=0, scale_min=1, scale_max=1, photometric=1)
    plain, other = vary(NOTHING, 0), vary(coloured, 0)
    assert torch.equal(
        plain.boxes[:, 2:] - plain.boxes[:, :2], other.boxes[:, 2:] - other.boxes[:, :2]
    )
    assert not torch.equal(seen(plain.image, 0) * plain.image, seen(other.image, 0) * other.image)


def test_crops_show_an_object(vary: Vary) -> None:
    augmentation = BoxAugmentation(flip=False, crop=1, scale_min=1, scale_max=1, photometric=0)
    counts = [len(vary(augmentation, seed).boxes) for seed in range(40)]
    assert min(counts) >= 1
    assert min(counts) < max(counts)


@pytest.mark.parametrize("shape", [(3, 100, 160), (3, 1, 50), (3, 15, 15)])
def test_pictures_without_objects_and_tiny_ones_are_varied_too(shape: tuple[int, ...]) -> None:
    image = torch.full(shape, 200, dtype=torch.uint8)
    augment = BoxAugment(BoxAugmentation(crop=1, photometric=0, zoom_out=4), SIZE, PAD)
    for boxes in (torch.zeros(0, 4), torch.tensor([[0.0, 0, shape[2], shape[1]]])):
        labels = torch.zeros(len(boxes), dtype=torch.int64)
        example = augment(image, boxes, labels, labels.bool())
        assert (example.image == 200).any()
        assert len(example.boxes) <= len(boxes)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("crop", 1.5, "--crop must be from 0 to 1, not 1.5"),
        ("zoom_out", 0.5, "--zoom-out must be from 1 to 8"),
        ("scale_min", 0, "--scale-min must be from 0.1 to 2"),
        ("scale_max", 3, "--scale-max must be from 0.1 to 2"),
        ("photometric", -0.1, "--photometric must be from 0 to 1"),
        ("photometric", float("nan"), "--photometric must be from 0 to 1"),
        ("scale_max", 0.5, "--scale-min must be no more than --scale-max, not 0.8 to 0.5"),
    ],
)
def test_values_out_of_range_are_refused(field: str, value: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BoxAugmentation(**{field: value})  # type: ignore[arg-type]
