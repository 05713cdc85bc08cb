"""Which of a model's labels a request names."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from service.contract import Manifest
from service.errors import ParameterError

# How much of a stranger's name is shown.
_SHOWN = 64

Classes = Annotated[list[str], Field(max_length=1000)]
"""Labels as a query's parameter, repeated or separated by commas."""


def positions(classes: Sequence[str], manifest: Manifest) -> list[int]:
    """Positions in the model's labels of the classes named, in ascending order.

    Args:
        classes: labels, or several separated by commas; nothing between or after commas is passed
            over. A value that is a label as it stands is not taken apart.
        manifest: of the model.

    Raises:
        ParameterError: a class is not among the labels, or a value names none.
    """
    known = set(manifest.labels)
    names = set[str]()
    for value in classes:
        parts = [value] if value in known else [part.strip() for part in value.split(",")]
        named = {part for part in parts if part}
        if not named:
            raise ParameterError(
                f"classes: {value[:_SHOWN]!r} names no label; GET /models/{manifest.name} lists "
                "them under manifest.labels"
            )
        names |= named
    if strangers := sorted(names - known):
        raise ParameterError(
            f"classes: {strangers[0][:_SHOWN]!r} is no label of model {manifest.name!r}; "
            f"GET /models/{manifest.name} lists them under manifest.labels"
        )
    return [index for index, label in enumerate(manifest.labels) if label in names]
