"""The captioning task on arrays: its manifest, its inputs, what is told, how outputs compare."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fabricate import TinyCaptioner, vocabulary
from PIL import Image

from service.contract import Manifest, read_manifest
from service.errors import InferenceError, ManifestError, ParameterError
from service.images import Picture
from service.session import Arrays
from service.task import ImageSeen, Inferred, ModelUsed, Timing
from service.tasks import caption
from service.tasks.caption import Params

WORDS = TinyCaptioner.WORDS
ASSETS = {"vocabulary": vocabulary(*WORDS)}
A, RED, GREEN, BLUE, DOG, OF, BMX, ME, SEE = range(2, 11)
GRID = TinyCaptioner.GRID
Size = tuple[int, int]


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return read_manifest(TinyCaptioner().write(tmp_path))


@pytest.fixture
def blind(tmp_path: Path) -> Manifest:
    """A captioner's without attention."""
    return read_manifest(TinyCaptioner("blind", attention=False).write(tmp_path))


def outputs(*found: tuple[list[int], float]) -> dict[str, Any]:
    """What a graph gives: tokens and scores of three captions of at most five words.

    The attention of word ``t`` of caption ``b`` is all on cell ``(b, t)``.
    """
    found = found or (
        ([A, RED, DOG, OF, BMX], -0.1),
        ([ME, SEE, GREEN], -0.5),
        ([BLUE], -2),
    )
    tokens, scores = np.zeros((3, 5), np.int32), np.full(3, -np.inf, np.float32)
    lengths, attention = np.zeros(3, np.int32), np.zeros((3, 5, GRID, GRID), np.float32)
    for rank, (words, score) in enumerate(found):
        tokens[rank, : len(words)], scores[rank], lengths[rank] = words, score, len(words)
        for place in range(len(words)):
            attention[rank, place, rank, place] = 1
    return {"tokens": tokens, "lengths": lengths, "scores": scores, "attention": attention}


def picture_of(size: Size) -> Picture:
    return Picture(Image.new("RGB", size), *size, (0, 0, *size))


def finish(
    manifest: Manifest, given: Arrays, size: Size = (160, 160), **params: Any
) -> list[caption.Caption]:
    """What is answered about a picture of a size."""
    placement = caption.prepare(picture_of(size), manifest, Params()).placement
    common = {
        "model": ModelUsed(name="sentences", version="1", precision="fp32"),
        "image": ImageSeen(width=size[0], height=size[1]),
        "timing_ms": Timing(decode=0, queue=0, run=0, total=0),
    }
    inferred = Inferred(manifest, given, placement, common, ASSETS)
    return caption.finish(inferred, Params(**params)).captions


def altered(manifest: Manifest, **changes: Any) -> Manifest:
    return Manifest.model_validate(manifest.model_dump() | changes)


def with_tensor(manifest: Manifest, tensor: str, **changes: Any) -> Manifest:
    document = manifest.model_dump()
    variant = document["graphs"]["main"]["fp32"]
    for described in (*variant["inputs"], *variant["outputs"]):
        if described["name"] == tensor:
            described.update(changes)
    return Manifest.model_validate(document)


@pytest.mark.parametrize("rule", ["squash", "letterbox", "shortest_side"])
def test_the_contract_of_a_captioner_is_accepted(
    manifest: Manifest, blind: Manifest, rule: str
) -> None:
    for each in (manifest, blind):
        geometry = each.input.model_dump() | {"resize": rule}
        caption.check(altered(each, input=geometry), ASSETS)


@pytest.mark.parametrize(
    ("tensor", "changes"),
    [
        ("images", {"dtype": "float32"}),
        ("images", {"shape": ("N", 16, 17, 3)}),
        ("images", {"shape": ("N", "H", "W", 3)}),
        ("images", {"name": "pictures"}),
        ("max_length", {"dtype": "int64"}),
        ("max_length", {"shape": ("N", 1)}),
        ("max_length", {"shape": ()}),
        ("max_length", {"name": "length"}),
        ("tokens", {"dtype": "int64"}),
        ("tokens", {"shape": ("N", "B", 5)}),
        ("tokens", {"shape": ("N", 3, "T")}),
        ("tokens", {"shape": ("N", 5)}),
        ("tokens", {"shape": ("N", 3, 5, 1)}),
        ("tokens", {"shape": (1, 3, 5)}),
        ("tokens", {"shape": ("N", 2, 5)}),
        ("tokens", {"shape": ("N", 3, 4)}),
        ("tokens", {"name": "words"}),
        ("lengths", {"dtype": "int64"}),
        ("lengths", {"shape": ("N", 2)}),
        ("lengths", {"name": "length"}),
        ("scores", {"dtype": "float16"}),
        ("scores", {"shape": ("N", 3, 1)}),
        ("scores", {"name": "score"}),
        ("attention", {"dtype": "uint8"}),
        ("attention", {"shape": ("N", 3, 5, 16)}),
        ("attention", {"shape": ("N", 3, 5, "gh", 4)}),
        ("attention", {"shape": ("N", 2, 5, 4, 4)}),
    ],
)
def test_a_graph_of_other_tensors_is_refused_by_name(
    manifest: Manifest, tensor: str, changes: dict[str, Any]
) -> None:
    named = "lengths|attention" if changes.get("shape") in {("N", 2, 5), ("N", 3, 4)} else tensor
    with pytest.raises(ManifestError, match=rf"graphs\.main.*: .*({named})"):
        caption.check(with_tensor(manifest, tensor, **changes), ASSETS)


def test_other_manifests_that_cannot_caption_are_refused(manifest: Manifest) -> None:
    free = {"height": 16, "width": 16, "resize": "pad_to_multiple"}
    with pytest.raises(ManifestError, match=r"'sentences': input\.resize: .*'pad_to_multiple'"):
        caption.check(altered(manifest, input=free), ASSETS)
    variants = manifest.model_dump()["graphs"]["main"]
    with pytest.raises(ManifestError, match=r"graphs\.main: task 'caption' needs this role"):
        caption.check(altered(manifest, graphs={"other": variants}), ASSETS)


def test_a_captioner_needs_its_words(manifest: Manifest) -> None:
    with pytest.raises(ManifestError, match=r"'sentences': assets\.vocabulary: a captioner needs"):
        caption.check(manifest, {"words": ASSETS["vocabulary"]})
    spoilt = {"vocabulary": vocabulary("<end>", "<unk>", "a", "A")}
    with pytest.raises(ManifestError, match=r"assets\.vocabulary: lines 3 and 4 are the same"):
        caption.check(manifest, spoilt)


def test_the_most_words_asked_for_go_into_the_graph(manifest: Manifest) -> None:
    for asked, expected in ((None, 5), (1, 1), (4, 4)):
        made = caption.prepare(picture_of((30, 20)), manifest, Params(max_length=asked))
        assert made.inputs.keys() == {"images", "max_length"}
        assert made.inputs["images"].shape == (16, 16, 3)
        most = made.inputs["max_length"]
        assert isinstance(most, np.ndarray)
        assert most.dtype == np.int32
        assert most.tolist() == expected


@pytest.mark.parametrize(
    ("params", "why"),
    [
        ({"num_captions": 4}, "num_captions: model 'blind' can do at most 3, not 4"),
        ({"max_length": 6}, "max_length: model 'blind' can do at most 5, not 6"),
        ({"attention": True}, "attention: model 'blind' has none"),
    ],
)
def test_what_the_model_cannot_do_is_refused(
    blind: Manifest, params: dict[str, Any], why: str
) -> None:
    with pytest.raises(ParameterError, match=why):
        Params(**params).check(blind)


def test_what_the_model_can_do_is_not_refused(manifest: Manifest, blind: Manifest) -> None:
    Params().check(blind)
    Params(num_captions=3, max_length=5).check(blind)
    Params(num_captions=1, max_length=1, attention=True).check(manifest)


def test_sentences_come_with_their_scores_the_best_first(blind: Manifest) -> None:
    assert [each.model_dump() for each in finish(blind, outputs())] == [
        {"text": "A red dog's BMX.", "score": 0.904837}
    ]
    several = finish(blind, outputs(), num_captions=3)
    assert [(each.text, each.score) for each in several] == [
        ("A red dog's BMX.", 0.904837),
        ("I see green.", 0.606531),
        ("Blue.", 0.135335),
    ]
    assert len(finish(blind, outputs(), num_captions=2)) == 2


@pytest.mark.parametrize(
    ("found", "texts"),
    [
        ([([A, DOG], -1), ([A, 1, DOG], -2), ([A, BMX], -3)], ["A dog.", "A BMX."]),
        ([([], -1), ([1], -2), ([DOG], -3)], ["Dog."]),
        ([([DOG], -1)], ["Dog."]),
        ([([1, DOG, 1, OF, 1], -1)], ["Dog's."]),
        ([([], -1)], []),
    ],
    ids=["alike", "empty", "fewer than beams", "unknown words", "none"],
)
def test_what_is_no_sentence_of_its_own_is_left_out(
    manifest: Manifest, found: list[tuple[list[int], float]], texts: list[str]
) -> None:
    given = outputs(*found)
    assert [each.text for each in finish(manifest, given, num_captions=3)] == texts
    assert [each.text for each in finish(manifest, given)] == texts[:1]
    attentive = finish(manifest, given, num_captions=3, attention=True)
    assert [each.text for each in attentive] == texts


def test_rounding_above_certainty_is_certainty(manifest: Manifest) -> None:
    (found,) = finish(manifest, outputs(([DOG], 1e-6)))
    assert found.score == 1


def opened(word: caption.Word) -> np.ndarray:
    with Image.open(io.BytesIO(base64.b64decode(word.attention))) as picture:
        assert (picture.format, picture.mode) == ("PNG", "L")
        return np.asarray(picture)


def test_with_attention_each_word_says_where_the_model_looked(manifest: Manifest) -> None:
    found = finish(manifest, outputs(), (320, 160), num_captions=2, attention=True)
    assert [[word.word for word in each.words] for each in found] == [
        ["a", "red", "dog", "'s", "BMX"],
        ["i", "see", "green"],
    ]
    for rank, each in enumerate(found):
        for place, word in enumerate(each.words):
            grey = opened(word)
            assert grey.shape == (128, 256)
            row, column = divmod(int(grey.argmax()), 256)
            assert (row // 16, column // 32) == (rank, place)


def test_the_attention_of_a_word_stays_with_it_when_another_is_unknown(manifest: Manifest) -> None:
    (found,) = finish(manifest, outputs(([A, 1, DOG], -1)), attention=True)
    assert [word.word for word in found.words] == ["a", "dog"]
    columns = [opened(word).max(0).argmax() // 20 for word in found.words]
    assert columns == [0, 2]


@pytest.mark.parametrize(
    ("name", "at", "value"),
    [
        ("tokens", (0, 1), -1),
        ("tokens", (0, 1), 0),
        ("tokens", (0, 4), len(WORDS)),
        ("lengths", 0, -1),
        ("lengths", 0, 6),
        ("scores", 0, np.nan),
        ("scores", 2, np.nan),
        ("scores", 0, np.inf),
        ("attention", (0, 0, 3, 3), np.nan),
        ("attention", (0, 0, 3, 3), np.inf),
        ("attention", (0, 4, 3, 3), -0.1),
    ],
)
def test_outputs_that_are_no_captions_are_the_model_s_fault(
    manifest: Manifest, name: str, at: Any, value: float
) -> None:
    given = outputs()
    finish(manifest, given, attention=True)
    given[name][at] = value
    with pytest.raises(InferenceError):
        finish(manifest, given, attention=True)


def test_other_words_in_the_best_caption_deviate_by_one() -> None:
    plain = outputs()
    assert caption.deviation(plain, plain) == 0
    for words in ([A, RED, DOG, OF, DOG], [A, RED, DOG, OF]):
        other = outputs((words, -0.1), ([ME, SEE, GREEN], -0.5), ([BLUE], -2))
        assert caption.deviation(plain, other) == caption.deviation(other, plain) == 1


def test_scores_and_attention_deviate_by_their_largest_difference() -> None:
    plain, other = outputs(), outputs()
    other["scores"][1] -= 0.25
    assert caption.deviation(plain, other) == caption.deviation(other, plain) == 0.25
    other["attention"][0, 2, 0, 2] = 0.5
    assert caption.deviation(plain, other) == 0.5
    other["attention"] = plain["attention"].copy()
    other["attention"][1:] = 7  # of another than the best caption
    other["tokens"][1:] = RED
    assert caption.deviation(plain, other) == 0.25
    del other["attention"]
    assert caption.deviation(plain, other) == caption.deviation(other, plain) == 0.25


def test_missing_captions_do_not_deviate_from_one_another() -> None:
    plain = outputs(([DOG], -1))
    assert caption.deviation(plain, outputs(([DOG], -1.5))) == 0.5
    assert caption.deviation(plain, outputs(([DOG], -1), ([RED], -2))) == float("inf")


def test_outputs_of_other_shapes_deviate_infinitely() -> None:
    plain = outputs()
    for name in plain:
        fewer = plain | {name: plain[name][:2]}
        assert caption.deviation(plain, fewer) == float("inf")
