"""``python -m service.probe``: is the service of this container ready?

What a container's health check runs, every few seconds and beside the service: so it loads
nothing but the standard library, and takes tens of milliseconds where ``sightline`` takes seconds.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection, HTTPException

_ANY = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}
_DETAIL = 2000
TIMEOUT_S = 4.0
"""Seconds an answer may take; a health check's own timeout should be longer."""


def address(environment: Mapping[str, str]) -> tuple[str, int]:
    """Where the service of this environment listens, as its settings say.

    Raises:
        ValueError: ``SIGHTLINE_PORT`` is no number.
    """
    host = environment.get("SIGHTLINE_HOST", "")
    return _ANY.get(host, host), int(environment.get("SIGHTLINE_PORT") or 8000)


def probe(host: str, port: int, path: str = "/readyz") -> tuple[bool, str]:
    """Ask once; returns whether the answer was 200, and what it said."""
    connection = HTTPConnection(host, port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        said = response.read(_DETAIL).decode(errors="replace")
    except (OSError, HTTPException) as error:
        return False, f"no answer from {host}:{port}: {error or type(error).__name__}"
    finally:
        connection.close()
    return response.status == 200, f"{response.status} {said}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the answer of a path, ``/readyz`` unless another is given; 0 if it was 200, else 1."""
    paths = sys.argv[1:] if arguments is None else arguments
    try:
        host, port = address(os.environ)
    except ValueError as error:
        print(f"SIGHTLINE_PORT: {error}")
        return 1
    healthy, said = probe(host, port, *paths[:1])
    print(said)
    return 0 if healthy else 1


if __name__ == "__main__":
    sys.exit(main())
