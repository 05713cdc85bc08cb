"""``sightline classify``, ``detect``, ``segment``, ``caption`` and ``stylize``."""

import contextlib
import functools
import json
import os
import signal
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.client.errors import SightlineClientError, UnreachableError
from service.client.flags import parse
from service.client.lines import lines, printable
from service.client.many import each, progress
from service.client.pictures import Style
from service.client.places import PlacesError, Source, sources, targets, write
from service.client.results import Answered
from service.client.retry import Patience
from service.client.sightline import Format, Sightline


@dataclass(frozen=True, slots=True)
class Errand:
    """A picture, and where what is drawn of it goes, if anything is."""

    source: Source
    target: Path | None


@dataclass(frozen=True, slots=True)
class Told:
    """What came of a picture: an answer, a picture that was written, or both."""

    result: Answered | None
    target: Path | None


def run(words: Sequence[str]) -> int:
    """Run ``sightline <task> ...``; returns the exit status."""
    for stream in (sys.stdout, sys.stderr):
        # File names and labels may have letters that the terminal does not.
        getattr(stream, "reconfigure", lambda **_: None)(errors="backslashreplace")
    options = parse(words)
    try:
        errands, kind = _errands(options)
        client = Sightline(
            options.url,
            api_key=options.api_key,
            timeout_s=options.timeout_s,
            patience=Patience(retries=options.retries),
            connections=options.jobs,
        )
    except (PlacesError, ValueError) as error:
        _complain(str(error))
        return 2
    try:
        with client:
            return _ask_all(client, errands, kind, options)
    except (KeyboardInterrupt, RuntimeError) as error:
        if not _is_of_interrupt(error):
            raise
        _complain("interrupted")
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # Whoever read the answers has gone; what is left in the buffer has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _is_of_interrupt(error: BaseException | None) -> bool:
    """Whether an error is an interrupt, or what became of one between two steps of a lock."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


def _errands(options: Namespace) -> tuple[list[Errand], Format]:
    if options.out is None:
        return [Errand(source, None) for source in sources(options.pictures)], "jpeg"
    given = sources(options.pictures, Path(options.out))
    others = [style.what for style in options.styles if isinstance(style.what, Path)]
    paths, kind = targets(given, options.out, options.format, others)
    return [Errand(*pair) for pair in zip(given, paths, strict=True)], kind


def _ask_all(client: Sightline, errands: list[Errand], kind: Format, options: Namespace) -> int:
    """Ask for every picture, tell what came of each; returns the exit status."""
    failed: list[str] = []
    told = 0
    with progress(len(errands)) as advance:
        asking = functools.partial(_ask, client, kind, options, advance)
        answers = each(errands, asking, options.jobs, client.give_up)
        with contextlib.closing(answers):
            for errand, outcome in answers:
                told += 1
                if not isinstance(outcome, Exception):
                    _tell(errand.source.name, outcome, options.json)
                    continue
                failed.append(errand.source.name)
                _tell_failure(errand.source.name, outcome, options.json)
                if _is_hopeless(outcome):
                    break
    if told < len(errands):
        _complain(f"gave up; {len(errands) - told} of {len(errands)} pictures were not told of")
    elif len(errands) > 1 and failed:
        names = ", ".join(failed[:10]) + (", ..." if len(failed) > 10 else "")
        _complain(f"{len(failed)} of {len(errands)} pictures failed: {names}")
    return 1 if failed else 0


def _ask(
    client: Sightline, kind: Format, options: Namespace, advance: Callable[[], None], errand: Errand
) -> Told:
    """Ask for one picture, and write what is drawn of it."""
    try:
        content, result = errand.source.content(), None
        if options.wants_json or errand.target is None:
            ask: Callable[..., Answered] = getattr(client, options.task)
            result = ask(content, **options.params)
        if errand.target is not None:
            write(errand.target, _drawn(client, kind, options, content))
        return Told(result, errand.target)
    finally:
        advance()


def _drawn(client: Sightline, kind: Format, options: Namespace, content: Path | bytes) -> bytes:
    params: dict[str, Any] = options.params
    if options.task == "stylize":
        styles: list[Style] = options.styles
        return client.stylize(content, styles, format=kind, **params)
    params = {name: value for name, value in params.items() if name != "mask"}
    draw: Callable[..., bytes] = getattr(client, f"{options.task}_drawn")
    return draw(content, format=kind, **params)


def _is_hopeless(error: Exception) -> bool:
    """Whether the next picture would fare no better."""
    if isinstance(error, UnreachableError):
        return error.refused
    return isinstance(error, SightlineClientError) and (
        error.status in (401, 403, 404) or error.kind == "bad-parameter"
    )


def _tell(name: str, told: Told, as_json: bool) -> None:
    if as_json:
        out = {} if told.target is None else {"out": str(told.target)}
        result = told.result.model_dump(exclude_unset=True) if told.result else {}
        _print(json.dumps({"file": name, **out, **result}))
        return
    arrow = "" if told.target is None else f" -> {printable(str(told.target))}"
    _print(printable(name) + arrow)
    if told.result is not None:
        for line in lines(told.result):
            _print(f"  {line}")


def _tell_failure(name: str, error: Exception, as_json: bool) -> None:
    reason = str(error)
    if isinstance(error, OSError) and error.strerror:
        reason = error.strerror
        if error.filename is not None and str(error.filename) != name:
            reason += f": {error.filename}"
    _complain(f"{name}: {reason}")
    if as_json:
        problem: dict[str, Any] = {"detail": reason}
        if isinstance(error, SightlineClientError):
            own = ("status", "kind", "title", "detail", "request_id")
            problem = {key: value for key in own if (value := getattr(error, key))}
        _print(json.dumps({"file": name, "error": problem}))


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _complain(text: str) -> None:
    sys.stderr.write(f"sightline: {printable(text)}\n")
