"""``sightline models import``: from the command line to a model folder."""

import argparse
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from service.contract import Name
from training.foreign.choices import geometry_of, preprocessing_of
from training.foreign.errors import ForeignFileError
from training.foreign.flags import parser
from training.foreign.importing import Import, import_classifier
from training.foreign.labels import read_labels
from training.foreign.source import read


def run(
    arguments: Sequence[str], *, prog: str, models: Path, report: Callable[[str], None]
) -> None:
    """Import a file.

    Args:
        arguments: those after the command's name.
        prog: what to call the command in its help.
        models: the folder of all models, unless the arguments name another.
        report: told of each step.

    Raises:
        ForeignFileError: the file cannot be imported; nothing was written.
        SystemExit: the arguments are wrong, or ask for help.
    """
    parsed = parser(prog, models).parse_args(arguments)
    _check_target(parsed)
    labels = read_labels(parsed.labels)
    file = read(parsed.file, parsed.output)
    for note in file.notes:
        report(note)
    preprocessing = preprocessing_of(file, parsed)
    wanted = Import(
        name=parsed.name,
        file=file,
        preprocessing=preprocessing,
        geometry=geometry_of(file, preprocessing.layout, parsed),
        labels=labels,
        kind=parsed.output_kind,
        description=parsed.description or f"{parsed.file.stem}, imported.",
        licence=parsed.licence,
        url=parsed.url,
        default=parsed.default,
        command=_again(prog, arguments, parsed),
        config={
            "layout": preprocessing.layout,
            "channels": preprocessing.channels,
            "dtype": preprocessing.dtype,
            "mean": ",".join(map(repr, preprocessing.normalisation.mean)),
            "std": ",".join(map(repr, preprocessing.normalisation.std)),
            "range": preprocessing.normalisation.range,
        },
    )
    folder, manifest = import_classifier(wanted, parsed.models, report)
    report(f"{folder}: {', '.join(manifest.precisions)}, {len(labels)} labels")
    report(f"serve it: sightline serve --models {shlex.quote(str(parsed.models))}")
    report(f"ask it:   POST a picture to /classify?model={parsed.name}")


def _check_target(parsed: argparse.Namespace) -> None:
    try:
        TypeAdapter(Name).validate_python(parsed.name)
    except ValidationError as error:
        raise ForeignFileError(
            f"--name {parsed.name!r}: lower-case letters, digits, '.', '_' and '-' only, "
            "64 at most, a letter or digit first"
        ) from error
    target = parsed.models / parsed.name
    if target.exists() and not parsed.overwrite:
        raise ForeignFileError(f"{target} is there already; add --overwrite to replace it")


def _again(prog: str, arguments: Sequence[str], parsed: argparse.Namespace) -> str:
    """The command to record, without the folders of this machine."""
    words = list(prog.split())
    rest = iter(arguments)
    for word in rest:
        flag, equals, value = word.rpartition("=")
        if word == "--models":
            next(rest)
        elif flag != "--models" and word != "--overwrite":
            is_path = Path(value) in (parsed.file, parsed.labels)
            words.append(flag + equals + (Path(value).name if is_path else value))
    return shlex.join(words)
