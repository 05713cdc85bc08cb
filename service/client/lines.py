"""Answers as lines for people to read."""

from collections.abc import Iterable, Sequence

from service.client.results import Answered, Captions, Classification, Detections, Segmentation


def lines(result: Answered) -> list[str]:
    """An answer, a line for each thing found."""
    rows: list[tuple[str, ...]]
    match result:
        case Classification():
            rows = [(each.label, f"{each.score:.3f}") for each in result.predictions]
        case Detections():
            rows = [
                (
                    each.label,
                    f"{each.score:.3f}",
                    f"({each.box.x_min:.0f}, {each.box.y_min:.0f})"
                    f" to ({each.box.x_max:.0f}, {each.box.y_max:.0f})",
                )
                for each in result.detections
            ]
        case Segmentation():
            rows = [
                (each.label, f"{each.share:.1%}", f"{each.pixels} pixels", f"{each.confidence:.3f}")
                for each in result.segments
            ]
        case Captions():
            rows = [(f"{each.score:.3f}", each.text) for each in result.captions]
        case _:
            raise TypeError(result)
    return columns(rows) or ["nothing"]


def columns(rows: Iterable[Sequence[str]]) -> list[str]:
    """Rows of cells as lines whose cells stand one below the other."""
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]


def printable(text: str) -> str:
    """A text of one line that does nothing to a terminal."""
    return "".join(each if each.isprintable() else "\ufffd" for each in text)
