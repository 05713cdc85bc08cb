"""What one does with the page, and what is seen on it."""

import io
import re

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import FilePayload, Locator, Page, expect

TASKS = ("Classify", "Detect", "Segment", "Caption", "Stylize")


def halves(width: int = 64, height: int = 48) -> Image.Image:
    """A picture whose left half is red and whose right half is blue."""
    picture = Image.new("RGB", (width, height), (255, 0, 0))
    picture.paste((0, 0, 255), (width // 2, 0, width, height))
    return picture


def png(picture: Image.Image) -> bytes:
    """A picture as a file's bytes."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def sized(width: int, height: int) -> str:
    """A size as the page tells it."""
    return f"{width} \u00d7 {height}"


def open_page(page: Page, address: str) -> None:
    """Open the page, anew if Chromium dropped some of its files.

    It does so whenever a network of the machine comes or goes, be it a container's.
    """
    dropped: list[str] = []
    page.on("requestfailed", lambda request: dropped.append(request.url))
    page.goto(address, wait_until="networkidle")
    for _ in range(3):
        if not dropped:
            break
        dropped.clear()
        page.reload(wait_until="networkidle")


def visit(page: Page, site: str, task: str = "Classify") -> None:
    """Open the page at a task and wait until it knows the models."""
    open_page(page, f"{site}#{task.lower()}")
    expect(page.locator("#status")).to_have_text(re.compile(r"\d models? ready"))


def give(page: Page, data: bytes, name: str = "halves.png", kind: str = "image/png") -> None:
    """Choose a file."""
    page.set_input_files("#file", FilePayload(name=name, mimeType=kind, buffer=data))


def panel(page: Page) -> Locator:
    """The panel of the task that is open."""
    return page.get_by_role("tabpanel")


def answered(page: Page) -> Locator:
    """The open task's panel, once an answer is in it."""
    expect(panel(page).locator(".timings")).to_be_visible()
    return panel(page)


def call(page: Page) -> str:
    """The call on screen."""
    return page.locator("#call").inner_text()


def overlay(page: Page) -> NDArray[np.uint8]:
    """What lies over the picture, ``uint8[60,80,4]``: a pixel of every so many."""
    pixels: list[int] = page.locator("#overlay").evaluate(
        """canvas => {
            const context = new OffscreenCanvas(80, 60).getContext("2d");
            context.imageSmoothingEnabled = false;
            context.drawImage(canvas, 0, 0, 80, 60);
            return Array.from(context.getImageData(0, 0, 80, 60).data);
        }"""
    )
    return np.array(pixels, np.uint8).reshape(60, 80, 4)


def drop(page: Page, data: bytes, name: str, kind: str = "image/png") -> None:
    """Drop a file onto the finder."""
    transfer = page.evaluate_handle(
        """([data, name, type]) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(data)], name, { type }));
            return transfer;
        }""",
        [list(data), name, kind],
    )
    page.dispatch_event("#finder", "drop", {"dataTransfer": transfer})
