"""Fixtures: the page on a real server, in a real Chromium, over the tiny models."""

import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "service"))  # for fabricate, which is no test
sys.path.insert(0, str(Path(__file__).parent))  # for finder, which is no test either

from fabricate import Tiny, TinyCaptioner, TinyDetector, TinySegmenter, TinyStylizer

from service.app import create_app
from service.settings import Settings

FAR = 60.0
"""Seconds nothing here takes."""

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = [
    "--no-sandbox",  # as root in a container there is none to be had
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]


def chromium() -> str | None:
    """Where Chromium is: ``CHROMIUM`` in the environment, or on the PATH."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a browser where there is none."""
    if chromium() is None:
        reason = f"no Chromium ({', '.join(NAMES)} on the PATH, or CHROMIUM); see make chromium"
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=reason))


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


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model of every task, and a second classifier that reads digits."""
    root = tmp_path_factory.mktemp("models")
    for tiny in (
        Tiny(),
        Tiny(name="digits", labels=tuple("0123456789"), default=False),
        TinyDetector(),
        TinySegmenter(),
        TinyCaptioner(),
        TinyStylizer(side=256),
    ):
        tiny.write(root)
    return root


@pytest.fixture(scope="module")
def site(models: Path) -> Iterator[str]:
    """The address of a server with all tasks; small limits, so that they are soon passed."""
    with served(Settings(models=models, max_pixels=1_000_000, max_body_mib=1, cpus=2)) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium without a window."""
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium(), args=_FLAGS)
        yield launched
        launched.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A profile of its own, as wide as a desk."""
    opened = browser.new_context(viewport={"width": 1280, "height": 860})
    opened.set_default_timeout(20_000)
    yield opened
    opened.close()


@pytest.fixture
def errors() -> list[str]:
    """What the browser complained of: scripts that failed, what the policy forbids, failed loads."""
    return []


@pytest.fixture
def page(context: BrowserContext, errors: list[str]) -> Page:
    """An empty page whose complaints end up in ``errors``."""
    opened = context.new_page()
    opened.on("console", lambda said: errors.append(said.text) if said.type != "log" else None)
    opened.on("pageerror", lambda error: errors.append(str(error)))
    return opened


@pytest.fixture
def silent(errors: list[str]) -> Iterator[None]:
    """The browser has nothing to complain of."""
    yield
    assert errors == []
