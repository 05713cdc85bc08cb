"""Options out of their range, refused before anything is read."""

import re

#: Of a model, as ``service.contract.Manifest`` has it.
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def need(is_met: bool, option: str, what: str, value: object) -> None:
    """Refuse an option that is not what it must be.

    Raises:
        ValueError: names the option, what it must be and what it is.
    """
    if not is_met:
        raise ValueError(f"--{option} must be {what}, not {value}")


def need_name(name: str) -> None:
    """Refuse what cannot be the name of a model.

    Raises:
        ValueError: says what a name is.
    """
    need(
        bool(_NAME.fullmatch(name)),
        "name",
        "small letters, digits, '.', '_' and '-', 64 at most, and begin with a letter or digit",
        repr(name),
    )
