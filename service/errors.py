"""Every error the service answers with, and the one handler that turns it into an answer.

::

    SightlineError                        500
    ├── RequestError                      400  the request is malformed
    │   ├── DisabledError                 403  a setting does not allow it
    │   ├── NotFoundError                 404  no such model
    │   ├── NotAcceptableError            406  no media type of the answer is accepted
    │   ├── BodyTimeoutError              408  the body did not arrive in time
    │   ├── TooLargeError                 413  more bytes, pixels, frames or files than allowed
    │   ├── UnsupportedMediaError         415  a Content-Type the endpoint does not take
    │   ├── UnsupportedImageError         415  not an image format we read
    │   ├── UndecodableImageError         422  an image by its header, but damaged
    │   ├── UnusableImageError            422  an image that the model can make nothing of
    │   └── ParameterError                422  a parameter is out of range or unknown
    ├── UnauthorizedError                 401  no API key, or an unknown one
    ├── ForbiddenError                    403  an API key that may not do this
    ├── RateLimitedError                  429  more requests than the limit; carries Retry-After
    ├── BusyError                         429  the queue is full; carries Retry-After
    ├── ClientGoneError                   499  the client left; nobody reads this answer
    ├── InferenceError                    500  the model failed on this input
    │   ├── OutOfMemoryError              503  a run found too little memory; carries Retry-After
    │   └── DeviceLostError               503  the device failed; nothing runs there any more
    ├── NotReadyError                     503  the model is not loaded or the service is stopping
    │   └── RecoveringError               503  the model's sessions are being opened again
    ├── LateError                         504  the deadline passed
    ├── KeysError                         (start-up) the file of API keys cannot be used
    ├── TracingError                      (start-up) traces are asked for and cannot be sent
    └── ModelError                        422  a model folder cannot be served
        ├── ManifestError                 manifest.json breaks the contract
        ├── GraphError                    a graph does not match its manifest, or cannot run
        └── DeviceError                   the requested device is not there

Answers are problem details as in RFC 9457, media type ``application/problem+json``.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.request_record import current

PROBLEM_JSON = "application/problem+json"


class Problem(BaseModel):
    """A problem detail (RFC 9457)."""

    model_config = ConfigDict(extra="forbid")

    type: str = Field(description="Identifies the kind of problem; stable across releases.")
    title: str = Field(description="The kind of problem in a few words.")
    status: int = Field(description="The HTTP status code.")
    detail: str = Field(description="What went wrong this time, and what to do about it.")
    request_id: str | None = Field(
        None, description="The request's `X-Request-ID`, which the service's log has as well."
    )
    error: str | None = Field(
        None,
        description="The detail once more, where clients of other services look for it: below "
        "`/v2`, `/hf` and `/v1` only.",
    )
    success: Literal[False] | None = Field(None, description="As `error`.")

    def to_json(self) -> bytes:
        """The document to send; what is not known is left out."""
        return self.model_dump_json(exclude_none=True).encode()

    def for_other_clients(self) -> "Problem":
        """The same, with the members that clients made for other services read."""
        return self.model_copy(update={"error": self.detail, "success": False})


class SightlineError(Exception):
    """Root of the tree. ``str(error)`` is the detail shown to the client."""

    status: ClassVar[int] = 500
    kind: ClassVar[str] = "internal-error"
    title: ClassVar[str] = "Internal error"

    @property
    def headers(self) -> Mapping[str, str]:
        """HTTP headers that belong to the answer."""
        return {}

    def problem(self) -> Problem:
        """The problem detail that describes this error to a client."""
        return problem(self.status, str(self), kind=self.kind, title=self.title)


class RequestError(SightlineError):
    """The request is malformed."""

    status = 400
    kind = "bad-request"
    title = "Malformed request"


class DisabledError(RequestError):
    """A setting does not allow it."""

    status = 403
    kind = "disabled"
    title = "Disabled by a setting"


class NotFoundError(RequestError):
    """No such model."""

    status = 404
    kind = "not-found"
    title = "Not found"


class NotAcceptableError(RequestError):
    """The answer comes in none of the media types the client accepts."""

    status = 406
    kind = "not-acceptable"
    title = "Not acceptable"

    @property
    def headers(self) -> Mapping[str, str]:
        """``Vary: Accept``, since another Accept may be answered."""
        return {"Vary": "Accept"}


class BodyTimeoutError(RequestError):
    """The body did not arrive in time."""

    status = 408
    kind = "body-timeout"
    title = "Request body timed out"

    @property
    def headers(self) -> Mapping[str, str]:
        """``Connection: close``, since the rest of the body may still come."""
        return {"Connection": "close"}


class TooLargeError(RequestError):
    """More bytes, pixels, frames or files than the limits allow."""

    status = 413
    kind = "too-large"
    title = "Too large"


class UnsupportedMediaError(RequestError):
    """A Content-Type the endpoint does not take."""

    status = 415
    kind = "unsupported-media-type"
    title = "Unsupported media type"


class UnsupportedImageError(RequestError):
    """Not an image format we read."""

    status = 415
    kind = "unsupported-image"
    title = "Unsupported image"


class UndecodableImageError(RequestError):
    """An image by its header, but damaged or of a pixel type we do not read."""

    status = 422
    kind = "undecodable-image"
    title = "Undecodable image"


class UnusableImageError(RequestError):
    """An image that decodes, but that the model can make nothing of."""

    status = 422
    kind = "unusable-image"
    title = "Unusable image"


class ParameterError(RequestError):
    """A parameter is unknown, of the wrong type or out of range."""

    status = 422
    kind = "bad-parameter"
    title = "Bad parameter"


class UnauthorizedError(SightlineError):
    """The request has no API key, or one that is not known."""

    status = 401
    kind = "unauthorized"
    title = "API key required"

    def __init__(self, detail: str, *, presented: bool = False) -> None:
        super().__init__(detail)
        self._challenge = 'Bearer realm="sightline"' + ', error="invalid_token"' * presented

    @property
    def headers(self) -> Mapping[str, str]:
        """``WWW-Authenticate`` as in RFC 6750."""
        return {"WWW-Authenticate": self._challenge}


class ForbiddenError(SightlineError):
    """The API key lacks the scope that is needed."""

    status = 403
    kind = "forbidden"
    title = "Not allowed with this API key"

    def __init__(self, detail: str, scope: str) -> None:
        super().__init__(detail)
        self.scope = scope

    @property
    def headers(self) -> Mapping[str, str]:
        """``WWW-Authenticate`` as in RFC 6750."""
        challenge = f'Bearer realm="sightline", error="insufficient_scope", scope="{self.scope}"'
        return {"WWW-Authenticate": challenge}


class RateLimitedError(SightlineError):
    """The API key, or the client's address, has sent more requests than its limit."""

    status = 429
    kind = "rate-limited"
    title = "Rate limit exceeded"

    def __init__(
        self, detail: str, retry_after_s: int, limit_headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.retry_after_s, self.limit_headers = retry_after_s, limit_headers or {}

    @property
    def headers(self) -> Mapping[str, str]:
        """``Retry-After`` in whole seconds, and what the limit is."""
        return {"Retry-After": str(self.retry_after_s), **self.limit_headers}


class BusyError(SightlineError):
    """The queue is full."""

    status = 429
    kind = "busy"
    title = "Too many requests"

    def __init__(self, detail: str, retry_after_s: int = 1) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s

    @property
    def headers(self) -> Mapping[str, str]:
        """``Retry-After`` in whole seconds."""
        return {"Retry-After": str(self.retry_after_s)}


class ClientGoneError(SightlineError):
    """The client closed the connection; nobody reads this answer."""

    status = 499
    kind = "client-gone"
    title = "Client closed the connection"


class InferenceError(SightlineError):
    """The model failed on this input."""

    kind = "inference-failed"
    title = "Inference failed"


class OutOfMemoryError(InferenceError):
    """A run found too little memory; later there may be enough."""

    status = 503
    kind = "out-of-memory"
    title = "Out of memory"

    @property
    def headers(self) -> Mapping[str, str]:
        """``Retry-After`` in whole seconds."""
        return {"Retry-After": "1"}


class DeviceLostError(InferenceError):
    """The device failed in a way that outlasts the run: this process runs nothing there again."""

    status = 503
    kind = "device-lost"
    title = "Device lost"

    @property
    def headers(self) -> Mapping[str, str]:
        """``Retry-After`` in whole seconds."""
        return {"Retry-After": "5"}


class NotReadyError(SightlineError):
    """The model is not loaded, or the service is stopping."""

    status = 503
    kind = "not-ready"
    title = "Not ready"

    @property
    def headers(self) -> Mapping[str, str]:
        """``Retry-After`` in whole seconds."""
        return {"Retry-After": "1"}


class RecoveringError(NotReadyError):
    """The model's sessions broke and are being opened again."""

    kind = "recovering"
    title = "Recovering"

    def __init__(self, detail: str, retry_after_s: int) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s

    @property
    def headers(self) -> Mapping[str, str]:
        """``Retry-After`` in whole seconds."""
        return {"Retry-After": str(self.retry_after_s)}


class LateError(SightlineError):
    """The request's deadline passed before an answer was there."""

    status = 504
    kind = "late"
    title = "Deadline passed"


class KeysError(SightlineError):
    """The file of API keys cannot be used."""


class TracingError(SightlineError):
    """The environment asks for traces that cannot be sent."""


class ModelError(SightlineError):
    """A model folder cannot be served; the answer to who asked for it to be loaded."""

    status = 422
    kind = "model-unusable"
    title = "Model cannot be served"


class ManifestError(ModelError):
    """``manifest.json`` breaks the contract."""


class GraphError(ModelError):
    """A graph does not match its manifest, or cannot run."""


class DeviceError(ModelError):
    """The requested device is not there."""


def problem(
    status: int, detail: str, *, kind: str | None = None, title: str | None = None
) -> Problem:
    """Build a problem detail of the request in work.

    Without ``kind`` the status alone says what happened.
    """
    request = current.get()
    return Problem(
        type=f"urn:sightline:problem:{kind}" if kind else "about:blank",
        title=title or HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        request_id=request.id if request is not None else None,
    )
