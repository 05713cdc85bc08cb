"""Pictures and styles as they are handed to the client, and as parts of a form."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from service.client.errors import SightlineClientError

#: Of a file that is sent. The service refuses far smaller ones by their announced length, but reads
#: on for a while, and a client that is sending learns of it only then.
MAX_BYTES: Final = 256 << 20

Picture = str | Path | bytes | BinaryIO
"""A file's path, an encoded picture's bytes, or a binary file open for reading."""


@dataclass(frozen=True, slots=True)
class Style:
    """A style and its weight among several.

    Attributes:
        what: a preset's name if it is a ``str``; else a picture: a ``Path``, bytes or a file.
        weight: relative to that of the others, 0 to 9999.
    """

    what: Picture
    weight: float = 1.0


class Part(NamedTuple):
    """A field of a form and the picture in it, which can be read as often as it is sent."""

    field: str
    content: Path | bytes

    def opened(self, until: ExitStack) -> tuple[str, tuple[str, BinaryIO | bytes]]:
        """As httpx takes it; a file stays open ``until`` then and is sent as it is read.

        Raises:
            OSError: the file cannot be read.
            SightlineClientError: it is too large to be sent at all.
        """
        content: BinaryIO | bytes = self.content if isinstance(self.content, bytes) else b""
        if isinstance(self.content, Path):
            file = until.enter_context(self.content.open("rb"))
            # Of a pipe the length is not known beforehand.
            content = file if self.content.is_file() else file.read(MAX_BYTES + 1)
            size = len(content) if isinstance(content, bytes) else self.content.stat().st_size
            if size > MAX_BYTES:
                raise SightlineClientError(
                    f"{self.content} is larger than {MAX_BYTES >> 20} MiB, and was not sent",
                    kind="too-large",
                )
        return self.field, ("picture", content)  # a name of its own might not be encodable


def part(field: str, picture: Picture) -> Part:
    """A picture as a field of a form."""
    if isinstance(picture, str | Path):
        return Part(field, Path(picture))
    return Part(field, picture if isinstance(picture, bytes) else picture.read())


def as_styles(given: Style | Picture | Sequence[Style | Picture]) -> list[Style]:
    """One style or several, each with its weight."""
    several = given if isinstance(given, Sequence) and not isinstance(given, str | bytes) else None
    each = [given] if several is None else several
    return [style if isinstance(style, Style) else Style(style) for style in each]  # type: ignore[arg-type]


def written(weight: float) -> str:
    """A weight with six decimals at most and no exponent, as the service reads it."""
    return f"{weight:.6f}".rstrip("0").rstrip(".")
