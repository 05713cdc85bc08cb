"""The segmentation task on arrays: its manifest, what is told of masks, what is drawn."""

import base64
import io
import tracemalloc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fabricate import TinySegmenter
from faster_coco_eval.core import mask as coco  # type: ignore[import-untyped]
from numpy.typing import NDArray
from PIL import Image

from service.contract import Manifest, read_manifest
from service.errors import InferenceError, ManifestError, ParameterError
from service.images import Picture
from service.palette import VOID, palette, voc_colour
from service.resize import Placement
from service.session import Arrays
from service.task import ImageSeen, Inferred, ModelUsed, Timing
from service.tasks import segment
from service.tasks.segment import Params

HEIGHT, WIDTH = 40, 60
BLACK, RED, GREEN, BLUE, PADDING = range(5)
Size = tuple[int, int]


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return read_manifest(TinySegmenter(height=HEIGHT, width=WIDTH).write(tmp_path))


def outputs(mask: NDArray[np.uint8] | None = None, confidence: int = 204) -> dict[str, Any]:
    """What a graph gives: a red rectangle with a blue one beside it, unless told otherwise."""
    if mask is None:
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[10:20, 10:40], mask[10:20, 40:50] = RED, BLUE
    return {"mask": mask, "confidence": np.full(mask.shape, confidence, np.uint8)}


def inferred(manifest: Manifest, given: Arrays, size: Size = (WIDTH, HEIGHT)) -> Inferred:
    """What a run gave for a picture of a size."""
    picture = Picture(Image.new("RGB", size), *size, (0, 0, *size))
    placement = segment.prepare(picture, manifest, Params()).placement
    common = {
        "model": ModelUsed(name="colours", version="1", precision="fp32"),
        "image": ImageSeen(width=size[0], height=size[1]),
        "timing_ms": Timing(decode=0, queue=0, run=0, total=0),
    }
    return Inferred(manifest, given, placement, common)


def finish(
    manifest: Manifest, given: Arrays, size: Size = (WIDTH, HEIGHT), **params: Any
) -> list[segment.Segment]:
    """What is answered about a picture of a size."""
    return segment.finish(inferred(manifest, given, size), Params(**params)).segments


def altered(manifest: Manifest, **changes: Any) -> Manifest:
    return Manifest.model_validate(manifest.model_dump() | changes)


def with_tensor(manifest: Manifest, tensor: str, **changes: Any) -> Manifest:
    document = manifest.model_dump()
    variant = document["graphs"]["main"]["fp32"]
    for described in (*variant["inputs"], *variant["outputs"]):
        if described["name"] == tensor:
            described.update(changes)
    return Manifest.model_validate(document)


def unseen() -> Image.Image:
    raise AssertionError("the original is not needed")


def decoded(told: segment.Segment) -> NDArray[np.bool_]:
    """A mask in whichever format, as ``bool[H,W]``."""
    mask = told.mask
    if isinstance(mask, segment.RunLengths):
        found = coco.decode(mask.model_dump())
    elif isinstance(mask, segment.Polygons):
        found = coco.decode(coco.merge(coco.frPyObjects(mask.polygons, HEIGHT, WIDTH)))
    else:
        assert isinstance(mask, segment.Png)
        with Image.open(io.BytesIO(base64.b64decode(mask.data))) as picture:
            assert picture.mode == "1"
            found = np.asarray(picture)
    return np.asarray(found, np.bool_)


def test_the_contract_of_a_segmenter_is_accepted(manifest: Manifest, tmp_path: Path) -> None:
    segment.check(manifest, {})
    segment.check(altered(manifest, options={}), {})
    squash = {"height": HEIGHT, "width": WIDTH, "resize": "squash"}
    segment.check(altered(manifest, input=squash), {})
    free = TinySegmenter("free", resize="pad_to_multiple").write(tmp_path)
    segment.check(read_manifest(free), {})


@pytest.mark.parametrize(
    ("tensor", "changes"),
    [
        ("images", {"dtype": "float32"}),
        ("images", {"shape": ("N", HEIGHT, WIDTH - 1, 3)}),
        ("images", {"shape": ("N", "H", "W", 3)}),
        ("images", {"name": "pictures"}),
        ("mask", {"dtype": "int32"}),
        ("mask", {"shape": ("N", HEIGHT, WIDTH, 1)}),
        ("mask", {"shape": ("N", HEIGHT // 2, WIDTH // 2)}),
        ("mask", {"name": "masks"}),
        ("confidence", {"dtype": "float32"}),
        ("confidence", {"shape": ("N", HEIGHT)}),
        ("confidence", {"name": "scores"}),
    ],
)
def test_a_graph_of_other_tensors_is_refused_by_name(
    manifest: Manifest, tensor: str, changes: dict[str, Any]
) -> None:
    with pytest.raises(ManifestError, match=rf"graphs\.main\.fp32: .*{tensor}"):
        segment.check(with_tensor(manifest, tensor, **changes), {})


@pytest.mark.parametrize("labels", [(), ("all",), tuple(map(str, range(256)))])
def test_too_few_or_too_many_labels_are_refused(
    manifest: Manifest, labels: tuple[str, ...]
) -> None:
    with pytest.raises(ManifestError, match="labels: a segmenter needs 2 to 255"):
        segment.check(altered(manifest, labels=labels), {})
    most = tuple(map(str, range(255)))
    segment.check(altered(manifest, labels=most, options={}), {})


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"background": "white"}, r"options\.background: 'white' is none"),
        ({"background": 0}, r"options\.background: 0 is none"),
        ({"palette": "#000000"}, r"options\.palette: 5 labels need"),
    ],
)
def test_a_senseless_option_is_refused_by_name(
    manifest: Manifest, options: Mapping[str, Any], why: str
) -> None:
    with pytest.raises(ManifestError, match=why):
        segment.check(altered(manifest, options=options), {})


def test_other_manifests_that_cannot_segment_are_refused(manifest: Manifest) -> None:
    cut = {"height": HEIGHT, "width": WIDTH, "resize": "shortest_side"}
    with pytest.raises(ManifestError, match=r"input\.resize: 'shortest_side' leaves"):
        segment.check(altered(manifest, input=cut), {})
    variants = manifest.model_dump()["graphs"]["main"]
    with pytest.raises(ManifestError, match=r"graphs\.main: task 'segment' needs this role"):
        segment.check(altered(manifest, graphs={"other": variants}), {})


def test_all_there_is_to_tell_of_a_class_is_told(manifest: Manifest) -> None:
    given = outputs()
    given["confidence"][10:20, 10:25] = 51
    first, second = finish(manifest, given, mask="none")
    assert first.model_dump() == {
        "label": "red",
        "index": RED,
        "colour": "#800000",
        "pixels": 300,
        "share": 0.125,
        "confidence": 0.5,
        "box": {"x_min": 10, "y_min": 10, "x_max": 40, "y_max": 20},
        "mask": None,
    }
    assert (second.label, second.index, second.pixels) == ("blue", BLUE, 100)
    assert second.confidence == 0.8


def test_the_largest_come_first_and_of_equal_ones_the_first(manifest: Manifest) -> None:
    mask = np.full((HEIGHT, WIDTH), BLUE, np.uint8)
    mask[:3], mask[3:6], mask[6:10] = GREEN, RED, PADDING
    assert [found.index for found in finish(manifest, outputs(mask))] == [BLUE, PADDING, RED, GREEN]


@pytest.mark.parametrize("kind", ["rle", "polygon", "png"])
@pytest.mark.parametrize("seed", [0, 1])
def test_masks_of_every_format_are_the_pixels(manifest: Manifest, kind: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    mask = random.integers(0, 5, (HEIGHT, WIDTH), np.uint8)
    if seed:
        mask = mask[: HEIGHT // 10, : WIDTH // 10].repeat(10, 0).repeat(10, 1)
    given = outputs(mask)
    given["confidence"] = random.integers(0, 256, mask.shape, np.uint8)
    told = finish(manifest, given, mask=kind, classes=manifest.labels)
    assert {found.index for found in told} == set(np.unique(mask).tolist())
    for found in told:
        assert found.mask is not None
        assert found.mask.format == kind
        truth = mask == found.index
        assert (decoded(found) == truth).all()
        assert found.pixels == truth.sum()
        assert found.share == pytest.approx(truth.mean(), abs=1e-6)
        mean = given["confidence"][truth].mean() / 255
        assert found.confidence == pytest.approx(mean, abs=1e-6)
        rows, columns = np.nonzero(truth)
        corners = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert tuple(found.box.model_dump().values()) == corners


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        ([], [RED, BLUE]),
        (["red"], [RED]),
        (["blue,red"], [RED, BLUE]),
        (["black"], [BLACK]),
        (["black", "blue"], [BLACK, BLUE]),
        (["green, light"], []),
    ],
)
def test_the_background_and_what_is_not_asked_for_are_left_out(
    manifest: Manifest, classes: list[str], expected: list[int]
) -> None:
    assert [found.index for found in finish(manifest, outputs(), classes=classes)] == expected


def test_without_a_background_every_class_is_told(manifest: Manifest) -> None:
    without = altered(manifest, options={})
    assert [found.index for found in finish(without, outputs())] == [BLACK, RED, BLUE]
    assert finish(without, outputs())[0].colour == "#800000"  # VOC's black is for a background


@pytest.mark.parametrize(
    ("least", "expected"), [(0, [RED, BLUE]), (100, [RED, BLUE]), (101, [RED]), (301, [])]
)
def test_classes_of_fewer_pixels_than_asked_for_are_left_out(
    manifest: Manifest, least: int, expected: list[int]
) -> None:
    assert [found.index for found in finish(manifest, outputs(), min_area=least)] == expected


def test_areas_are_counted_in_pixels_of_the_original(manifest: Manifest) -> None:
    size = (2 * WIDTH, 2 * HEIGHT)
    found = finish(manifest, outputs(), size, min_area=101)
    assert [each.pixels for each in found] == pytest.approx([1200, 400], rel=0.02)


def test_the_padding_is_not_looked_at(manifest: Manifest) -> None:
    mask = np.full((HEIGHT, WIDTH), PADDING, np.uint8)
    mask[:, 10:50] = RED  # of a square picture
    given = outputs(mask)
    given["confidence"][:, :10] = given["confidence"][:, 50:] = 0
    (found,) = finish(manifest, given, (300, 300))
    assert (found.index, found.pixels, found.share, found.confidence) == (RED, 90_000, 1, 0.8)
    assert decoded(found).shape == (300, 300)
    assert decoded(found).all()


@pytest.mark.parametrize("classes", [["bird"], ["red,Bird"]])
def test_an_unknown_class_is_refused(manifest: Manifest, classes: list[str]) -> None:
    with pytest.raises(ParameterError, match="is no label of model 'colours'"):
        Params(classes=classes).check(manifest)
    Params(classes=["green, light"]).check(manifest)


@pytest.mark.parametrize(
    "change",
    [
        {"mask": np.full((HEIGHT, WIDTH), 5, np.uint8)},
        {"mask": np.zeros((HEIGHT, WIDTH - 1), np.uint8)},
        {"confidence": np.zeros((HEIGHT, 1), np.uint8)},
        outputs(np.zeros((HEIGHT - 1, WIDTH), np.uint8)),
        outputs(np.zeros((0, 0), np.uint8)),
    ],
)
def test_outputs_that_are_no_masks_are_the_model_s_fault(
    manifest: Manifest, change: dict[str, Any]
) -> None:
    given = inferred(manifest, outputs() | change)
    with pytest.raises(InferenceError):
        segment.finish(given, Params())
    for draw in (segment.draw_mask, segment.draw_overlay):
        with pytest.raises(InferenceError):
            draw(unseen, given, Params())
    assert len(finish(manifest, outputs())) == 2


def test_a_label_s_place_in_the_padding_is_held_to_be_one_too(manifest: Manifest) -> None:
    given = outputs()
    given["mask"][0, 0] = 255
    with pytest.raises(InferenceError, match="the mask has a 255; there are 5 labels"):
        finish(manifest, given, (10, 40))


def test_the_mask_as_a_picture_holds_positions_with_their_colours(manifest: Manifest) -> None:
    given = outputs()
    found = segment.draw_mask(unseen, inferred(manifest, given), Params())
    assert found.mode == "P"
    assert (np.asarray(found) == given["mask"]).all()
    colours = np.array(found.getpalette()).reshape(-1, 3)
    assert [tuple(colour) for colour in colours[:5]] == list(palette(manifest))
    assert tuple(colours[VOID]) == voc_colour(VOID)


def test_what_is_left_out_of_the_mask_is_background_or_void(manifest: Manifest) -> None:
    given = outputs()
    without = altered(manifest, options={})
    for described, rest in ((manifest, BLACK), (without, VOID)):
        for params in ({"classes": ["blue"]}, {"classes": ["blue", "green, light"]}):
            found = segment.draw_mask(unseen, inferred(described, given), Params(**params))
            expected = np.where(given["mask"] == BLUE, BLUE, rest)
            assert (np.asarray(found) == expected).all()
    found = segment.draw_mask(unseen, inferred(without, given), Params(min_area=101))
    expected = np.where(given["mask"] == BLUE, VOID, given["mask"])
    assert (np.asarray(found) == expected).all()


@pytest.mark.parametrize("classes", [["black"], ["black,blue"]])
@pytest.mark.parametrize("least", [0, 2100])
def test_what_is_left_out_is_told_apart_from_a_background_that_was_asked_for(
    manifest: Manifest, classes: list[str], least: int
) -> None:
    given = outputs()
    params = Params(classes=classes, min_area=least)
    found = segment.draw_mask(unseen, inferred(manifest, given), params)
    told = {each.index for each in finish(manifest, given, classes=classes, min_area=least)}
    expected = np.where(np.isin(given["mask"], list(told)), given["mask"], VOID)
    assert (np.asarray(found) == expected).all()


def test_polygons_are_neither_looked_through_nor_copied(
    manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    outline = [[10, 10, 40, 10, 40, 20, 10, 20]]
    monkeypatch.setattr(segment, "polygons", lambda _: outline)
    found = finish(manifest, outputs(), mask="polygon", classes=["red"])[0].mask
    assert isinstance(found, segment.Polygons)
    assert found.polygons is outline
    assert found.model_dump() == {"format": "polygon", "polygons": outline}


def test_the_overlay_colours_the_classes_and_names_them(manifest: Manifest) -> None:
    size = (10 * WIDTH, 10 * HEIGHT)
    grey = Image.new("RGB", size, (100, 100, 100))

    def drawn(described: Manifest = manifest, **params: Any) -> NDArray[np.int64]:
        given = inferred(described, outputs(), size)
        found = segment.draw_overlay(grey.copy, given, Params(**params))
        assert found.size == size
        return np.asarray(found).astype(np.int64)

    pixels = drawn()
    for row, column, index in ((150, 250, RED), (150, 450, BLUE)):
        mixed = (100 + np.array(palette(manifest)[index])) / 2
        assert pixels[row, column] == pytest.approx(mixed, abs=2)
    assert (pixels[300, 300] == 100).all()
    named = (pixels != drawn(classes=["red"])).any(-1)
    assert named[150, 450]
    assert not named[150, 250]
    legend = (pixels == (255, 255, 255)).all(-1)
    assert legend.sum() > 100
    assert (drawn(classes=["green, light"]) == 100).all()
    assert (drawn(classes=["black"]) == 100).all()  # the background is never coloured
    labels = ("black", "red", "green, light", "犬", "padding")
    foreign = drawn(altered(manifest, labels=labels))
    labels = ("black", "red", "green, light", "#3", "padding")
    assert (foreign == drawn(altered(manifest, labels=labels))).all()


def test_deviation_is_the_share_of_other_labels_or_the_mean_of_other_confidences() -> None:
    plain = outputs()
    assert segment.deviation(plain, plain) == 0
    other = {name: array.copy() for name, array in plain.items()}
    other["mask"][:4] = GREEN
    assert segment.deviation(plain, other) == segment.deviation(other, plain) == 0.1
    other["confidence"] += np.uint8(51)
    assert segment.deviation(plain, other) == segment.deviation(other, plain) == 0.2
    other["mask"][:10] = GREEN
    assert segment.deviation(plain, other) == 0.25
    smaller = outputs(plain["mask"][:-1])
    assert segment.deviation(plain, smaller) == float("inf")


@pytest.mark.parametrize(
    ("size", "grain", "kind", "bytes_a_pixel"),
    [
        ((4000, 3000), 20, "rle", 2),
        ((4000, 3000), 20, "polygon", 2),
        ((4000, 3000), 20, "png", 3),
        ((1200, 1000), 1, "rle", 6),
        ((1200, 1000), 1, "polygon", 25),
    ],
)
def test_little_is_held_besides_the_mask_of_a_large_picture(
    manifest: Manifest, size: Size, grain: int, kind: str, bytes_a_pixel: float
) -> None:
    """``grain``: the side of squares of one class, in pixels of the model; with 1 it is noise."""
    squashed = altered(manifest, input={"height": 160, "width": 160, "resize": "squash"})
    mask = np.random.default_rng(0).integers(0, 5, (160 // grain,) * 2, np.uint8)
    given = outputs(mask.repeat(grain, 0).repeat(grain, 1))
    tracemalloc.start()
    try:
        found = finish(squashed, given, size, mask=kind)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sum(each.pixels for each in found) > 0.7 * size[0] * size[1]
    assert peak < bytes_a_pixel * size[0] * size[1]


@pytest.mark.parametrize(("size", "expected"), [((2000, 2000), False), ((2000, 2001), True)])
def test_masks_of_many_pixels_are_long_to_tell(size: tuple[int, int], expected: bool) -> None:
    placement = Placement(*size, (1.0, 1.0), (0.0, 0.0))
    assert Params().is_long(placement) is expected
