"""How soon an answer is on screen once its last byte is there: the playground in a real Chromium.

``python -m benchmarks.playground`` serves the models, drops pictures onto the page and prints for
each task the time from the response's last byte (Resource Timing's ``responseEnd``) until after the
frame that shows the answer.
"""

import argparse
import io
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles

import numpy as np
from PIL import Image
from playwright.sync_api import Page, sync_playwright

TASKS = ("classify", "detect", "segment", "caption")
_WAIT_MS = 120_000


@contextmanager
def served(models: Path) -> Iterator[str]:
    """``sightline serve`` in a process of its own; its address."""
    command = [sys.executable, "-m", "service", "serve", "--port", "0", "--models", str(models)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if found := re.search(r"running on (http://\S+)", line):
                yield f"{found[1]}/"
                return
        raise RuntimeError("the service did not start")
    finally:
        process.terminate()
        process.wait()


def photos(count: int, side: int) -> Iterator[bytes]:
    """Different JPEGs of smooth noise, ``side`` x 3/4 ``side`` pixels."""
    numbers = np.random.default_rng(0)
    for _ in range(count):
        coarse = Image.fromarray(numbers.integers(0, 256, (12, 16, 3), np.uint8))
        buffer = io.BytesIO()
        coarse.resize((side, side * 3 // 4), Image.Resampling.BICUBIC).save(buffer, "JPEG")
        yield buffer.getvalue()


def drop(page: Page, data: bytes) -> None:
    """Drop a JPEG onto the page."""
    transfer = page.evaluate_handle(
        """bytes => {
            const transfer = new DataTransfer();
            const file = new File([new Uint8Array(bytes)], "photo.jpg", { type: "image/jpeg" });
            transfer.items.add(file);
            return transfer;
        }""",
        list(data),
    )
    page.dispatch_event("#finder", "drop", {"dataTransfer": transfer})


def measure(page: Page, task: str, pictures: Sequence[bytes]) -> list[float]:
    """Milliseconds from the last byte to the screen, for each picture."""
    page.evaluate("performance.clearMeasures()")
    page.get_by_role("tab", name=task.title()).click()
    for number, picture in enumerate(pictures, 1):
        drop(page, picture)
        for _ in range(_WAIT_MS // 50):
            spent: list[float] = page.evaluate(
                "performance.getEntriesByName('sightline:shown').map(each => each.duration)"
            )
            if len(spent) >= number:
                break
            page.wait_for_timeout(50)
    return spent


def main() -> None:
    """Print a line for each task."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    parser.add_argument("--pictures", type=int, default=20)
    parser.add_argument("--side", type=int, default=1600)
    given = parser.parse_args()
    pictures = list(photos(given.pictures, given.side))
    with served(given.models) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=given.chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(_WAIT_MS)
        page.goto(address)
        page.get_by_text("models ready").wait_for()
        print(f"{'task':<10} {'median':>8} {'p95':>8} {'worst':>8}   ms, {len(pictures)} pictures")
        for task in TASKS:
            spent = measure(page, task, pictures)
            late = quantiles(spent, n=20)[-1]
            print(f"{task:<10} {median(spent):8.1f} {late:8.1f} {max(spent):8.1f}")
        browser.close()


if __name__ == "__main__":
    main()
