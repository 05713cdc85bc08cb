"""Requests to the service, repeated while it is busy."""

import threading
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, Final

import httpx

import service
from service.client.errors import UnreachableError, error_of
from service.client.pictures import Part
from service.client.retry import Patience, retry_after_s

#: Where a service listens that nobody told otherwise.
LOCAL: Final = "http://127.0.0.1:8000"


class Connection:
    """A pool of connections to one service; for use by several threads at once.

    The arguments are those of ``service.client.Sightline``.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None,
        timeout_s: float,
        patience: Patience,
        connections: int,
    ) -> None:
        address = _address(url)
        if api_key is not None and not (api_key.isascii() and api_key.isprintable()):
            raise ValueError("the API key has characters that no key has")
        headers = {"User-Agent": f"sightline/{service.__version__}"}
        if api_key:
            headers["Authorization"] = f"Bearer {api_key}"
        self._http = httpx.Client(
            base_url=address,
            headers=headers,
            timeout=timeout_s,
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
        )
        self.url = str(address.copy_with(userinfo=b""))
        self._timeout_s = timeout_s
        self._patience = patience
        self.given_up = threading.Event()

    def close(self) -> None:
        """Close the connections, and repeat nothing any more."""
        self.given_up.set()
        self._http.close()

    def ask(
        self,
        method: str,
        path: str,
        accept: str,
        params: dict[str, Any] | None = None,
        parts: Sequence[Part] = (),
    ) -> httpx.Response:
        """Send a request, again if need be; returns the answer with status 200."""
        query = {name: value for name, value in (params or {}).items() if value is not None}
        repeated, waited_s = 0, 0.0
        while True:
            told_s = None
            try:
                with ExitStack() as opened:
                    response = self._http.request(
                        method,
                        path,
                        params=query,
                        files=[each.opened(opened) for each in parts] or None,
                        headers={"Accept": accept},
                    )
                if response.status_code == 200:
                    return response
                error = error_of(response)
                told_s = retry_after_s(response.headers)
                is_passing = response.status_code in (429, 503) and error.kind != "model-unusable"
            except httpx.RequestError as cause:
                error = self._unreachable(cause)
                is_passing = not error.refused and not isinstance(cause, httpx.TimeoutException)
            wait_s = self._patience.wait_s(repeated, waited_s, told_s) if is_passing else None
            if wait_s is None or self.given_up.wait(wait_s):
                raise error
            repeated, waited_s = repeated + 1, waited_s + wait_s

    def _unreachable(self, cause: httpx.RequestError) -> UnreachableError:
        reason = str(cause) or type(cause).__name__
        if isinstance(cause, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError):
            return UnreachableError(
                f"no connection to {self.url} ({reason}); is the service running there?",
                refused=True,
            )
        if isinstance(cause, httpx.TimeoutException):
            return UnreachableError(f"no answer from {self.url} within {self._timeout_s:g} s")
        return UnreachableError(f"the connection to {self.url} broke ({reason})")


def _address(url: str) -> httpx.URL:
    """The service's URL.

    Raises:
        ValueError: it is none of HTTP.
    """
    try:
        address = httpx.URL(url if "://" in url else f"http://{url}")
    except httpx.InvalidURL as error:
        raise ValueError(f"{url!r} is no URL of a service: {error}") from error
    if address.scheme not in ("http", "https") or not address.host:
        raise ValueError(f"{url!r} is no URL of a service, such as {LOCAL}")
    return address
