"""The ``sightline`` command: serve, look at models, measure this machine."""

import argparse
import functools
import ipaddress
import logging
import math
import os
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import ValidationError

import service
from service import asking, bench, key_command, server, supervisor
from service.admission import Admission
from service.arena import configure
from service.contract import describe
from service.device import resolve
from service.errors import ModelError, SightlineError
from service.loading import Loader
from service.logs import configure_logging
from service.registry import model_folders
from service.settings import Settings, type_name
from service.tasks import TASKS
from service.telemetry import Telemetry

_EXAMPLES = """examples:
  sightline serve                                # the models in ./models on 127.0.0.1:8000
  sightline serve --host 0.0.0.0 --port 9000 --device cuda
  sightline models list                          # what is there, and what it promises
  sightline models check --models /srv/models    # hashes, signatures, golden outputs
  sightline models import --help                 # a foreign ONNX file becomes a model folder
  sightline keys create --name ci --file keys.json    # who may ask; see also list and revoke
  sightline classify cat.jpg                     # of a running service; see its --help
  sightline bench --model imagenet               # what this machine can do, without HTTP

Every flag of a setting can also be given as an environment variable, SIGHTLINE_<NAME>."""
log = logging.getLogger(__name__)

#: Entry points of this group are actions of ``sightline models`` that the service cannot do itself.
ACTIONS = "sightline.models"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    if words[:2] == ["models", "import"]:
        return import_model(words[2:])
    if words[:1] == ["keys"]:
        return key_command.run(words[1:])
    if words and words[0] in asking.COMMANDS:
        return asking.run(words)
    parsed = vars(_parser().parse_args(words))
    command = parsed.pop("run")
    own = {name: parsed.pop(name) for name in ("model", "image", "seconds") if name in parsed}
    try:
        settings = Settings(**parsed)
    except ValidationError as error:
        print(f"sightline: {describe(error)}", file=sys.stderr)
        return 2
    configure_logging(settings.log_level, settings.log_format)
    try:
        status: int = command(settings, **own)
    except (SightlineError, OSError) as error:
        print(f"sightline: {error}", file=sys.stderr)
        return 1
    return status


def serve(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT, then finish what is in flight."""
    if settings.api_keys_file is None and not _is_loopback(settings.host):
        log.warning(
            "listening on %s without API keys: whoever reaches it may ask for everything; "
            "SIGHTLINE_API_KEYS_FILE, from `sightline keys create`, closes it",
            settings.host,
        )
    if settings.workers > 1 or settings.spares:
        return supervisor.serve(settings)
    return server.serve(settings)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def list_models(settings: Settings) -> int:
    """Print a table of the model folders, without loading a graph."""
    from service.contract import read_manifest

    rows = [("NAME", "VERSION", "TASK", "PRECISIONS", "DEFAULT", "DESCRIPTION")]
    failed = 0
    for folder in model_folders(settings.models):
        try:
            manifest = read_manifest(folder)
        except ModelError as error:
            failed += 1
            print(f"sightline: {error}", file=sys.stderr)
            continue
        rows.append(
            (
                manifest.name,
                manifest.version,
                manifest.task,
                ",".join(manifest.precisions),
                "yes" if manifest.default else "",
                manifest.description,
            )
        )
    if len(rows) == 1:
        print(f"sightline: no model in {settings.models.resolve()}", file=sys.stderr)
        return 1
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )
    return 1 if failed else 0


def check_models(settings: Settings, model: str | None = None) -> int:
    """Verify hashes, signatures and golden outputs of every variant on the chosen device."""
    loader = loader_of(settings)
    folders = [f for f in model_folders(settings.models) if model in (None, f.name)]
    if not folders:
        print(f"sightline: no model to check in {settings.models.resolve()}", file=sys.stderr)
        return 1
    failed = 0
    for folder in folders:
        try:
            for precision, deviation, tolerance in loader.check(folder):
                print(
                    f"ok      {folder.name} {precision} on {loader.device.kind}: golden outputs "
                    f"within {deviation:.3g} (tolerance {tolerance:.3g})"
                )
        except ModelError as error:
            failed += 1
            print(f"failed  {folder.name}: {error}")
    return 1 if failed else 0


def import_model(arguments: Sequence[str]) -> int:
    """Hand over to the training kit, which can edit a graph as the service cannot.

    The kit offers its action as the entry point ``import`` of the group ``sightline.models``: a
    function of the arguments, of ``prog``, of the folder ``models`` and of ``report``, which it
    tells its steps; it raises SightlineError where it fails.
    """
    try:
        offered = metadata.entry_points(group=ACTIONS, name="import")
        action = next(iter(offered)).load()
    except (ModuleNotFoundError, StopIteration) as error:
        missing = getattr(error, "name", None) or "the training kit"
        print(
            f"sightline: models import needs {missing}, which is not installed; install Sightline "
            "with its extra 'import', as in: pip install '.[cpu,import]'",
            file=sys.stderr,
        )
        return 1
    try:
        report = functools.partial(print, flush=True)
        models = Settings().models
        action(arguments, prog="sightline models import", models=models, report=report)
    except ValidationError as error:
        print(f"sightline: {describe(error)}", file=sys.stderr)
        return 2
    except (SightlineError, OSError) as error:
        print(f"sightline: {error}", file=sys.stderr)
        return 1
    return 0


def measure(settings: Settings, model: str, image: Path | None, seconds: float) -> int:
    """Measure what this machine can do with a model, without HTTP."""
    loader = loader_of(settings)
    loaded = loader.load(settings.models / model)
    picture = image.read_bytes() if image else bench.photograph(640, 480)
    print(bench.report(loaded, picture, settings.limits, seconds))
    return 0


def loader_of(settings: Settings) -> Loader:
    """A loader as the service would have, for work without HTTP."""
    configure(settings.cpu_arena_mib)
    device = resolve(settings.device, settings.cpus)
    return Loader(settings, device, TASKS, Telemetry(), in_service=Admission())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "sightline",
        description="A self-hosted vision inference service.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=service.__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _command(commands, "serve", serve, "serve the models over HTTP")
    models = commands.add_parser("models", help="list, check or import model folders")
    actions = models.add_subparsers(required=True, metavar="ACTION")
    _command(actions, "list", list_models, "list the model folders")
    # Listed here, run by import_model: its flags are known where it is installed.
    actions.add_parser("import", help="make a model folder of a foreign ONNX file", add_help=False)
    # Listed here, run by key_command: of the settings it needs no more than the file.
    commands.add_parser("keys", help="make, list or revoke API keys", add_help=False)
    for name, text in asking.COMMANDS.items():
        commands.add_parser(name, help=text, add_help=False)  # run by asking
    check = _command(actions, "check", check_models, "verify hashes, signatures, golden outputs")
    check.add_argument("--model", metavar="NAME", help="only this model")
    run = _command(commands, "bench", measure, "measure what this machine can do, without HTTP")
    run.add_argument("--model", default="imagenet", metavar="NAME", help="default: imagenet")
    run.add_argument("--image", type=Path, metavar="FILE", help="default: a generated 640x480 JPEG")
    run.add_argument("--seconds", type=_positive, default=5.0, help="a measurement; default: 5")
    return parser


def _command(commands: Any, name: str, run: Any, text: str) -> argparse.ArgumentParser:
    """Add a command with a flag for every setting."""
    command: argparse.ArgumentParser = commands.add_parser(
        name,
        help=text,
        description=f"{text[0].upper()}{text[1:]}.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,  # or --model would be taken for --models
    )
    command.set_defaults(run=run)
    group = command.add_argument_group("settings (or SIGHTLINE_<NAME> in the environment)")
    for field, info in Settings.model_fields.items():
        default = "" if info.default in (None, {}) else f" [{info.default}]"
        group.add_argument(
            f"--{field.replace('_', '-')}",
            default=argparse.SUPPRESS,
            metavar=type_name(info.annotation),
            help=f"{info.description}{default}".replace("%", "%%"),
        )
    return command


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise ValueError
    return value


_positive.__name__ = "positive number"  # argparse names the type in its complaint


if os.environ.get("PYTHONUNBUFFERED") is None and not sys.stdout.isatty():
    # A table piped into another program should arrive line by line.
    getattr(sys.stdout, "reconfigure", lambda **_: None)(line_buffering=True)
