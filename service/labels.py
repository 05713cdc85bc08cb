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
        classes: labels, or several separated by commas. A value that is a label as it stands is
            not taken apart at its commas.
        manifest: of the model.

    Raises:
        ParameterError: a class is not among the labels.
    """
    known = set(manifest.labels)
    names = {
        name.strip()
        for value in classes
        for name in ([value] if value in known else value.split(","))
    }
    if strangers := sorted(names - known):
        raise ParameterError(
            f"classes: {strangers[0][:_SHOWN]!r} is no label of model {manifest.name!r}; "
            f"GET /models/{manifest.name} lists them under manifest.labels"
        )
    return [index for index, label in enumerate(manifest.labels) if label in names]
