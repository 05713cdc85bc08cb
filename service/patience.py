"""Blocking work in a thread that nobody has to wait for."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")


async def in_thread(work: Callable[[], Value], name: str) -> Value:
    """Do blocking work off the event loop, and give what it returns or raises.

    Unlike an executor's, the thread is left to itself when the waiting is cancelled, and does not
    keep the process from ending.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Value] = loop.create_future()

    def settle(value: Value | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(value)  # type: ignore[arg-type]

    def run() -> None:
        value, error = None, None
        try:
            value = work()
        except BaseException as raised:
            error = raised
        with contextlib.suppress(RuntimeError):  # the event loop is closed: nobody waits
            loop.call_soon_threadsafe(settle, value, error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await future


async def finishes(work: Callable[[], object], name: str, patience_s: float | None) -> bool:
    """Do blocking work in a thread; whether it was done within ``patience_s`` seconds, if any."""
    try:
        async with asyncio.timeout(patience_s):
            await in_thread(work, name)
    except TimeoutError:
        return False
    return True
