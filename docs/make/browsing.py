"""A Chromium without a window, to draw with and to look at pages."""

from collections.abc import Iterator
from contextlib import contextmanager

from chromium import FLAGS, chromium
from playwright.sync_api import Browser, sync_playwright


@contextmanager
def launched() -> Iterator[Browser]:
    """Yield it.

    Raises:
        FileNotFoundError: there is no Chromium.
    """
    found = chromium()
    if found is None:
        raise FileNotFoundError("no Chromium on the PATH nor in CHROMIUM; see make chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()
