"""Draw a way through the code, from top to bottom, as SVG that reads in light and in dark.

Stages stand in one column, narrow enough for a phone. A band at the left tells what they run in, an
arrow to the right what leaves the way there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final
from xml.sax.saxutils import escape

_WIDTH, _MARGIN = 680, 16
_BAND, _BOX, _OUT = 30, 410, 196
_GAP, _LINE, _PAD = 18, 18, 12
_STYLE: Final = """
  svg { color-scheme: light dark }
  .paper { fill: #ffffff } .box { fill: #f4f6fa; stroke: #8a94a6 } .arrow { stroke: #5b6577 }
  .tip { fill: #5b6577 } text { fill: #1d2433 } .file { fill: #2f5ea8 } .quiet { fill: #4d5768 }
  .band0 { fill: #dbe7fb } .band1 { fill: #e3f2dc } .band2 { fill: #fbe6d0 }
  .band3 { fill: #eee1f7 }
  @media (prefers-color-scheme: dark) {
    .paper { fill: #16181d } .box { fill: #20242c; stroke: #6f7a8d } .arrow { stroke: #9aa5b8 }
    .tip { fill: #9aa5b8 } text { fill: #e8ebf2 } .file { fill: #8fb8ff } .quiet { fill: #b3bccb }
    .band0 { fill: #223a63 } .band1 { fill: #234a2a } .band2 { fill: #5a3a1a }
    .band3 { fill: #46305c }
  }
  text { font: 14px system-ui, -apple-system, "Segoe UI", sans-serif }
  .title { font-weight: 600 } .file { font: 12.5px ui-monospace, Menlo, Consolas, monospace }
  .quiet { font-size: 13px }
"""


@dataclass(frozen=True)
class Stage:
    """One step of the way.

    Attributes:
        where: what it runs in; the same word for neighbours makes one band.
        title: what happens.
        files: that do it, from the root of the repository.
        words: lines about it, of some 60 characters.
        leaves: lines about what leaves the way here: refusals, files.
    """

    where: str
    title: str
    files: str
    words: tuple[str, ...] = ()
    leaves: tuple[str, ...] = ()

    @property
    def height(self) -> int:
        """Of its box, in pixels."""
        lines = max(2 + len(self.words), len(self.leaves))
        return lines * _LINE + 2 * _PAD - 4


def draw(title: str, description: str, stages: Sequence[Stage]) -> str:
    """The SVG of a way.

    Args:
        title: what a screen reader calls it.
        description: the way in a sentence or two, for those who do not see it.
        stages: from first to last.
    """
    tops, bottom = [], _MARGIN
    for stage in stages:
        tops.append(bottom)
        bottom += stage.height + _GAP
    height = bottom - _GAP + _MARGIN
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}"'
        f' width="{_WIDTH}" height="{height}" role="img" aria-labelledby="title description">',
        f'<title id="title">{escape(title)}</title>',
        f'<desc id="description">{escape(description)}</desc>',
        f"<style>{_STYLE}</style>",
        f'<rect class="paper" width="{_WIDTH}" height="{height}" rx="8"/>',
        *_bands(stages, tops),
    ]
    for place, (stage, top) in enumerate(zip(stages, tops, strict=True)):
        drawn += _stage(stage, top)
        if place:
            drawn += _arrow(_MARGIN + _BAND + 60, top - _GAP, 0, _GAP)
    return "\n".join([*drawn, "</svg>", ""])


def _bands(stages: Sequence[Stage], tops: Sequence[int]) -> list[str]:
    kinds = list(dict.fromkeys(stage.where for stage in stages))
    drawn = []
    for where, group in groupby(zip(stages, tops, strict=True), lambda pair: pair[0].where):
        members = list(group)
        top = members[0][1]
        height = members[-1][1] + members[-1][0].height - top
        middle = (_MARGIN + 19, top + height / 2)
        drawn += [
            f'<rect class="band{kinds.index(where) % 4}" x="{_MARGIN}" y="{top}"'
            f' width="{_BAND - 2}" height="{height}" rx="4"/>',
            f'<text class="quiet" text-anchor="middle" x="{middle[0]}" y="{middle[1]:g}"'
            f' transform="rotate(-90 {middle[0]} {middle[1]:g})">{escape(where)}</text>',
        ]
    return drawn


def _stage(stage: Stage, top: int) -> list[str]:
    left = _MARGIN + _BAND + 4
    drawn = [
        f'<rect class="box" x="{left}" y="{top}" width="{_BOX}" height="{stage.height}" rx="6"/>'
    ]
    lines = [("title", stage.title), ("file", stage.files), *(("quiet", w) for w in stage.words)]
    drawn += _text(lines, left + _PAD, top)
    if stage.leaves:
        right = left + _BOX
        drawn += _arrow(right, top + _PAD + 7, 18, 0)
        drawn += _text([("quiet", words) for words in stage.leaves], right + 26, top)
    return drawn


def _text(lines: Sequence[tuple[str, str]], left: int, top: int) -> list[str]:
    first = top + _PAD + 11
    return [
        f'<text class="{kind}" x="{left}" y="{first + row * _LINE}">{escape(words)}</text>'
        for row, (kind, words) in enumerate(lines)
    ]


def _arrow(left: int, top: int, across: int, down: int) -> list[str]:
    right, bottom = left + across, top + down
    tip = (
        f"{right},{bottom} {right - 7},{bottom - 4} {right - 7},{bottom + 4}"
        if across
        else f"{right},{bottom} {right - 4},{bottom - 7} {right + 4},{bottom - 7}"
    )
    return [
        f'<path class="arrow" stroke-width="1.5" d="M{left} {top}L{right} {bottom}"/>',
        f'<polygon class="tip" points="{tip}"/>',
    ]
