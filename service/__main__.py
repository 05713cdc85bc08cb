"""The ``sightline`` command, and ``python -m service``, which is the same."""

import sys
from collections.abc import Sequence

from service import asking


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status.

    A client is not to wait for what only a service imports, nor to need it installed.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    if words and words[0] in asking.COMMANDS:
        return asking.run(words)
    from service import cli

    return cli.main(words)


if __name__ == "__main__":
    sys.exit(main())
