"""Make the pictures of docs/playground.md: ``python docs/make/playground_pictures.py [NAME...]``.

The page of the real service is used in a Chromium without a window, on pictures it draws itself.
"""

import io
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from browsing import launched
from PIL import Image
from playwright.sync_api import Browser, Locator
from real_service import ROOT, serving

OUT: Final = ROOT / "docs/pictures"
_WAIT_MS: Final = 60_000


def _nothing(_: Locator) -> None:
    """The answer is enough."""


def _glass(panel: Locator) -> None:
    panel.get_by_role("button", name="Pieces of coloured glass").click()


def _boat(panel: Locator) -> None:
    panel.get_by_role("button", name="boat", exact=True).first.click()


@dataclass(frozen=True, slots=True)
class Scene:
    """What one does on the page, and how large it is.

    Attributes:
        task: whose tab is open.
        sample: that is pressed.
        act: what is done in the task's panel after that.
        size: of the page, in pixels.
    """

    task: str
    sample: str
    act: Callable[[Locator], None] = _nothing
    size: tuple[int, int] = (1280, 860)


SCENES: Final = {
    "detect": Scene("detect", "Street"),
    "classify": Scene("classify", "Balloon"),
    "segment": Scene("segment", "Street"),
    "caption": Scene("caption", "Boat at sea", _boat),
    "stylize": Scene("stylize", "Boat at sea", _glass),
    "phone": Scene("detect", "Blood cells", size=(412, 860)),
}
"""By what the picture's file is called after ``playground-``."""


def shot(browser: Browser, address: str, scene: Scene) -> Image.Image:
    """The page once the scene's answer is on it."""
    width, height = scene.size
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme="light")
    page.set_default_timeout(_WAIT_MS)
    page.goto(f"{address}/#{scene.task}", wait_until="networkidle")
    page.locator("#status", has_text=re.compile(r"\d models? ready")).wait_for(state="attached")
    page.get_by_role("button", name=scene.sample).click()
    panel = page.get_by_role("tabpanel")
    scene.act(panel)
    panel.locator(".timings").wait_for()
    page.evaluate("scrollTo(0, 0)")
    encoded = page.screenshot(animations="disabled")
    page.close()
    return Image.open(io.BytesIO(encoded)).convert("RGB")


def main(names: list[str]) -> None:
    """Write the pictures of these names, or all."""
    unknown = sorted(set(names) - SCENES.keys())
    if unknown:
        sys.exit(f"there is no scene {unknown[0]}; there are: {', '.join(SCENES)}")
    with launched() as browser, serving() as (address, client):
        client.models()
        for name in names or SCENES:
            path = OUT / f"playground-{name}.webp"
            shot(browser, address, SCENES[name]).save(path, quality=82, method=6)
            print(f"{path.name}  {path.stat().st_size / 1024:.0f} KB")


if __name__ == "__main__":
    main(sys.argv[1:])
