"""Who may ask for what, and how often: API keys, their scopes and limits, before any route."""

from collections.abc import Iterable
from typing import Literal

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.answering import send_problem
from service.errors import ForbiddenError, RateLimitedError, SightlineError, UnauthorizedError
from service.keys import Key, Keys
from service.keys import Scope as KeyScope
from service.rate import Rate, RateLimiter, client_of
from service.request_record import current

Needed = KeyScope | Literal["nothing"]

#: Liveness, readiness and the canary are asked by what cannot keep a secret, and cost next to
#: nothing.
_OPEN = frozenset(
    {"/healthz", "/healthz/inference", "/readyz", "/v2/health/live", "/v2/health/ready"}
)
_DOCS = frozenset({"/docs", "/docs/oauth2-redirect", "/openapi.json"})
_DOCS_BELOW = "/static-offline-docs/"
#: The playground, where a key is entered; what it asks for needs one.
_PAGE, _PAGE_BELOW = "/", "/web/"
_METRICS = "/metrics"
_ADMIN_BELOW = "/v2/repository/"


class Policy:
    """What each path needs. What is not named here needs ``infer``, unknown paths among it."""

    def __init__(self, *, public_docs: bool = True, public_metrics: bool = False) -> None:
        """Decide about the paths that an operator may open."""
        self._docs: Needed = "nothing" if public_docs else "infer"
        self._metrics: Needed = "nothing" if public_metrics else "metrics"

    def needed(self, path: str) -> Needed:
        """The scope a key needs for a path below the application's root."""
        if path in _OPEN or path == _PAGE or path.startswith(_PAGE_BELOW):
            return "nothing"
        if path in _DOCS or path.startswith(_DOCS_BELOW):
            return self._docs
        if path == _METRICS:
            return self._metrics
        return "admin" if path.startswith(_ADMIN_BELOW) else "infer"


class Guard:
    """Lets a request through that has what its path needs, and is not one too many."""

    def __init__(
        self, app: ASGIApp, *, policy: Policy, keys: Keys | None, rate: Rate | None
    ) -> None:
        """Wrap an application.

        Args:
            app: what is guarded.
            policy: what each path needs, if there are keys.
            keys: those that are known; everything is open if None.
            rate: of each key without one of its own, or of each client address without keys.
        """
        self._app, self._policy, self._keys, self._rate = app, policy, keys, rate
        self._limiter = RateLimiter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on or answer it with a problem; its body is not read here."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        needed = self._policy.needed(_path(scope))
        if needed == "nothing":
            await self._app(scope, receive, send)
            return
        try:
            told = self._admit(scope, needed)
        except SightlineError as error:
            await send_problem(error, scope, receive, send)
            return
        if not told:
            await self._app(scope, receive, send)
            return

        async def telling_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *told]
            await send(message)

        await self._app(scope, receive, telling_send)

    def _admit(self, scope: Scope, needed: KeyScope) -> list[tuple[bytes, bytes]]:
        """What the answer's headers tell of the limit; raises what keeps the request out."""
        if self._keys is None:
            client = scope.get("client")
            if self._rate is None or client is None:  # a Unix socket's clients have no address
                return []
            return self._limiter.take(f"address {client_of(client[0])}", self._rate)
        key = _known(self._keys, scope["headers"])
        if record := current.get():
            record.key = key.name
        if needed not in key.scopes:
            raise ForbiddenError(f"the API key {key.name!r} has no scope {needed!r}", needed)
        rate = key.rate or self._rate
        try:
            return self._limiter.take(f"key {key.name}", rate) if rate else []
        except RateLimitedError as error:
            told = f"the API key {key.name!r} has sent {error}"
            raise RateLimitedError(told, error.retry_after_s, error.limit_headers) from None


def _known(keys: Keys, headers: Iterable[tuple[bytes, bytes]]) -> Key:
    presented = _presented(headers)
    if presented is None:
        raise UnauthorizedError(
            "send an API key as 'Authorization: Bearer <key>' or 'X-API-Key: <key>'"
        )
    key = keys.find(presented)
    if key is None:
        raise UnauthorizedError("the API key is not known, or was revoked", presented=True)
    return key


def _presented(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """The key a request came with; X-API-Key counts where both are there."""
    bearer = None
    for name, value in headers:
        if name == b"x-api-key":
            return value.strip()
        if name == b"authorization":
            scheme, _, token = value.partition(b" ")
            if scheme.lower() == b"bearer":
                bearer = token.strip()
    return bearer


def _path(scope: Scope) -> str:
    """The path the routes go by, below where a server in front has mounted the application."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return path[len(root) :] if root and path.startswith(root + "/") else path
