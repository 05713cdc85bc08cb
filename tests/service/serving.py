"""A real server in this process, for tests whose client is another program."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from service.app import create_app
from service.settings import Settings

FAR = 60.0
"""Seconds nothing here takes."""


@contextmanager
def served(settings: Settings) -> Iterator[str]:
    """A server in a thread of its own.

    Yields:
        Its address, once it is ready.
    """
    app = create_app(settings)
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, log_config=None, access_log=False, loop="uvloop", ws="none")
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        deadline = time.monotonic() + FAR
        while not (server.started and app.state.sightline.registry.ready):
            assert thread.is_alive()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.should_exit = True
        thread.join(FAR)
