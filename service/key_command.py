"""``sightline keys``: make, list and revoke API keys in a file of hashes."""

import argparse
import fcntl
import os
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

from pydantic import ValidationError

from service.contract import describe
from service.errors import KeysError
from service.keys import Key, KeyFile, Scope, hash_of, new_key, read_keys
from service.settings import Settings

_EXAMPLES = """examples:
  sightline keys create --name ci --file keys.json           # prints the key, once
  sightline keys create --name ops --scope admin --scope infer --rate 60/m
  sightline keys list --file keys.json
  sightline keys revoke --name ci --file keys.json

--file is SIGHTLINE_API_KEYS_FILE by default. A running service takes a changed file over within
two seconds."""


def run(arguments: Sequence[str]) -> int:
    """Run ``sightline keys ...``; returns the exit status."""
    parsed = _parser().parse_args(arguments)
    try:
        path = parsed.file or Settings().api_keys_file
        if path is None:
            raise KeysError("say which file: --file, or SIGHTLINE_API_KEYS_FILE")
        action: Callable[[Path, argparse.Namespace], None] = parsed.run
        action(path, parsed)
    except ValidationError as error:
        print(f"sightline: {describe(error, 'the document')}", file=sys.stderr)
        return 2
    except (KeysError, OSError) as error:
        print(f"sightline: {error}", file=sys.stderr)
        return 1
    return 0


def create(path: Path, options: argparse.Namespace) -> None:
    """Add a key to the file, which is made if it is not there, and print the key."""
    secret = new_key()
    given = {"scopes": options.scope} if options.scope else {}
    key = Key.model_validate(
        {"name": options.name, "sha256": hash_of(secret), "rate": options.rate, **given}
    )
    with _locked(path):
        known = read_keys(path)[1].keys if path.exists() else ()
        if key.name in {each.name for each in known}:
            raise KeysError(
                f"{path} has a key {key.name!r} already; revoke it or take another name"
            )
        _write(path, KeyFile(keys=(*known, key)))
    print(secret)
    print(
        f"sightline: this is key {key.name!r}; it cannot be shown again. Its hash is in {path}.",
        file=sys.stderr,
    )


def show(path: Path, _: argparse.Namespace) -> None:
    """Print a table of the keys in the file."""
    rows = [("NAME", "SCOPES", "RATE", "SHA256")]
    for key in read_keys(path)[1].keys:
        scopes = ",".join(sorted(key.scopes))
        rows.append((key.name, scopes, str(key.rate or ""), f"{key.sha256[:12]}..."))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))


def revoke(path: Path, options: argparse.Namespace) -> None:
    """Take a key out of the file."""
    with _locked(path):
        known = read_keys(path)[1].keys
        kept = tuple(key for key in known if key.name != options.name)
        if len(kept) == len(known):
            raise KeysError(f"{path} has no key {options.name!r}")
        _write(path, KeyFile(keys=kept))
    print(f"sightline: revoked {options.name!r}", file=sys.stderr)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keep other commands from changing the file meanwhile, by a lock on its folder."""
    folder = os.open(path.resolve().parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _write(path: Path, content: KeyFile) -> None:
    """Replace the file in one step, so that a service never reads half of it."""
    path = path.resolve()  # a link goes on pointing to it
    mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o600
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as new:
        try:
            new.write(content.model_dump_json(indent=2, exclude_none=True).encode() + b"\n")
            new.flush()
            os.fchmod(new.fileno(), mode)
            os.fsync(new.fileno())
            Path(new.name).replace(path)
        except BaseException:
            Path(new.name).unlink(missing_ok=True)
            raise


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "sightline keys",
        description="Make, list and revoke API keys.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(required=True, metavar="ACTION")

    def action(
        name: str, run: Callable[[Path, argparse.Namespace], None], text: str
    ) -> argparse.ArgumentParser:
        added: argparse.ArgumentParser = actions.add_parser(name, help=text, description=text)
        added.add_argument("--file", type=Path, help="default: SIGHTLINE_API_KEYS_FILE")
        added.set_defaults(run=run)
        return added

    making = action("create", create, "add a key to the file and print it, once")
    making.add_argument("--name", required=True, help="what logs and limits call it")
    making.add_argument(
        "--scope",
        action="append",
        choices=get_args(Scope),
        help="what it may do, repeated for several; default: infer",
    )
    making.add_argument("--rate", metavar="N/s|m|h", help="its limit; default: that of the service")
    action("list", show, "list the keys in the file")
    action("revoke", revoke, "take a key out of the file").add_argument("--name", required=True)
    return parser
