"""The manifest: what a model folder promises, imported by training and by the service.

A model is a folder ``models/<name>/`` with a ``manifest.json`` described here and the graphs it
names under ``models/<name>/<version>/``. Every model here is frozen, refuses unknown fields and
does not coerce types, so a manifest either means exactly what it says or is refused.
"""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from service.errors import ManifestError

MANIFEST_FILE = "manifest.json"
GOLDEN_FILE = "golden.npz"
MAX_ASSET_BYTES = 16 << 20

Precision = Literal["fp32", "fp16", "int8"]
DType = Literal["bool", "uint8", "int8", "int32", "int64", "float16", "float32", "string"]
ResizeRule = Literal["squash", "shortest_side", "letterbox", "pad_to_multiple"]
Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos"]

#: A dimension is a fixed length, or the name of a length the caller chooses (``"N"``).
Dimension = Annotated[int, Field(ge=1)] | Annotated[str, StringConstraints(min_length=1)]
NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,63}$"
Name = Annotated[str, StringConstraints(pattern=NAME_PATTERN)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


def _inside_the_folder(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or set(path) & {"\\", ":", "\0"}:
        raise ValueError(f"{path!r} must be a relative path inside the model's folder")
    return path


RelativePath = Annotated[str, AfterValidator(_inside_the_folder)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class TensorSpec(_Frozen):
    """One named input or output of a graph."""

    name: str
    dtype: DType
    shape: tuple[Dimension, ...]

    @property
    def is_of_any_size(self) -> bool:
        """Whether the caller chooses more of its lengths than the batch's."""
        return any(isinstance(length, str) for length in self.shape[1:])


class FileRef(_Frozen):
    """A file of the model's folder and the hash that proves it is the one meant."""

    file: RelativePath
    sha256: Sha256


class Parity(_Frozen):
    """How far a graph may stand from its reference, and how far it stood when it was made.

    For ``fp32`` the reference is the PyTorch module, or the original file of an imported model;
    for the other variants it is their own recorded golden output, so that the figure says what
    another machine may change.
    """

    tolerance: float = Field(ge=0)
    measured: float = Field(ge=0)


class Variant(FileRef):
    """One ONNX file: a graph at one precision."""

    inputs: tuple[TensorSpec, ...] = Field(min_length=1)
    outputs: tuple[TensorSpec, ...] = Field(min_length=1)
    parity: Parity


class InputGeometry(_Frozen):
    """How a picture becomes the array a graph takes; the only thing done to a pixel outside it.

    - ``squash``: to ``height`` x ``width``, whatever its shape was.
    - ``shortest_side``: the largest centred window of the target's shape, times ``crop`` a side,
      to ``height`` x ``width``.
    - ``letterbox``: scaled to fit, centred on ``height`` x ``width`` of ``pad_value``.
    - ``pad_to_multiple``: shrunk to fit ``height`` x ``width`` if larger, never enlarged, then
      padded right and below with ``pad_value`` to the next multiple of ``multiple``.
    """

    height: int = Field(ge=1)
    width: int = Field(ge=1)
    resize: ResizeRule
    crop: float = Field(default=1.0, gt=0, le=1)
    interpolation: Interpolation = "bilinear"
    multiple: int = Field(default=1, ge=1)
    pad_value: int = Field(default=0, ge=0, le=255)

    @model_validator(mode="after")
    def _options_belong_to_the_rule(self) -> Self:
        if self.crop != 1.0 and self.resize != "shortest_side":
            raise ValueError("crop applies to resize='shortest_side' only")
        if self.multiple != 1 and self.resize != "pad_to_multiple":
            raise ValueError("multiple applies to resize='pad_to_multiple' only")
        if self.height % self.multiple or self.width % self.multiple:
            raise ValueError("height and width must be multiples of 'multiple'")
        return self


class Metric(_Frozen):
    """A measured figure, on what data and for which variant; higher is better.

    ``ranks`` is false for a figure that describes a variant but does not rate it, such as how
    often it agrees with fp32; such figures do not count when a variant is chosen.
    """

    name: str
    value: float
    dataset: str
    split: str
    variant: Precision
    samples: int | None = Field(default=None, ge=1)
    ranks: bool = True


class DataSource(_Frozen):
    """Data or weights a model was made from, and the terms they come under."""

    name: str
    licence: str
    url: str | None = None


class Provenance(_Frozen):
    """Where a model comes from: enough to make it again."""

    command: str
    commit: str
    created: str
    seed: int | None = None
    config: Mapping[str, str | int | float | bool | None] = Field(default_factory=dict)
    libraries: Mapping[str, str]
    data: tuple[DataSource, ...]
    licence: str


class Manifest(_Frozen):
    """Everything the service needs to know of a model; see the module's docstring.

    ``graphs`` maps a role (``"main"`` where there is one graph) to its variants by precision.
    ``default`` marks the model a task uses when the caller names none.
    ``options`` holds what only the task's own module understands, and so do the files that
    ``assets`` names, such as a vocabulary; each has at most MAX_ASSET_BYTES.
    """

    schema_version: Literal[1] = 1
    name: Name
    version: Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]*$")]
    task: Name
    description: str = ""
    default: bool = False
    graphs: Mapping[Name, Mapping[Precision, Variant]]
    input: InputGeometry
    labels: tuple[str, ...] = ()
    assets: Mapping[str, FileRef] = Field(default_factory=dict)
    options: Mapping[str, str | int | float | bool] = Field(default_factory=dict)
    golden: FileRef
    metrics: tuple[Metric, ...] = ()
    provenance: Provenance

    @model_validator(mode="after")
    def _graphs_are_complete(self) -> Self:
        if not self.graphs:
            raise ValueError("graphs must name at least one role")
        for role, variants in self.graphs.items():
            if not variants:
                raise ValueError(f"graphs.{role} must have at least one variant")
            for precision, variant in variants.items():
                if PurePosixPath(variant.file).parts[0] != self.version:
                    raise ValueError(
                        f"graphs.{role}.{precision}.file must stand in the folder {self.version}/"
                    )
        if not self.precisions:
            raise ValueError("no precision is offered by every role of graphs")
        return self

    @property
    def precisions(self) -> tuple[Precision, ...]:
        """The precisions every role offers, in the order the first role lists them."""
        first, *others = self.graphs.values()
        return tuple(p for p in first if all(p in variants for variants in others))

    def quality(self, precision: Precision) -> Mapping[str, float]:
        """The value of each metric that ranks, for one variant, keyed ``name/dataset/split``."""
        return {
            f"{metric.name}/{metric.dataset}/{metric.split}": metric.value
            for metric in self.metrics
            if metric.variant == precision and metric.ranks
        }


def read_manifest(folder: Path) -> Manifest:
    """Read ``folder/manifest.json``.

    Raises:
        ManifestError: the file is missing, is not JSON, or breaks the contract; the message
            names the file and every offending field.
    """
    path = folder / MANIFEST_FILE
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError as error:
        raise ManifestError(f"{path}: {describe(error)}") from error
    if manifest.name != folder.name:
        raise ManifestError(
            f"{path}: name is {manifest.name!r} but its folder is called {folder.name!r}"
        )
    return manifest


def require_tensor(
    manifest: Manifest, role: str, tensor: str, dtype: DType, shape: tuple[Dimension, ...]
) -> None:
    """Ask every variant of ``role`` for an input or output of this name, dtype and shape.

    A dimension given by name accepts any name; one given as a number, that length only.

    Raises:
        ManifestError: names the field of the manifest that is missing or differs.
    """
    where = f"model {manifest.name!r}: graphs.{role}"
    if role not in manifest.graphs:
        raise ManifestError(f"{where}: task {manifest.task!r} needs this role")
    for precision, variant in manifest.graphs[role].items():
        specs = {spec.name: spec for spec in (*variant.inputs, *variant.outputs)}
        found = specs.get(tensor)
        if found is None:
            raise ManifestError(f"{where}.{precision}: there is no tensor named {tensor!r}")
        fits = len(found.shape) == len(shape) and all(
            isinstance(has, str) if isinstance(wanted, str) else has == wanted
            for has, wanted in zip(found.shape, shape, strict=True)
        )
        if found.dtype != dtype or not fits:
            raise ManifestError(
                f"{where}.{precision}: {tensor} is {found.dtype}{list(found.shape)}, "
                f"task {manifest.task!r} needs {dtype}{list(shape)}"
            )


def shape_of(manifest: Manifest, role: str, tensor: str) -> tuple[Dimension, ...]:
    """The shape of an input or output as the first variant of a role has it; empty without one."""
    for variant in manifest.graphs.get(role, {}).values():
        for spec in (*variant.inputs, *variant.outputs):
            if spec.name == tensor:
                return spec.shape
    return ()


def describe(error: ValidationError, whole: str = "manifest") -> str:
    """One line naming each offending field of a validation error and what is wrong with it.

    Args:
        error: of a pydantic model.
        whole: what to call the document itself.
    """
    return "; ".join(
        f"{'.'.join(map(str, item['loc'])) or whole}: {item['msg']}"
        for item in error.errors(include_url=False)
    )
