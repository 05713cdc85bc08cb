"""The command that makes a model again, as its card tells it."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from training.files import is_remote

#: Where things lie on one machine, or what it can hold, says nothing about how a model is made.
_LOCAL = ("--run", "--out", "--downloads", "--features", "--memory-mib", "--workers")
#: What names data: of a path the last part is told.
_FOLDERS = ("--data", "--content", "--styles")
_LOCAL_FLAGS = ("--resume", "--no-resume", "--export")


def made_by(arguments: Sequence[str]) -> str:
    """The command of a model card: without what concerns one machine only.

    Of paths the last part is kept, so that no folder of the machine is told.
    """
    kept = ["sightline-train"]
    option = ""
    for argument in arguments:
        if argument.startswith("--"):
            option, is_whole, value = argument.replace("_", "-").partition("=")
            value = argument.partition("=")[2]
            if option in _LOCAL or option in _LOCAL_FLAGS:
                continue
            kept.append(f"{option}={_told(option, value)}" if is_whole else option)
        elif option not in _LOCAL:
            kept.append(_told(option, argument))
    return shlex.join(kept)


def told_weights(locator: str | None) -> str | None:
    """Weights as a card may name them: of a path the last part."""
    if locator is None or is_remote(locator):
        return locator
    return Path(locator).name


def _told(option: str, value: str) -> str:
    """A value as a card may tell it."""
    is_path = option in _FOLDERS or Path(value).is_absolute() or value.startswith(("./", "../"))
    return Path(value).name if is_path and Path(value).name not in ("", "..") else value
