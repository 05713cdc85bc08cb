"""The commands that ask a running service, known without what they or the service import."""

import sys
from collections.abc import Mapping, Sequence
from typing import Final

#: Their names, and what ``sightline --help`` says of each.
COMMANDS: Final[Mapping[str, str]] = {
    "classify": "ask a running service what pictures show",
    "detect": "ask a running service for objects, or for pictures with their boxes",
    "segment": "ask a running service for the class of every pixel, or for coloured pictures",
    "caption": "ask a running service to describe pictures",
    "stylize": "ask a running service for pictures in the style of others",
}


def run(words: Sequence[str]) -> int:
    """Run ``sightline classify ...`` and the like; returns the exit status."""
    try:
        from service.client import command
    except ModuleNotFoundError as error:
        if error.name != "httpx":
            raise
        sys.stderr.write(
            f"sightline: {words[0]} needs httpx, which is not installed; install Sightline "
            "with its extra 'client', as in: pip install '.[client]'\n"
        )
        return 1
    return command.run(words)
