"""Styles that a stylizer knows by name: what its file of presets holds."""

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, StringConstraints, TypeAdapter, ValidationError

from service.contract import Name, describe

_Text = Annotated[str, StringConstraints(min_length=1, max_length=500)]
_JPEG = b"\xff\xd8\xff"


@dataclass(frozen=True, slots=True, eq=False)
class Preset:
    """A style that needs no picture.

    Attributes:
        name: that requests call it by.
        title: for people.
        source: what its code was computed from.
        licence: of that source.
        code: ``float32[K]``, what the model's encoder gives for it.
        thumbnail: a JPEG that shows it.
    """

    name: str
    title: str
    source: str
    licence: str
    code: NDArray[np.float32]
    thumbnail: bytes


class _Written(BaseModel):
    """A preset in the file; the code is base64 of little-endian numbers, the thumbnail of JPEG."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: Name
    title: _Text
    source: _Text
    licence: _Text
    code: str
    thumbnail: str


_FILE = TypeAdapter(tuple[_Written, ...])


@lru_cache(maxsize=64)
def read_presets(content: bytes) -> Mapping[str, Preset]:
    """The presets of a file by their names, in order.

    Args:
        content: JSON as ``write_presets`` gives it.

    Raises:
        ValueError: it is not so, or two have one name; names the preset.
    """
    try:
        written = _FILE.validate_json(content)
    except ValidationError as error:
        raise ValueError(describe(error)) from error
    presets: dict[str, Preset] = {}
    for each in written:
        if each.name in presets:
            raise ValueError(f"two presets are called {each.name!r}")
        numbers = _decoded(each.code, each.name, "code")
        if len(numbers) % 4 or not numbers:
            raise ValueError(f"{each.name}: code has {len(numbers)} bytes, which is no float32[K]")
        code = np.frombuffer(numbers, "<f4").astype(np.float32)
        if not np.isfinite(code).all():
            raise ValueError(f"{each.name}: code is not finite")
        thumbnail = _decoded(each.thumbnail, each.name, "thumbnail")
        if not thumbnail.startswith(_JPEG):
            raise ValueError(f"{each.name}: thumbnail is no JPEG")
        presets[each.name] = Preset(
            each.name, each.title, each.source, each.licence, code, thumbnail
        )
    return presets


def write_presets(presets: Iterable[Preset]) -> bytes:
    """The content of a file of presets."""
    written = [
        _Written(
            name=preset.name,
            title=preset.title,
            source=preset.source,
            licence=preset.licence,
            code=base64.b64encode(preset.code.astype("<f4").tobytes()).decode("ascii"),
            thumbnail=base64.b64encode(preset.thumbnail).decode("ascii"),
        )
        for preset in presets
    ]
    return _FILE.dump_json(tuple(written), indent=1) + b"\n"


def _decoded(text: str, name: str, field: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"{name}: {field} is not base64 ({error})") from error
