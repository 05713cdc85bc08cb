"""A large answer's way to its client: piece by piece, as fast as the client reads."""

import asyncio
import logging

from fastapi import Response
from starlette.types import Receive, Scope, Send

from service.errors import BusyError
from service.task import Timing
from service.telemetry import Meter
from service.uploads import BodyBudget

log = logging.getLogger(__name__)

#: Bytes the server takes at a time; it waits for the client to have read about as many before.
PIECE = 1 << 16


class Delivery(Response):
    """Sends an answer of many megabytes without handing all of it to the server at once.

    A server keeps what it is handed until the client has read it, if ever. Here the bytes stay in
    the budget of bodies until they are sent, the client is gone or it has stopped reading.
    """

    def __init__(
        self,
        data: bytes,
        media_type: str,
        bodies: BodyBudget,
        meter: Meter,
        timeout_s: float,
        timing: Timing | None = None,
    ) -> None:
        """Nothing is held until it is sent.

        Args:
            data: the answer.
            media_type: its own.
            bodies: in which it must have room.
            meter: of the model that answered.
            timeout_s: seconds the client may take to read a piece.
            timing: what ``Server-Timing`` tells, if the answer itself does not.
        """
        spent = timing.model_dump().items() if timing else ()
        told = ", ".join(f"{stage};dur={ms}" for stage, ms in spent)
        headers = {"Server-Timing": told} if told else {}
        super().__init__(data, headers=headers, media_type=media_type)
        self._bodies, self._meter, self._timeout_s = bodies, meter, timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        """Send the answer; return early where nobody reads it, and the server hangs up.

        Raises:
            BusyError: there is no room for it; nothing has been sent then.
        """
        with self._bodies.body() as take:
            try:
                take(len(self.body))
            except BusyError:
                self._meter.rejected.inc()
                raise
            head = {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
            try:
                async with asyncio.timeout(self._timeout_s):
                    await send(head)
                for start in range(0, len(self.body), PIECE):
                    end = start + PIECE
                    piece = bytes(self.body[start:end])  # a view would keep all of it alive
                    message = {"type": "http.response.body", "body": piece}
                    async with asyncio.timeout(self._timeout_s):
                        await send({**message, "more_body": end < len(self.body)})
                    await asyncio.sleep(0)  # a client that reads at once must not keep others out
            except TimeoutError:
                self._meter.cancelled.inc()
                log.info("a client read nothing for %g s; its answer is dropped", self._timeout_s)
