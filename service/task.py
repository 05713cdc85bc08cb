"""What a task supplies to the kernel, and what every answer has in common."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, get_origin

from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from service.contract import Manifest, Precision
from service.images import Picture
from service.resize import Placement
from service.session import Arrays


class Params(BaseModel):
    """Base of a task's query parameters; unknown ones are refused."""

    model_config = ConfigDict(extra="forbid")

    model: str | None = Field(
        None, description="Name of the model; the task's default when left out.", max_length=64
    )

    @classmethod
    def list_fields(cls) -> set[str]:
        """The parameters that may be repeated."""
        return {
            name for name, field in cls.model_fields.items() if get_origin(field.annotation) is list
        }

    def check(self, manifest: Manifest) -> None:  # noqa: ARG002 - for tasks that ask of the model
        """Raise ParameterError if the model cannot do what is asked of it."""
        return

    def is_long(self, placement: Placement) -> bool:  # noqa: ARG002 - for tasks that can be
        """Whether finishing an answer takes so long that no run slot should wait for it."""
        return False

    def picture_quality(self) -> int | None:
        """What a picture answer is written at, 1 to 100; None leaves it to the service."""
        return None


class ModelUsed(BaseModel):
    """Which model gave the answer."""

    name: str
    version: str
    precision: Precision


class ImageSeen(BaseModel):
    """The picture as it was understood: its size once upright."""

    width: int = Field(description="In pixels, EXIF orientation applied.")
    height: int = Field(description="In pixels, EXIF orientation applied.")


class Timing(BaseModel):
    """Where the time went, in milliseconds."""

    decode: float = Field(description="Decoding and resizing.")
    queue: float = Field(description="Waiting for a run slot.")
    run: float = Field(description="The model's run, shared with the rest of its batch.")
    total: float = Field(description="From the whole body being there to the answer.")


class Answered(BaseModel):
    """What every task's answer to one picture holds."""

    model: ModelUsed
    image: ImageSeen
    timing_ms: Timing


@dataclass(frozen=True, slots=True)
class Prepared:
    """A picture made ready for a graph.

    Attributes:
        inputs: input name to array, without the batch dimension.
        placement: where the original picture lies in the input.
        role: which of the model's graphs takes it.
    """

    inputs: Arrays
    placement: Placement
    role: str = "main"


@dataclass(frozen=True, slots=True)
class Inferred:
    """What a run gave for one picture, with all that an answer needs besides.

    Attributes:
        outputs: output name to array, without the batch dimension.
        common: the fields of Answered.
        assets: the content of the model's other files, by their names in the manifest.
    """

    manifest: Manifest
    outputs: Arrays
    placement: Placement
    common: Mapping[str, Any] = field(repr=False)
    assets: Mapping[str, bytes] = field(default_factory=dict, repr=False)


Original = Callable[[], Image.Image]
"""Decodes the upright original at its full size, for the caller to change."""

Draw = Callable[[Original, Inferred, Any], Image.Image]
"""What a task can have besides: an answer as a picture, of what a run gave and the parameters."""


@dataclass(frozen=True, slots=True)
class Companions:
    """What a task does with pictures that come along with the one a request is about.

    Each is run for itself, before that one, and what its run gave is kept for the next time.

    Attributes:
        field: of a form that they come in.
        main: fields that the picture the request is about can come in.
        named: of what came in ``field``, takes the texts that stand for what needs no picture into
            the parameters; gives the pictures and those parameters, or raises ParameterError.
        check: told the parameters, the model's assets and the number of companions, which is None
            before the body is read, raises ParameterError if they do not go together.
        prepare: makes one of them ready for a role of its own, whatever the parameters.
        verify: raises UnusableImageError if what its run gave is of no use; it is not kept then.
        combine: makes of the outputs of their runs, in order, the model's assets and the parameters
            what the main run takes beside its picture.
    """

    field: str
    main: tuple[str, ...]
    named: Callable[[Sequence[bytes], Any], tuple[list[bytes], Any]]
    check: Callable[[Any, Mapping[str, bytes], int | None], None]
    prepare: Callable[[Picture, Manifest], Prepared]
    verify: Callable[[Arrays], None]
    combine: Callable[[Sequence[Arrays], Mapping[str, bytes], Any], Arrays]


class Task(Protocol):
    """A module of ``service.tasks``; the kernel knows tasks by this shape only."""

    @property
    def NAME(self) -> str:  # noqa: N802 - a constant of the module
        """The task's name, as in ``manifest.task`` and the endpoint's path."""
        ...

    @property
    def Params(self) -> type[Params]:  # noqa: N802 - a class of the module
        """The task's query parameters."""
        ...

    def check(self, manifest: Manifest, assets: Mapping[str, bytes]) -> None:
        """Raise ManifestError, naming the field, if the model cannot serve this task.

        Args:
            manifest: of the model.
            assets: the content of each file that ``manifest.assets`` names.
        """
        ...

    def prepare(self, picture: Picture, manifest: Manifest, params: Any) -> Prepared:
        """Make a picture, and what the parameters tell the graph, ready for it."""
        ...

    def finish(self, inferred: Inferred, params: Any) -> Answered:
        """Turn a graph's outputs into the answer."""
        ...

    def deviation(self, actual: Arrays, expected: Arrays) -> float:
        """How far two outputs for one item stand apart; held against ``parity.tolerance``."""
        ...
