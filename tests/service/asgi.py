"""Requests message by message, from clients that may leave."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI

FAR = 60.0
"""Seconds no test takes."""


class Client:
    """One request, message by message, from a client that may leave."""

    def __init__(
        self,
        app: FastAPI,
        body: bytes,
        content_type: str = "image/png",
        complete: bool = True,
        path: str = "/classify",
        query: str = "",
    ) -> None:
        """Begin the request; unless ``complete``, the rest of its body is still to be sent."""
        self.reads = 0
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self._body = b""
        self._messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": query.encode(),
            "headers": [(b"content-type", content_type.encode())],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
        }
        self.send(body, more=not complete)
        self.done = asyncio.create_task(app(scope, self._receive, self._send))

    def send(self, body: bytes, more: bool = False) -> None:
        self._messages.put_nowait({"type": "http.request", "body": body, "more_body": more})

    def leave(self) -> None:
        self._messages.put_nowait({"type": "http.disconnect"})

    async def _receive(self) -> dict[str, Any]:
        self.reads += 1
        return await self._messages.get()

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {k.decode(): v.decode() for k, v in message["headers"]}
        else:
            self._body += message.get("body", b"")

    async def answer(self) -> Any:
        """What was answered: JSON, or else bytes."""
        await asyncio.wait_for(self.done, FAR)
        return json.loads(self._body) if "json" in self.headers["content-type"] else self._body

    @property
    def nothing_was_read(self) -> bool:
        return self.reads == 0


async def until(condition: Callable[[], object]) -> None:
    """Wait for what a thread is about to do."""
    async with asyncio.timeout(FAR):
        while not condition():
            await asyncio.sleep(0.001)
