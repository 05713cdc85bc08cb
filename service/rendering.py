"""An answer as a picture: drawn at the original's full size, encoded as the client asked."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service.errors import NotAcceptableError
from service.images import Limits, decode
from service.task import Draw, Inferred, Params, Timing


@dataclass(frozen=True, slots=True)
class _Format:
    """How Pillow writes a media type, and the longest side it can have."""

    name: str
    options: Mapping[str, Any]
    max_side: int


# Letters and lines need the colours of every pixel; a large picture should be written in seconds.
_FORMATS = {
    "image/jpeg": _Format("JPEG", {"quality": 90, "subsampling": 0}, 65_500),
    "image/png": _Format("PNG", {"compress_level": 3}, (1 << 31) - 1),
    "image/webp": _Format("WEBP", {"quality": 90, "method": 2}, 16_383),
}
MEDIA_TYPES = tuple(_FORMATS)


@dataclass(frozen=True, slots=True)
class Rendered:
    """An answer drawn and encoded.

    Attributes:
        media_type: of the bytes.
        data: the encoded picture, without the original's metadata.
        timing: of the answer that was drawn.
    """

    media_type: str
    data: bytes
    timing: Timing


@dataclass(frozen=True, slots=True)
class Rendering:
    """What a request wants drawn, and how encoded.

    Attributes:
        draw: the task's, for that media type.
        media_type: one of MEDIA_TYPES.
        quality: 1 to 100, of what a media type with losses loses least; our own if None.
    """

    draw: Draw
    media_type: str
    quality: int | None = None

    def render(self, image: bytes, limits: Limits, inferred: Inferred, params: Params) -> Rendered:
        """Draw an answer, on the original if the task wants that, and encode it; takes a while.

        Args:
            image: the encoded original, which has been decoded before.
            limits: it is held against.
            inferred: what the model's run gave for it.
            params: the task's parameters.

        Raises:
            NotAcceptableError: the picture is too large for the media type.
            InferenceError: what the run gave is no answer.
        """
        drawn = self.draw(lambda: decode(image, limits).pixels, inferred, params)
        wanted = _FORMATS[self.media_type]
        if max(drawn.size) > wanted.max_side:
            raise NotAcceptableError(
                f"the picture is {drawn.width}x{drawn.height}; {self.media_type} has sides of at "
                f"most {wanted.max_side} pixels, accept image/png instead"
            )
        options = dict(wanted.options)
        if self.quality is not None and "quality" in options:
            options["quality"] = self.quality
        drawn.info.clear()  # Pillow would write comments and a profile that no longer fits
        buffer = io.BytesIO()
        try:
            drawn.save(buffer, wanted.name, **options)
        except (
            ValueError
        ) as error:  # a WebP file has parts that may be filled by many small details
            raise NotAcceptableError(
                f"the picture does not fit into {self.media_type} ({error}), accept image/png "
                "instead"
            ) from error
        return Rendered(self.media_type, buffer.getvalue(), inferred.common["timing_ms"])
