"""Fixtures: the page on a real server, in a real Chromium, over the tiny models."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "service"))  # for what is no test
sys.path.append(str(Path(__file__).parents[2] / "docs/make"))

from chromium import FLAGS, NAMES, chromium
from fabricate import Tiny, TinyCaptioner, TinyDetector, TinySegmenter, TinyStylizer
from serving import served

from service.settings import Settings

expect.set_options(timeout=20_000)

_CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a browser where there is none."""
    if chromium() is None:
        reason = f"no Chromium ({', '.join(NAMES)} on the PATH, or CHROMIUM); see make chromium"
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=reason))


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
        launched = playwright.chromium.launch(executable_path=chromium(), args=[*FLAGS, *_CAMERA])
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
    """What the browser complains of: failed scripts, what the policy forbids, failed loads."""
    return []


@pytest.fixture
def page(context: BrowserContext, errors: list[str]) -> Page:
    """An empty page whose complaints end up in ``errors``."""
    opened = context.new_page()

    def note(said: str) -> None:
        # A network of the machine came or went, be it a container's: Chromium drops its requests.
        if "ERR_NETWORK_CHANGED" not in said:
            errors.append(said)

    opened.on("console", lambda said: note(said.text) if said.type != "log" else None)
    opened.on("pageerror", lambda error: note(str(error)))
    return opened


@pytest.fixture
def silent(errors: list[str]) -> Iterator[None]:
    """The browser has nothing to complain of."""
    yield
    assert errors == []
