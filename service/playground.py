"""The page at ``/`` to try the service by hand: its files, and the headers that keep it to itself.

The files lie in ``service/web``. They are read once, at start-up, and only what was read then is
answered with, so no path a client makes up reaches the disk.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import service
from service.errors import NotFoundError
from service.etag import unless_known
from service.settings import Settings

#: What a file of the page is sent as; others in the folder are no part of it.
_MEDIA_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

#: Nothing from elsewhere, nothing inline, no text that becomes markup. ``blob:`` are the pictures
#: that the page itself holds: dropped, drawn, or part of an answer.
_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)

_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of the page.

    Attributes:
        content: its bytes.
        media_type: what they are.
    """

    content: bytes
    media_type: str


def assets(settings: Settings) -> Mapping[str, Asset]:
    """Every file of the page by its path below ``/web/``, and ``limits.json``.

    That one tells the page what would be refused, so that it can say so before a large picture is
    sent: ``version``, ``max_body_bytes``, ``max_pixels`` and ``max_files``.
    """
    limits = {
        "version": service.__version__,
        "max_body_bytes": settings.max_body_bytes,
        "max_pixels": settings.max_pixels,
        "max_files": settings.max_files,
    }
    found = {
        path: Asset(entry.read_bytes(), _MEDIA_TYPES[suffix])
        for path, entry in _walk(files("service") / "web")
        if (suffix := path[path.rfind(".") :]) in _MEDIA_TYPES
    }
    return found | {"limits.json": Asset(json.dumps(limits).encode(), "application/json")}


def routes(settings: Settings) -> list[Route]:
    """The page at ``/`` and its files below ``/web/``, for GET and HEAD; none if it is off."""
    if not settings.playground:
        return []
    known = assets(settings)

    async def page(request: Request) -> Response:
        return _respond(request, known["index.html"])

    async def file(request: Request) -> Response:
        path = request.path_params["path"]
        if path not in known:
            raise NotFoundError("the playground has no such file")
        return _respond(request, known[path])

    return [Route("/", page), Route("/web/{path:path}", file)]


def _walk(folder: Traversable, above: str = "") -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        path = above + entry.name
        if entry.is_dir():
            yield from _walk(entry, f"{path}/")
        else:
            yield path, entry


def _respond(request: Request, asset: Asset) -> Response:
    """The file, or 304 to a client that has it; its name stays when its content changes."""
    response = unless_known(request, asset.content, asset.media_type)
    response.headers.update(_HEADERS)
    return response
