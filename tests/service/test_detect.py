"""The detection task on arrays: its manifest, what becomes of boxes, what is drawn."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fabricate import SLOTS, Found, TinyDetector, outputs
from numpy.typing import NDArray
from PIL import Image

from service.contract import Manifest, ResizeRule, read_manifest
from service.drawing import PALETTE
from service.errors import InferenceError, ManifestError, ParameterError
from service.images import Picture
from service.session import Arrays
from service.task import ImageSeen, Inferred, ModelUsed, Timing
from service.tasks import detect
from service.tasks.detect import Params

OPTIONS = ("score_threshold", "iou_threshold", "default_threshold", "default_iou_threshold")


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return read_manifest(TinyDetector(size=100).write(tmp_path))


def inferred(manifest: Manifest, given: Arrays, size: tuple[int, int] = (100, 100)) -> Inferred:
    """What a run gave for a picture of a size."""
    picture = Picture(Image.new("RGB", size), *size, (0, 0, *size))
    placement = detect.prepare(picture, manifest, Params()).placement
    common = {
        "model": ModelUsed(name="boxes", version="1", precision="fp32"),
        "image": ImageSeen(width=size[0], height=size[1]),
        "timing_ms": Timing(decode=0, queue=0, run=0, total=0),
    }
    return Inferred(manifest, given, placement, common)


def finish(
    manifest: Manifest, given: Arrays, size: tuple[int, int] = (100, 100), **params: Any
) -> list[detect.Detection]:
    """What is answered about a picture of a size."""
    return detect.finish(inferred(manifest, given, size), Params(**params)).detections


def corners(found: detect.Detection) -> tuple[float, ...]:
    return found.box.x_min, found.box.y_min, found.box.x_max, found.box.y_max


def altered(manifest: Manifest, **changes: Any) -> Manifest:
    return Manifest.model_validate(manifest.model_dump() | changes)


def with_tensor(manifest: Manifest, tensor: str, **changes: Any) -> Manifest:
    document = manifest.model_dump()
    variant = document["graphs"]["main"]["fp32"]
    for described in (*variant["inputs"], *variant["outputs"]):
        if described["name"] == tensor:
            described.update(changes)
    return Manifest.model_validate(document)


def test_the_contract_of_a_detector_is_accepted(manifest: Manifest) -> None:
    detect.check(manifest, {})
    squash = {"height": 100, "width": 100, "resize": "squash"}
    detect.check(altered(manifest, input=squash), {})
    padded = {"height": 100, "width": 100, "resize": "pad_to_multiple", "multiple": 4}
    free = with_tensor(manifest, "images", shape=("N", "H", "W", 3))
    detect.check(altered(free, input=padded), {})
    for name, shape in {"boxes": ("N", "D", 4), "scores": ("N", "D"), "labels": ("N", "D")}.items():
        free = with_tensor(free, name, shape=shape)
    detect.check(altered(free, input=padded), {})


@pytest.mark.parametrize(
    ("tensor", "changes"),
    [
        ("images", {"dtype": "float32"}),
        ("images", {"shape": ("N", 100, 99, 3)}),
        ("images", {"shape": ("N", "H", "W", 3)}),
        ("images", {"name": "pictures"}),
        ("boxes", {"shape": ("N", 4, 5)}),
        ("boxes", {"shape": ("N", 4)}),
        ("boxes", {"dtype": "float16"}),
        ("boxes", {"name": "bboxes"}),
        ("scores", {"shape": ("N", 5)}),
        ("scores", {"shape": ("N", "D")}),
        ("scores", {"dtype": "float16"}),
        ("labels", {"dtype": "int64"}),
        ("labels", {"shape": ("N", 4, 1)}),
        ("count", {"dtype": "int64"}),
        ("count", {"shape": ("N", 1)}),
        ("count", {"name": "counts"}),
    ],
)
def test_a_graph_of_other_tensors_is_refused_by_name(
    manifest: Manifest, tensor: str, changes: dict[str, Any]
) -> None:
    named = "" if tensor == "boxes" else tensor  # how many slots is for the boxes to say
    with pytest.raises(ManifestError, match=rf"graphs\.main\.fp32: .*{named}"):
        detect.check(with_tensor(manifest, tensor, **changes), {})


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("value", [None, True, "0.5", -0.1, 1.1])
def test_a_missing_or_senseless_option_is_refused_by_name(
    manifest: Manifest, option: str, value: Any
) -> None:
    options = {**manifest.options, option: value}
    if value is None:
        del options[option]
    with pytest.raises(ManifestError, match=rf"options\.{option}: "):
        detect.check(altered(manifest, options=options), {})


def test_other_manifests_that_cannot_detect_are_refused(manifest: Manifest) -> None:
    with pytest.raises(ManifestError, match="labels: a detector needs"):
        detect.check(altered(manifest, labels=()), {})
    cut = {"height": 100, "width": 100, "resize": "shortest_side"}
    with pytest.raises(ManifestError, match=r"input\.resize: 'shortest_side' cuts"):
        detect.check(altered(manifest, input=cut), {})
    variants = manifest.model_dump()["graphs"]["main"]
    with pytest.raises(ManifestError, match=r"graphs\.main: task 'detect' needs this role"):
        detect.check(altered(manifest, graphs={"other": variants}), {})


def test_the_surest_come_first_with_label_and_score(manifest: Manifest) -> None:
    given = outputs(([0, 0, 10, 10], 0.5, 1), ([20, 20, 40, 50], 0.9123456789, 2))
    first, second = finish(manifest, given)
    assert first.model_dump() == {
        "label": "traffic light, red",
        "index": 2,
        "score": 0.912346,
        "box": {"x_min": 20, "y_min": 20, "x_max": 40, "y_max": 50},
    }
    assert (second.label, second.index, second.score) == ("dog", 1, 0.5)


def test_slots_past_the_count_say_nothing(manifest: Manifest) -> None:
    given = outputs(([0, 0, 10, 10], 0.9, 0), ([50, 50, 60, 60], 0.8, 0))
    given["count"] = np.int32(1)
    given["scores"][2], given["labels"][2] = np.nan, 99
    assert len(finish(manifest, given)) == 1
    assert finish(manifest, outputs()) == []


def test_the_threshold_is_the_request_s_or_the_model_s(manifest: Manifest) -> None:
    given = outputs(
        *(([20 * i, 0, 20 * i + 10, 10], s, 0) for i, s in enumerate((0.75, 0.5, 0.25)))
    )
    for threshold, count in {
        None: 2,
        0: 3,
        0.25: 3,
        0.26: 2,
        0.5: 2,
        0.75: 1,
        0.76: 0,
        1: 0,
    }.items():
        assert len(finish(manifest, given, threshold=threshold)) == count
    high = altered(manifest, options={**manifest.options, "default_threshold": 0.6})
    assert len(finish(high, given)) == 1


def test_overlaps_within_a_label_are_the_request_s_or_the_model_s(manifest: Manifest) -> None:
    given = outputs(  # IoU 0.6 between the first two and 0.25 between the last two of label 0
        ([0, 0, 40, 10], 0.9, 0),
        ([10, 0, 50, 10], 0.8, 0),
        ([0, 0, 40, 10], 0.7, 1),
        ([34, 0, 74, 10], 0.6, 0),
    )
    scores = {
        None: [0.9, 0.7, 0.6],
        1: [0.9, 0.8, 0.7, 0.6],
        0.61: [0.9, 0.8, 0.7, 0.6],
        0.59: [0.9, 0.7, 0.6],
        0.1: [0.9, 0.7, 0.6],
        0.05: [0.9, 0.7],
        0: [0.9, 0.7],
    }
    for threshold, left in scores.items():
        found = finish(manifest, given, iou_threshold=threshold)
        assert [d.score for d in found] == left, threshold
    loose = altered(manifest, options={**manifest.options, "default_iou_threshold": 0.8})
    assert len(finish(loose, given)) == 4


def test_the_cap_takes_the_best_after_suppression(manifest: Manifest) -> None:
    given = outputs(([0, 0, 40, 10], 0.9, 0), ([1, 0, 41, 10], 0.8, 0), ([50, 0, 60, 10], 0.7, 0))
    assert [d.score for d in finish(manifest, given, max_detections=2)] == [0.9, 0.7]
    assert [d.score for d in finish(manifest, given, max_detections=1)] == [0.9]


@pytest.mark.parametrize(
    ("classes", "labels"),
    [
        ([], [0, 1, 2]),
        (["cat"], [0]),
        (["cat", "dog"], [0, 1]),
        (["cat,dog"], [0, 1]),
        (["dog, cat", "dog"], [0, 1]),
        (["traffic light, red"], [2]),
        (["dog", "traffic light, red"], [1, 2]),
    ],
)
def test_classes_leave_out_the_others(
    manifest: Manifest, classes: list[str], labels: list[int]
) -> None:
    given = outputs(*(([20 * i, 0, 20 * i + 10, 10], 0.9, i) for i in range(3)))
    assert [d.index for d in finish(manifest, given, classes=classes)] == labels


@pytest.mark.parametrize(
    ("classes", "named"),
    [
        (["bird"], "'bird'"),
        (["cat,Dog"], "'Dog'"),
        (["x" * 500], "'" + "x" * 64 + "'"),
    ],
)
def test_an_unknown_class_is_refused_by_name(
    manifest: Manifest, classes: list[str], named: str
) -> None:
    with pytest.raises(ParameterError) as caught:
        Params(classes=classes).check(manifest)
    assert f"classes: {named} is no label of model 'boxes'" in str(caught.value)
    assert "GET /models/boxes" in str(caught.value)


@pytest.mark.parametrize(
    ("resize", "size", "box", "original"),
    [
        # 200x100 in 100x100: half the size, 25 rows of padding above.
        ("letterbox", (200, 100), (10, 30, 60, 70), (20, 10, 120, 90)),
        ("letterbox", (200, 100), (-5, 0, 105, 100), (0, 0, 200, 100)),
        ("letterbox", (50, 25), (10, 30, 60, 70), (5, 2.5, 30, 22.5)),
        ("squash", (200, 50), (10, 30, 60, 70), (20, 15, 120, 35)),
        ("squash", (30, 30), (10, 30, 60, 71), (3, 9, 18, 21.3)),
        ("pad_to_multiple", (50, 60), (10, 30, 60, 70), (10, 30, 50, 60)),
        ("pad_to_multiple", (400, 200), (10, 30, 60, 70), (40, 120, 240, 200)),
    ],
)
def test_boxes_come_back_in_pixels_of_the_original(
    manifest: Manifest,
    resize: ResizeRule,
    size: tuple[int, int],
    box: Sequence[float],
    original: Sequence[float],
) -> None:
    geometry = {"height": 100, "width": 100, "resize": resize}
    (found,) = finish(altered(manifest, input=geometry), outputs((box, 0.9, 0)), size)
    assert corners(found) == tuple(original)


def test_coordinates_are_rounded_and_boxes_of_nothing_dropped(manifest: Manifest) -> None:
    given = outputs(
        ([1.23456, 32, 10, 40.004], 0.9, 0),
        ([0, 0, 100, 24], 0.8, 0),  # in the padding above
        ([99.999, 30, 100, 40], 0.7, 0),  # thinner than what is told
        ([40, 40, 40, 60], 0.6, 0),
        ([60, 60, 50, 50], 0.5, 0),
    )
    (found,) = finish(manifest, given, (100, 50))
    assert corners(found) == (1.23, 7, 10, 15.0)


@pytest.mark.parametrize(
    "change",
    [
        {"count": np.int32(-1)},
        {"count": np.int32(SLOTS + 1)},
        {"scores": np.full(SLOTS, np.nan, np.float32)},
        {"scores": np.full(SLOTS, 1.01, np.float32)},
        {"scores": np.full(SLOTS, -0.01, np.float32)},
        {"boxes": np.full((SLOTS, 4), np.inf, np.float32)},
        {"boxes": np.full((SLOTS, 4), np.nan, np.float32)},
        {"labels": np.full(SLOTS, -1, np.int32)},
        {"labels": np.full(SLOTS, 3, np.int32)},
    ],
)
def test_outputs_that_are_no_detections_are_the_model_s_fault(
    manifest: Manifest, change: dict[str, Any]
) -> None:
    good = outputs(([0, 0, 10, 10], 0.9, 0))
    with pytest.raises(InferenceError):
        finish(manifest, good | change)
    assert len(finish(manifest, good)) == 1


def test_the_drawn_boxes_are_the_detections(manifest: Manifest) -> None:
    def drawn(labels: tuple[str, ...], *found: Found, **params: Any) -> NDArray[np.uint8]:
        given = inferred(altered(manifest, labels=labels), outputs(*found))
        black = Image.new("RGB", (100, 100))
        return np.asarray(detect.draw(lambda: black, given, Params(**params)))

    both = ([10, 40, 50, 90], 0.9, 0), ([30, 60, 90, 95], 0.5, 1)
    pixels = drawn(manifest.labels, *both)
    coloured = pixels.max(-1) > 0
    assert coloured[89, 10:50].all()
    assert coloured[94, 30:90].all()
    assert not coloured[95:].any()
    assert tuple(pixels[89, 30]) == PALETTE[0]  # where their lines cross the surer is on top
    foreign, numbered = (drawn((label, "dog"), *both) for label in ("犬", "#0"))
    assert (foreign == numbered).all()
    assert not drawn(manifest.labels, *both, threshold=0.95).any()
    with pytest.raises(InferenceError):
        drawn(manifest.labels, ([0, 0, 1, 1], 0.9, 99))
