"""Options out of their range, refused before anything is read."""


def need(is_met: bool, option: str, what: str, value: object) -> None:
    """Refuse an option that is not what it must be.

    Raises:
        ValueError: names the option, what it must be and what it is.
    """
    if not is_met:
        raise ValueError(f"--{option} must be {what}, not {value}")
