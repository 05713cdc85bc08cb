"""The pictures that the playground draws, as files: what the guide's commands are about.

They are drawn by ``service/web/sample``, in a Chromium without a window, so they belong to nobody
else.
"""

import base64
from collections.abc import Iterable
from typing import Final

from browsing import launched

_DRAW: Final = """async ([name, width, height]) => {
    const drawing = await import(`/web/sample/${name}.js`);
    const canvas = Object.assign(document.createElement("canvas"), { width, height });
    drawing[name](canvas.getContext("2d"), width, height);
    return canvas.toDataURL("image/webp", 0.92);
}"""


def drawn(names: Iterable[str], url: str, size: tuple[int, int] = (640, 480)) -> dict[str, bytes]:
    """Encoded pictures by name, drawn by the page of a running service.

    Args:
        names: of samples of the page.
        url: of the service.
        size: width and height in pixels.

    Raises:
        FileNotFoundError: there is no Chromium.
    """
    with launched() as browser:
        page = browser.new_page()
        page.goto(url)
        given = {name: str(page.evaluate(_DRAW, [name, *size])) for name in names}
    return {name: base64.b64decode(data.partition(",")[2]) for name, data in given.items()}
