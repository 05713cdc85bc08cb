"""What a client raises, made from what the service or the network said."""

from typing import Final

import httpx
from pydantic import ValidationError

from service.client.results import Problem

_KIND: Final = "urn:sightline:problem:"


class SightlineClientError(Exception):
    """The service did not answer as asked; ``str(error)`` says why.

    Attributes:
        status: the HTTP status; None if there was no answer.
        title: the kind of problem in a few words.
        kind: the same for programs, such as ``too-large``; empty if the service did not tell.
        detail: what went wrong this time.
        request_id: what the service's log has of it; None if not known.
    """

    def __init__(
        self,
        detail: str,
        *,
        status: int | None = None,
        title: str = "",
        kind: str = "",
        request_id: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail, self.status, self.title, self.kind = detail, status, title, kind
        self.request_id = request_id

    def __str__(self) -> str:
        told = self.detail if self.status is None else f"{self.status} {self.title}: {self.detail}"
        return f"{told} (request {self.request_id})" if self.request_id else told


class UnreachableError(SightlineClientError):
    """There was no answer: no connection, a broken one, or it took too long.

    Attributes:
        refused: no connection came about, so that another picture would fare no better.
    """

    def __init__(self, detail: str, *, refused: bool = False) -> None:
        super().__init__(detail)
        self.refused = refused


def error_of(response: httpx.Response) -> SightlineClientError:
    """The error that an answer without success stands for, be it the service's or a proxy's."""
    request_id = response.headers.get("x-request-id")
    try:
        problem = Problem.model_validate_json(response.content)
    except ValidationError:
        asked = response.url.copy_with(userinfo=b"", query=None)
        detail = f"{asked} answered with no problem detail; is that a Sightline service?"
        if response.has_redirect_location:
            detail = f"{asked} has moved to {response.headers['location']}; ask there"
        return SightlineClientError(
            detail,
            status=response.status_code,
            title=response.reason_phrase,
            request_id=request_id,
        )
    return SightlineClientError(
        problem.detail,
        status=response.status_code,
        title=problem.title,
        kind=problem.type.removeprefix(_KIND) if problem.type.startswith(_KIND) else "",
        request_id=problem.request_id or request_id,
    )
