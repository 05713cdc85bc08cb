"""Captioning: sentences that say what a picture shows."""

import base64
from collections.abc import Mapping
from typing import Annotated, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from service import task
from service.contract import Manifest, require_tensor, shape_of
from service.errors import InferenceError, ManifestError, ParameterError
from service.golden import deviation as apart
from service.heat_map import heat_map, png
from service.images import Picture
from service.resize import Placement, fit
from service.session import Arrays
from service.task import Answered, Inferred, Prepared
from service.vocabulary import END, UNKNOWN, read_vocabulary, sentence

NAME: Final = "caption"
_EXAMPLE: Final[JsonValue] = {
    "model": {"name": "caption", "version": "1", "precision": "fp32"},
    "image": {"width": 1280, "height": 720},
    "timing_ms": {"decode": 6.214, "queue": 0.105, "run": 81.337, "total": 88.021},
    "captions": [
        {"text": "A dog runs through the grass.", "score": 0.412306},
        {"text": "A brown dog is running through a field.", "score": 0.387154},
    ],
}


class Params(task.Params):
    """Query parameters of ``/caption``."""

    num_captions: Annotated[int, Field(ge=1, le=1000)] = Field(
        1,
        description="Most captions to return, the best; no more than the beams of the model's "
        "search, and fewer where those read the same.",
        examples=[2],
    )
    max_length: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        None,
        description="Most words of a caption; the most the model's search goes to when left out, "
        "and no more than that.",
        examples=[12],
    )
    attention: bool = Field(
        False,
        description="Tell with each word where in the picture the model looked; refused for a "
        "model without attention.",
    )

    def check(self, manifest: Manifest) -> None:
        """Refuse what the model's search is too small for, or attention that it does not have."""
        beams, words = _search(manifest)
        for name, asked, most in (
            ("num_captions", self.num_captions, beams),
            ("max_length", self.max_length or 1, words),
        ):
            if asked > most:
                raise ParameterError(
                    f"{name}: model {manifest.name!r} can do at most {most}, not {asked}"
                )
        if self.attention and not _has_attention(manifest):
            raise ParameterError(
                f"attention: model {manifest.name!r} has none; leave it out or name another model"
            )

    def is_long(self, placement: Placement) -> bool:  # noqa: ARG002
        """Maps of attention take a millisecond or two a word, up to a third of a second in all."""
        return self.attention


class Word(BaseModel):
    """A word of a caption and what it was found by."""

    word: str
    attention: str = Field(
        description="Base64 of a grey PNG of the upright picture's shape, its longer side 256 "
        "pixels at most: the brighter, the more the model looked there; 255 is the most.",
        json_schema_extra={"contentEncoding": "base64", "contentMediaType": "image/png"},
    )


class Caption(BaseModel):
    """One sentence."""

    text: str
    score: float = Field(
        description="exp of the model's score, 0 to 1: the geometric mean of the words' "
        "probabilities, if the model divides by as many."
    )
    words: list[Word] = Field(
        [],
        description="In order, as they are before the sentence is written; only with `attention`.",
        exclude_if=lambda words: not words,
    )


class Result(Answered):
    """The answer to one picture, best caption first."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    captions: list[Caption]


def check(manifest: Manifest, assets: Mapping[str, bytes]) -> None:
    """Ask for ``images: uint8[N,H,W,3]``, ``max_length: int32[N]`` -> a beam search's B captions.

    ``max_length`` is the most words of an item's captions, 1 to T. ``tokens: int32[N,B,T]`` are
    positions in the vocabulary, the best caption first, 0 from the end of a caption on;
    ``lengths: int32[N,B]`` how many words come before that; ``scores: float32[N,B]`` natural
    logarithms, normalised by length, in descending order (of minus infinity where there is no
    caption). ``attention: float32[N,B,T,gh,gw]``, which may be left out, says for each word where
    in the input the network looked. B, T, gh and gw are numbers. The asset ``vocabulary`` has the
    words, see ``service.vocabulary.read_vocabulary``.

    Raises:
        ManifestError: names the field that is wrong.
    """
    model, geometry = f"model {manifest.name!r}", manifest.input
    if geometry.resize == "pad_to_multiple":
        raise ManifestError(
            f"{model}: input.resize: a captioner needs pictures of one size, which "
            "'pad_to_multiple' does not give"
        )
    require_tensor(manifest, "main", "images", "uint8", ("N", geometry.height, geometry.width, 3))
    require_tensor(manifest, "main", "max_length", "int32", ("N",))
    require_tensor(manifest, "main", "tokens", "int32", ("N", *_numbers(manifest, "tokens", 2)))
    beams, words = _search(manifest)
    require_tensor(manifest, "main", "lengths", "int32", ("N", beams))
    require_tensor(manifest, "main", "scores", "float32", ("N", beams))
    if _has_attention(manifest):
        grid = _numbers(manifest, "attention", 4)[2:]
        require_tensor(manifest, "main", "attention", "float32", ("N", beams, words, *grid))
    if "vocabulary" not in assets:
        raise ManifestError(f"{model}: assets.vocabulary: a captioner needs its words")
    try:
        read_vocabulary(assets["vocabulary"])
    except ValueError as error:
        raise ManifestError(f"{model}: assets.vocabulary: {error}") from error


def prepare(picture: Picture, manifest: Manifest, params: Params) -> Prepared:
    """Resize the picture to ``images: uint8[H,W,3]``; ``max_length: int32[]`` as asked for."""
    images, placement = fit(picture, manifest.input)
    most = params.max_length or _search(manifest)[1]
    return Prepared({"images": images, "max_length": np.array(most, np.int32)}, placement)


def finish(inferred: Inferred, params: Params) -> Result:
    """Write the best ``num_captions`` that differ as sentences.

    Raises:
        InferenceError: a value is not finite or out of its range.
    """
    vocabulary = read_vocabulary(inferred.assets["vocabulary"])
    told: dict[str, Caption] = {}
    for rank, score in enumerate(_scores(inferred.outputs["scores"])):
        places = _places(inferred.outputs, rank, len(vocabulary))
        words = [vocabulary[token] for token in places.values()]
        if not words or not score:
            continue
        text = sentence(words)
        if text in told:
            continue
        told[text] = Caption(text=text, score=round(score, 6))
        if params.attention:
            attention = inferred.outputs["attention"][rank]
            told[text].words = [
                Word(word=word, attention=_map(attention[place], inferred))
                for place, word in zip(places, words, strict=True)
            ]
        if len(told) == params.num_captions:
            break
    return Result(**inferred.common, captions=list(told.values()))


def deviation(actual: Arrays, expected: Arrays) -> float:
    """How far apart two outputs are.

    Returns:
        1 if the best captions have different words, else the largest difference of the scores of
        one rank, or of the best captions' attention if that is more; infinite for different shapes.
    """
    shared = actual.keys() & expected.keys()
    if any(actual[name].shape != expected[name].shape for name in shared):
        return float("inf")
    if actual["lengths"][0] != expected["lengths"][0]:
        return 1.0
    length = int(expected["lengths"][0])
    if (actual["tokens"][0, :length] != expected["tokens"][0, :length]).any():
        return 1.0
    furthest = apart(actual["scores"], expected["scores"])
    if "attention" in shared:
        furthest = max(furthest, apart(actual["attention"][0], expected["attention"][0]))
    return furthest


def longest(manifest: Manifest) -> int:
    """The most words of a caption."""
    return _search(manifest)[1]


def _numbers(manifest: Manifest, tensor: str, count: int) -> tuple[int, ...]:
    """The lengths of an output behind the batch dimension, which must be so many numbers.

    Raises:
        ManifestError: it has others, or lengths that the caller chooses.
    """
    shape = shape_of(manifest, "main", tensor)
    fixed = tuple(length for length in shape[1:] if isinstance(length, int))
    if len(fixed) != count or len(shape) != count + 1:
        raise ManifestError(
            f"model {manifest.name!r}: graphs.main: {tensor} is {list(shape)}; a captioner needs "
            f"{count} fixed lengths behind the batch"
        )
    return fixed


def _search(manifest: Manifest) -> tuple[int, int]:
    """B and T: how many captions the graph gives, and their most words."""
    beams, words = _numbers(manifest, "tokens", 2)
    return beams, words


def _has_attention(manifest: Manifest) -> bool:
    return bool(shape_of(manifest, "main", "attention"))


def _scores(logarithms: NDArray[np.float32]) -> list[float]:
    """Logarithms as numbers from 0 to 1."""
    if not (logarithms < np.inf).all():  # nor NaN
        raise InferenceError("the model's score of a caption is not finite")
    scores: list[float] = np.exp(np.minimum(logarithms.astype(np.float64), 0)).tolist()
    return scores


def _places(outputs: Arrays, rank: int, words: int) -> dict[int, int]:
    """The token at each place of a caption that has a word.

    Args:
        outputs: of the graph.
        rank: of the caption.
        words: how many the vocabulary has.
    """
    tokens, length = outputs["tokens"][rank], int(outputs["lengths"][rank])
    if not 0 <= length <= len(tokens):
        raise InferenceError(f"a caption has {length} words of {len(tokens)}")
    read = tokens[:length].tolist()
    if any(not END < token < words for token in read):
        raise InferenceError(f"a caption has a word that is none of the {words} in the vocabulary")
    return {place: token for place, token in enumerate(read) if token != UNKNOWN}


def _map(weights: NDArray[np.float32], inferred: Inferred) -> str:
    """Base64 of the PNG of a word's attention."""
    if not (np.isfinite(weights) & (weights >= 0)).all():
        raise InferenceError("the model's attention is not finite or negative")
    geometry = inferred.manifest.input
    grey = heat_map(weights, inferred.placement, (geometry.height, geometry.width))
    return base64.b64encode(png(grey)).decode("ascii")
