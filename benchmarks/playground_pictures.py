"""Pictures of the playground for its guide: ``python -m benchmarks.playground_pictures``.

They show samples that the page draws, answered by the shipped models.
"""

import argparse
import io
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from benchmarks.playground import served

_WAIT_MS = 180_000
#: Task, sample and theme of each.
PICTURES = (
    ("classify", "Balloon", "light"),
    ("detect", "Street", "light"),
    ("segment", "Street", "dark"),
    ("caption", "Boat at sea", "dark"),
)


def take(page: Page, task: str, sample: str) -> Image.Image:
    """The page once it has answered."""
    page.get_by_role("tab", name=task.title()).click()
    page.get_by_role("button", name=sample, exact=True).click()
    page.get_by_role("tabpanel").locator(".timings").wait_for()
    if task == "caption":
        page.get_by_role("button", name="boat", exact=True).click()
    page.wait_for_timeout(1000)
    return Image.open(io.BytesIO(page.screenshot()))


def main() -> None:
    """Write them, as WebP, and one of a phone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    with served(given.models) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=given.chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(_WAIT_MS)
        page.goto(address)
        page.get_by_text("models ready").wait_for()
        for task, sample, theme in PICTURES:
            page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
            take(page, task, sample).save(given.out / f"playground-{task}.webp", quality=82)
        page.set_viewport_size({"width": 390, "height": 844})
        take(page, "detect", "Blood cells").save(given.out / "playground-phone.webp", quality=82)
        browser.close()


if __name__ == "__main__":
    main()
