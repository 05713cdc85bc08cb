"""Sheets of pictures to judge styles by eye."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from training.data.style_pictures import FixedPairs
from training.nets.style.stylizer import Stylizer
from training.run import replacing
from training.tasks.stylize.metrics import stylized

_GAP, _LINE = 4, 14


def sheet(net: Stylizer, pairs: FixedPairs, path: Path, count: int) -> None:
    """Draw contents, styles and what a network makes of them.

    Args:
        net: in evaluation mode.
        pairs: of which the first are shown.
        path: of the picture to write, whole or not at all; its suffix says the format.
        count: how many to show at most.
    """
    device = next(net.parameters()).device
    rows = []
    for at in range(min(count, len(pairs))):
        pair = pairs[at]
        made = stylized(net, pair.content[None].to(device), pair.style[None].to(device))
        rows.append([pair.content.numpy(), pair.style.numpy(), made[0].cpu().numpy()])
    draw(("content", "style", "network"), rows, path)


def draw(titles: Sequence[str], rows: Sequence[Sequence[NDArray[np.uint8]]], path: Path) -> None:
    """Draw rows of pictures under their titles.

    Args:
        titles: of the columns.
        rows: of pictures ``uint8[S, S, 3]``, all of one size, one for each title.
        path: of the picture to write, whole or not at all; its suffix says the format.
    """
    height, width = rows[0][0].shape[:2]
    size = (len(titles) * (width + _GAP), _LINE + len(rows) * (height + _GAP))
    whole = Image.new("RGB", size, "white")
    canvas = ImageDraw.Draw(whole)
    for column, title in enumerate(titles):
        canvas.text((column * (width + _GAP) + 2, 1), title, fill="black")
    for row, pictures in enumerate(rows):
        for column, picture in enumerate(pictures):
            place = (column * (width + _GAP), _LINE + row * (height + _GAP))
            whole.paste(Image.fromarray(picture), place)
    with replacing(path) as temporary:
        whole.save(temporary, quality=92)
