"""The flags of the commands that ask a running service."""

import argparse
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from service.asking import COMMANDS
from service.client.connection import LOCAL
from service.client.pictures import Style
from service.client.places import FORMATS, PICTURES

_EXAMPLES: Final[Mapping[str, str]] = {
    "classify": """examples:
  sightline classify cat.jpg
  sightline classify photos/ --jobs 8 --json > answers.jsonl    # a folder with all below it
  curl -s https://example.org/cat.jpg | sightline classify - --top-k 1""",
    "detect": """examples:
  sightline detect street.jpg --classes dog,bicycle --threshold 0.6
  sightline detect *.jpg --out boxed/                # pictures with the boxes drawn on them
  sightline detect photos/ --out boxed/ --json       # both; asks twice for each picture""",
    "segment": """examples:
  sightline segment street.jpg
  sightline segment *.jpg --out coloured/            # the pictures, coloured, with a legend
  sightline segment street.jpg --out mask.png        # PNG: the indexed mask
  sightline segment street.jpg --json --mask polygon""",
    "caption": """examples:
  sightline caption park.jpg --num-captions 3
  sightline caption photos/ --json > captions.jsonl""",
    "stylize": """examples:
  sightline stylize photo.jpg --style wave.jpg --out out.jpg         # the style of a picture
  sightline stylize photos/ --style wave --alpha 0.6 --out styled/   # a preset, to 0.6
  sightline stylize photo.jpg --style wave:0.7 --style art.jpg:0.3 --out out.png

A style is a file if there is one of that name, else a preset; GET /styles lists those.""",
}
_ENVIRONMENT: Final = """
SIGHTLINE_URL and SIGHTLINE_API_KEY say where the service is and who asks; in a flag, a key can be
seen by others on the machine. Exits with 1 if a picture failed, 2 if the command is wrong."""


def parse(words: Sequence[str]) -> argparse.Namespace:
    """What ``sightline <task> ...`` asks for; ends the process where it cannot be told.

    Returns:
        ``task``, ``pictures``, ``out`` (None for no file), ``format`` (None for that of ``out``),
        ``styles``, ``json``, ``url``, ``api_key``, ``timeout_s``, ``retries``, ``jobs``, and
        ``params``, what the client's method takes beside the picture.
        ``wants_json`` is whether the service is to answer in JSON though there is ``out``.
    """
    task = words[0]
    parser = argparse.ArgumentParser(
        f"sightline {task}",
        description=f"{COMMANDS[task][0].upper()}{COMMANDS[task][1:]}.",
        epilog=_EXAMPLES[task] + "\n" + _ENVIRONMENT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "pictures",
        nargs="+",
        metavar="PICTURE",
        help="a file, a folder with all below it, a pattern in quotes, or - for standard input",
    )
    params = parser.add_argument_group("what to ask for")
    params.add_argument("--model", metavar="NAME", help="default: that of the service")
    _FLAGS[task](params)
    names = {action.dest for action in params._group_actions} - {"styles"}
    _add_common(parser, draws=task in ("detect", "segment", "stylize"), must=task == "stylize")
    parsed = parser.parse_args(words[1:])
    parsed.task = task
    parsed.styles = getattr(parsed, "styles", [])
    given = {name: getattr(parsed, name) for name in names}
    parsed.params = {name: value for name, value in given.items() if value is not None}
    if parsed.format and not parsed.out:
        parser.error("--format is that of pictures: say where to, --out")
    if parsed.params.get("mask") and not parsed.json:
        parser.error("--mask is for --json; a mask as a picture is --out mask.png")
    if task == "segment" and not parsed.json:
        parsed.params["mask"] = "none"
    parsed.wants_json = parsed.json and task != "stylize"
    return parsed


def _add_common(parser: argparse.ArgumentParser, *, draws: bool, must: bool) -> None:
    output = parser.add_argument_group("output")
    output.add_argument("--json", action="store_true", help="a line of JSON for each picture")
    if draws:
        output.add_argument(
            "-o",
            "--out",
            metavar="PATH",
            required=must,
            help="where pictures go: a folder, or a file for one",
        )
        kinds = sorted(set(FORMATS.values()))
        output.add_argument("--format", choices=kinds, help="default: as --out ends, else jpeg")
    else:
        parser.set_defaults(out=None, format=None)
    service = parser.add_argument_group("the service")
    environment = os.environ
    service.add_argument(
        "--url",
        default=environment.get("SIGHTLINE_URL") or LOCAL,
        help=f"default: SIGHTLINE_URL, or {LOCAL}",
    )
    service.add_argument(
        "--api-key",
        default=environment.get("SIGHTLINE_API_KEY") or None,
        metavar="KEY",
        help="default: SIGHTLINE_API_KEY",
    )
    service.add_argument(
        "--jobs", type=_jobs, default=4, metavar="N", help="pictures at once, 1 to 64; default: 4"
    )
    service.add_argument(
        "--timeout-s",
        type=_positive,
        default=60.0,
        metavar="SECONDS",
        help="for an answer to begin; default: 60",
    )
    service.add_argument(
        "--retries",
        type=_count,
        default=5,
        metavar="N",
        help="for a picture while the service is busy, within a minute; default: 5",
    )


def _classify(params: argparse._ArgumentGroup) -> None:
    params.add_argument("--top-k", type=int, metavar="N", help="most labels; default: 5")
    params.add_argument("--threshold", type=float, metavar="SHARE", help="least score; default: 0")


def _detect(params: argparse._ArgumentGroup) -> None:
    params.add_argument(
        "--threshold", type=float, metavar="SHARE", help="least score; default: the model's"
    )
    params.add_argument(
        "--iou-threshold",
        type=float,
        metavar="SHARE",
        help="overlap of two boxes of one label; default: the model's",
    )
    params.add_argument("--max-detections", type=int, metavar="N", help="default: 100")
    _add_classes(params)


def _segment(params: argparse._ArgumentGroup) -> None:
    _add_classes(params)
    params.add_argument("--min-area", type=int, metavar="PIXELS", help="of a class; default: 0")
    params.add_argument(
        "--mask",
        choices=("rle", "polygon", "png", "none"),
        help="how --json tells a class's mask; default: rle",
    )


def _caption(params: argparse._ArgumentGroup) -> None:
    params.add_argument("--num-captions", type=int, metavar="N", help="default: 1")
    params.add_argument("--max-length", type=int, metavar="WORDS", help="default: the model's")
    params.add_argument(
        "--attention",
        action="store_true",
        default=None,
        help="with --json, where the model looked for each word",
    )


def _stylize(params: argparse._ArgumentGroup) -> None:
    params.add_argument(
        "--style",
        dest="styles",
        action="append",
        type=_style,
        required=True,
        metavar="STYLE[:WEIGHT]",
        help="a file or a preset, repeated for a mixture",
    )
    params.add_argument(
        "--alpha",
        type=float,
        metavar="SHARE",
        help="from 0, the picture's own style, to 1; default: 1",
    )
    params.add_argument(
        "--preserve-color", action="store_true", default=None, help="keep the picture's colours"
    )
    params.add_argument(
        "--max-side",
        type=int,
        metavar="PIXELS",
        help="of the answer's longer side; default: the model's",
    )
    params.add_argument("--quality", type=int, metavar="1-100", help="of JPEG, WebP; default: 90")


_FLAGS: Final[Mapping[str, Callable[[Any], None]]] = {
    "classify": _classify,
    "detect": _detect,
    "segment": _segment,
    "caption": _caption,
    "stylize": _stylize,
}


def _add_classes(params: argparse._ArgumentGroup) -> None:
    params.add_argument(
        "--classes",
        action="append",
        metavar="LABEL[,LABEL]",
        help="only these, repeated or separated by commas",
    )


def _style(text: str) -> Style:
    """A file or a preset, with a weight after the last colon if it has one."""
    if Path(text).is_file():
        return Style(Path(text))
    name, colon, number = text.rpartition(":")
    weight = 1.0
    if colon:
        try:
            weight = float(number)
        except ValueError:
            name = text
        if not 0 <= weight < 10_000:
            raise argparse.ArgumentTypeError(f"the weight {number} is not from 0 to 9999")
    else:
        name = text
    if Path(name).is_file():
        return Style(Path(name), weight)
    if os.sep in name or Path(name).suffix.lower() in PICTURES:
        raise argparse.ArgumentTypeError(f"there is no file {name}")
    return Style(name, weight)


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise ValueError
    return value


def _jobs(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 64:
        raise ValueError
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 0:
        raise ValueError
    return value


# argparse names the type in its complaint
_positive.__name__, _jobs.__name__, _count.__name__ = "positive number", "number of jobs", "count"
