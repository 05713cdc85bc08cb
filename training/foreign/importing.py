"""From a foreign ONNX file to a model folder, or to nothing at all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from service.contract import DataSource, InputGeometry, Manifest, Parity, Precision
from service.session import Arrays
from service.tasks import classify
from training.card import Card
from training.foreign.agreement import agreeing_graph
from training.foreign.errors import ForeignFileError
from training.foreign.original import Original, quiet_session
from training.foreign.preprocessing import Preprocessing
from training.foreign.scores import OutputKind, Report, check_scores, kind_of, to_logits
from training.foreign.source import ForeignFile
from training.foreign.wrap import precision_of
from training.golden import golden_pictures
from training.model_folder import ModelFolder, replacing
from training.parity import ParityError, check_parity
from training.provenance import provenance

_SEED = 0
_NOISE_PICTURES = 6
#: The deviation allowed, as a share of the largest logit: rounding, no more.
_TOLERANCE: Mapping[Precision, float] = {"fp32": 1e-5, "fp16": 2e-3, "int8": 2e-2}
_LEAST_TOLERANCE = 1e-4
#: Batches may change the scores by this share of what different pictures change them.
_SPREAD = 0.01


@dataclass(frozen=True, slots=True)
class Import:
    """A file that was read, and what its user says of it.

    Attributes:
        name: of the model.
        file: as read.
        preprocessing: from the contract's pixels to the file's input.
        geometry: how a picture becomes those pixels.
        labels: one a class.
        kind: of the scores; found out by running the file if not given.
        description: a sentence for lists.
        licence: of the weights.
        url: where the file comes from.
        default: whether its task uses it when a request names no model.
        command: that makes it again.
        config: the choices to record.
    """

    name: str
    file: ForeignFile
    preprocessing: Preprocessing
    geometry: InputGeometry
    labels: tuple[str, ...]
    kind: OutputKind | None
    description: str
    licence: str
    url: str | None
    default: bool
    command: str
    config: Mapping[str, str | int | float | bool | None]


def import_classifier(
    wanted: Import, models: Path, report: Report = lambda _: None
) -> tuple[Path, Manifest]:
    """Make ``models/<name>``.

    Args:
        wanted: what to import.
        models: the folder of all models; made if missing.
        report: told what was found out and decided.

    Returns:
        The model's folder and its manifest.

    Raises:
        ForeignFileError: the file cannot be brought under the contract. Whatever is raised,
            ``models/<name>`` stays as it was.
    """
    original = _open(wanted)
    pictures = _pictures(wanted.geometry)
    scores = np.stack([original.scores(picture) for picture in pictures])
    check_scores(wanted.file, len(wanted.labels), scores)
    if not np.array_equal(scores[0], original.scores(pictures[0])):
        raise ForeignFileError(
            f"{wanted.file.path}: gives other scores each time for the same picture; export it "
            "again in evaluation mode"
        )
    kind = kind_of(wanted.file, wanted.kind, scores, report)
    expected = to_logits(scores, kind, wanted.file.output.dtype)
    precision = precision_of(wanted.file.model)
    largest = float(np.abs(expected).max())
    share = _TOLERANCE[precision] * largest
    tolerance = max(_LEAST_TOLERANCE, round(share, 6))
    # Where pictures differ by less than that, it could not tell them apart.
    spread = float(np.ptp(expected, axis=0).max())
    strict = min(tolerance, max(share, _SPREAD * spread))
    if spread < tolerance:
        report(
            f"the scores of different pictures differ by {spread:.2g} at most; see whether mean, "
            "std and range are what the file was trained with"
        )
    model = agreeing_graph(original, kind, pictures, expected, strict, report)
    items = [{"images": picture} for picture in pictures]
    golden = items[:2]
    target = models / wanted.name
    with replacing(target) as path:
        folder = ModelFolder(path, "1")
        folder.add("main", precision, model, Parity(tolerance=tolerance, measured=0))
        measured = _measure(folder, precision, items, expected, tolerance, wanted)
        folder.note_parity("main", precision, Parity(tolerance=tolerance, measured=measured))
        report(f"logits within {measured:.2g} of {wanted.file.path.name} run by hand")
        folder.record_inputs("main", golden)
        folder.record_outputs("main", precision, golden, tolerance)
        manifest = folder.finish(_manifest(wanted, folder, kind), _card(wanted, kind))
        classify.check(manifest, {})
    return target, manifest


def _open(wanted: Import) -> Original:
    source = wanted.file
    try:
        session = quiet_session(source.path)
    except ForeignFileError as error:
        raise ForeignFileError(f"{source.path}: {error}") from error
    assert source.input.shape is not None
    return Original(source, session, wanted.preprocessing, source.input.shape[0] or 1)


def _pictures(geometry: InputGeometry) -> list[NDArray[np.uint8]]:
    """The golden pictures and noise around several colours, eight for batches of 1, 2 and 5."""
    height, width = geometry.height, geometry.width
    random = np.random.default_rng(_SEED)
    colours = random.uniform(0, 255, (_NOISE_PICTURES, 1, 1, 3))
    noise = random.normal(0, 40, (_NOISE_PICTURES, height, width, 3))
    noisy = np.clip(colours + noise, 0, 255).astype(np.uint8)
    return [*golden_pictures(height, width), *noisy]


def _measure(
    folder: ModelFolder,
    precision: Precision,
    items: Sequence[Arrays],
    expected: NDArray[np.float32],
    tolerance: float,
    wanted: Import,
) -> float:
    """How far the graph, opened as the service opens it, stands from the file."""
    rows = iter(expected)
    try:
        return check_parity(
            folder.open("main", precision),
            items,
            lambda batch: [{"logits": next(rows)} for _ in batch],
            tolerance,
            wanted.name,
            than=wanted.file.path.name,
        )
    except ParityError as error:
        raise ForeignFileError(str(error)) from error


def _manifest(wanted: Import, folder: ModelFolder, kind: OutputKind) -> Manifest:
    source = DataSource(name=wanted.file.path.name, licence=wanted.licence, url=wanted.url)
    return Manifest(
        name=wanted.name,
        version="1",
        task="classify",
        description=wanted.description,
        default=wanted.default,
        graphs=folder.variants,
        input=wanted.geometry,
        labels=wanted.labels,
        golden=folder.write_golden(),
        provenance=provenance(
            command=wanted.command,
            data=(source,),
            licence=wanted.licence,
            config={
                **wanted.config,
                "output": wanted.file.output.name,
                "output_kind": kind,
                **{f"sha256 of {name}": digest for name, digest in wanted.file.hashes.items()},
            },
            seed=_SEED,
            libraries=("onnx", "onnxruntime", "numpy", "pillow"),
        ),
    )


def _card(wanted: Import, kind: OutputKind) -> Card:
    name = wanted.file.path.name
    normalisation = wanted.preprocessing.normalisation
    arithmetic = (
        "pixels as they are"
        if wanted.preprocessing.dtype == "uint8"
        else f"(pixel - mean) / std in {normalisation.range}, "
        f"mean {_listed(normalisation.mean)}, std {_listed(normalisation.std)}"
    )
    appended = "; a logarithm stands behind its probabilities" if kind == "probabilities" else ""
    return Card(
        summary=f"{wanted.description} Imported from `{name}`; the weights are unchanged.",
        use=(
            f"Says which of {len(wanted.labels)} labels suits a picture best; it always answers "
            "with one of them. What it is good for and what not is for its authors to say"
            + (f": {wanted.url}." if wanted.url else ".")
        ),
        data=(
            f"In the graph before `{name}`: {arithmetic}; {wanted.preprocessing.channels}, "
            f"{wanted.preprocessing.layout}{appended}. What it was trained on was not stated. The "
            "golden inputs are drawn by code."
        ),
        figures="",
        reference=f"`{name}` run by hand",
        unmeasured="a file was imported, without pictures to measure it on",
    )


def _listed(numbers: tuple[float, ...]) -> str:
    return ", ".join(f"{number:g}" for number in numbers)
