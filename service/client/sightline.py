"""The client: a method a task, over one pool of connections."""

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeVar

import httpx
from pydantic import TypeAdapter, ValidationError

from service.client.connection import LOCAL, Connection
from service.client.errors import SightlineClientError
from service.client.pictures import Part, Picture, Style, as_styles, part, written
from service.client.results import (
    Captions,
    Classification,
    Detections,
    ModelSummary,
    PresetShown,
    Segmentation,
)
from service.client.retry import Patience

Format = Literal["jpeg", "png", "webp"]
_JSON: Final = "application/json"
_Result = TypeVar("_Result")


class Sightline:
    """A service to ask; for use by several threads at once.

    Busy answers (429, 503) and broken connections are repeated as ``patience`` says, since to ask
    twice changes nothing. Every method raises SightlineClientError, and OSError for a picture that
    cannot be read.

    Args:
        url: of the service; without a scheme it is http.
        api_key: sent as ``Authorization: Bearer``; None for a service that asks for none.
        timeout_s: seconds to wait for a connection, and for the next byte of an answer.
        patience: how often a request is repeated.
        connections: at once at most.

    Raises:
        ValueError: the URL or the key cannot be one.
    """

    def __init__(
        self,
        url: str = LOCAL,
        *,
        api_key: str | None = None,
        timeout_s: float = 60.0,
        patience: Patience | None = None,
        connections: int = 64,
    ) -> None:
        self._connection = Connection(
            url,
            api_key=api_key,
            timeout_s=timeout_s,
            patience=patience or Patience(),
            connections=connections,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def give_up(self) -> None:
        """Repeat no request from now on, nor any that another thread waits to repeat."""
        self._connection.given_up.set()

    def classify(
        self,
        picture: Picture,
        *,
        model: str | None = None,
        top_k: int | None = None,
        threshold: float | None = None,
    ) -> Classification:
        """Say what a picture shows."""
        params = {"model": model, "top_k": top_k, "threshold": threshold}
        return self._post("classify", Classification, picture, params)

    def detect(
        self,
        picture: Picture,
        *,
        model: str | None = None,
        threshold: float | None = None,
        iou_threshold: float | None = None,
        max_detections: int | None = None,
        classes: Sequence[str] = (),
    ) -> Detections:
        """Find objects."""
        params = {
            "model": model,
            "threshold": threshold,
            "iou_threshold": iou_threshold,
            "max_detections": max_detections,
            "classes": classes,
        }
        return self._post("detect", Detections, picture, params)

    def detect_drawn(
        self,
        picture: Picture,
        *,
        format: Format = "jpeg",
        model: str | None = None,
        threshold: float | None = None,
        iou_threshold: float | None = None,
        max_detections: int | None = None,
        classes: Sequence[str] = (),
    ) -> bytes:
        """Find objects and draw their boxes on the picture; returns it encoded."""
        params = {
            "model": model,
            "threshold": threshold,
            "iou_threshold": iou_threshold,
            "max_detections": max_detections,
            "classes": classes,
        }
        return self._draw("detect", [part("file", picture)], params, format)

    def segment(
        self,
        picture: Picture,
        *,
        model: str | None = None,
        classes: Sequence[str] = (),
        min_area: int | None = None,
        mask: Literal["rle", "polygon", "png", "none"] | None = None,
    ) -> Segmentation:
        """Say which class every pixel belongs to."""
        params = {"model": model, "classes": classes, "min_area": min_area, "mask": mask}
        return self._post("segment", Segmentation, picture, params)

    def segment_drawn(
        self,
        picture: Picture,
        *,
        format: Format = "jpeg",
        model: str | None = None,
        classes: Sequence[str] = (),
        min_area: int | None = None,
    ) -> bytes:
        """Colour the classes in the picture; as ``png`` the indexed mask instead."""
        params = {"model": model, "classes": classes, "min_area": min_area}
        return self._draw("segment", [part("file", picture)], params, format)

    def caption(
        self,
        picture: Picture,
        *,
        model: str | None = None,
        num_captions: int | None = None,
        max_length: int | None = None,
        attention: bool | None = None,
    ) -> Captions:
        """Describe a picture in sentences."""
        params = {
            "model": model,
            "num_captions": num_captions,
            "max_length": max_length,
            "attention": attention,
        }
        return self._post("caption", Captions, picture, params)

    def stylize(
        self,
        picture: Picture,
        styles: Style | Picture | Sequence[Style | Picture],
        *,
        format: Format = "jpeg",
        model: str | None = None,
        alpha: float | None = None,
        preserve_color: bool | None = None,
        max_side: int | None = None,
        quality: int | None = None,
    ) -> bytes:
        """Give a picture the style of others or of presets; returns it encoded.

        Args:
            picture: the content.
            styles: one or several. A ``str`` is a preset's name; a ``Path``, bytes or a file is a
                picture; a Style is either, with a weight.
            format: of the answer.
            model: the default stylizer if None.
            alpha: from 0, the content's own style, to 1, the one asked for.
            preserve_color: keep the content's colours.
            max_side: pixels of the answer's longer side at most.
            quality: of a JPEG or WebP, 1 to 100.
        """
        parts, presets, weights = [part("content", picture)], [], []
        for style in as_styles(styles):
            if isinstance(style.what, str):
                presets.append(f"{style.what}:{written(style.weight)}")
            else:
                parts.append(part("style", style.what))
                weights.append(written(style.weight))
        params = {
            "model": model,
            "style": presets,
            "style_weight": weights,
            "alpha": alpha,
            "preserve_color": preserve_color,
            "max_side": max_side,
            "quality": quality,
        }
        return self._draw("stylize", parts, params, format)

    def models(self) -> list[ModelSummary]:
        """The models on offer."""
        return _read(list[ModelSummary], self._connection.ask("GET", "models", _JSON))

    def styles(self, model: str | None = None) -> list[PresetShown]:
        """The presets that ``stylize`` knows by name, of all models or of one."""
        asked = self._connection.ask("GET", "styles", _JSON, {"model": model})
        return _read(list[PresetShown], asked)

    def _post(
        self, task: str, result: type[_Result], picture: Picture, params: dict[str, Any]
    ) -> _Result:
        return _read(
            result, self._connection.ask("POST", task, _JSON, params, [part("file", picture)])
        )

    def _draw(
        self, task: str, parts: Sequence[Part], params: dict[str, Any], format: Format
    ) -> bytes:
        media_type = f"image/{format}"
        response = self._connection.ask("POST", task, media_type, params, parts)
        if response.headers.get("content-type") != media_type:
            raise _strange(response)
        return response.content


def _read(result: type[_Result], response: httpx.Response) -> _Result:
    """The answer's JSON as what it is meant to be."""
    try:
        return TypeAdapter(result).validate_json(response.content)
    except ValidationError as error:
        raise _strange(response) from error


def _strange(response: httpx.Response) -> SightlineClientError:
    return SightlineClientError(
        "the answer is not what was asked for; is that a Sightline service, of this version?",
        status=response.status_code,
        title=response.reason_phrase,
        request_id=response.headers.get("x-request-id"),
    )
