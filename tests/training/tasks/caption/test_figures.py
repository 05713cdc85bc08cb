import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from numpy.typing import NDArray
from PIL import Image

from service.contract import InputGeometry
from training.data.errors import DataError
from training.tasks.caption import figures
from training.tasks.caption.figures import attention_sheet, lit, sheet

GEOMETRY = InputGeometry(height=60, width=60, resize="squash")


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Pictures of one blue each, 0.png to 8.png, darker and darker."""
    folder = tmp_path_factory.mktemp("pictures")
    files = [folder / f"{number}.png" for number in range(9)]
    for number, path in enumerate(files):
        Image.new("RGB", (40, 30), (0, 0, 250 - 20 * number)).save(path)
    return files


@pytest.fixture
def titles(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is written above and below the pictures, in order."""
    written: list[str] = []
    set_title, text = Axes.set_title, Axes.text

    def note_title(axes: Axes, label: str, **others: Any) -> object:
        written.append(label.replace("\n", " "))
        return set_title(axes, label, **others)

    def note_text(axes: Axes, x: float, y: float, label: str, **others: Any) -> object:
        written.append(label.replace("\n", " "))
        return text(axes, x, y, label, **others)

    monkeypatch.setattr(Axes, "set_title", note_title)
    monkeypatch.setattr(Axes, "text", note_text)
    return written


def pixels_of(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def blues(picture: NDArray[np.uint8]) -> set[int]:
    """Of which blues there are whole areas."""
    is_blue = (picture[..., :2] == 0).all(-1) & (picture[..., 2] > 0)
    values, counts = np.unique(picture[is_blue][:, 2], return_counts=True)
    return set(values[counts > 1000].tolist())


@pytest.mark.parametrize(
    ("count", "shown"),
    [(4, [2, 0, 8, 5]), (5, [2, 0, 4, 8, 5]), (1, [2]), (20, [2, 0, 4, 1, 3, 6, 7, 8, 5])],
)
def test_the_best_and_the_worst_are_shown(
    paths: list[Path], titles: list[str], tmp_path: Path, count: int, shown: list[int]
) -> None:
    scores = [0.9, 0.5, 1.0, 0.5, 0.6, 0.0, 0.4, 0.3, 0.1]
    captions = [f"caption {number}" for number in range(9)]
    references = [["unlike", f"another caption {number}", "caption"] for number in range(9)]
    sheet(paths, captions, references, scores, tmp_path / "s.png", count)
    assert [path.name for path in tmp_path.iterdir()] == ["s.png"]
    assert blues(pixels_of(tmp_path / "s.png")) == {250 - 20 * number for number in shown}
    told = [
        text
        for number in shown
        for text in (f"{scores[number]:.2f} caption {number}", f"another caption {number}")
    ]
    assert [re.sub(" +", " ", text) for text in titles] == told


def test_texts_that_matplotlib_cannot_draw_are_no_trouble(
    paths: list[Path], tmp_path: Path
) -> None:
    captions = ["costs $5 and $6", "\u0915\u0941 \u72d7", "w" * 400, "one two " * 60, ""]
    references = [["$x^2$"], ["\u72d7"], ["w" * 400], ["two " * 200], ["nothing"]]
    sheet(paths[:5], captions, references, np.arange(5.0), tmp_path / "s.png")
    assert len(blues(pixels_of(tmp_path / "s.png"))) == 5


def test_what_does_not_fit_together_is_refused(paths: list[Path], tmp_path: Path) -> None:
    for count, captions in ((0, []), (2, ["a"])):
        with pytest.raises(ValueError, match=f"there are {count} pictures, {len(captions)} capt"):
            sheet(paths[:count], captions, [["a"]] * count, [1.0] * count, tmp_path / "s.png")
    with pytest.raises(DataError, match=r"no\.png: cannot be read"):
        sheet([tmp_path / "no.png"], ["a"], [["a"]], [1.0], tmp_path / "s.png")
    weights = np.ones((1, 2, 2))
    with pytest.raises(ValueError, match="there are 1 pictures, 2 captions and attention for 1"):
        attention_sheet(paths[:1], [["a"], ["b"]], [weights], GEOMETRY, tmp_path / "s.png")
    with pytest.raises(ValueError, match="more words than there are weights for"):
        attention_sheet(paths[:1], [["a", "b"]], [weights], GEOMETRY, tmp_path / "s.png")
    assert not list(tmp_path.iterdir())


def test_a_picture_is_bright_where_the_weights_are_high() -> None:
    pixels = np.full((60, 80, 3), 200, np.uint8)
    weights = np.zeros((3, 4))
    weights[2, 0] = 0.25
    seen = lit(pixels, weights)
    assert seen.shape == pixels.shape
    assert seen.dtype == np.uint8
    brightest = np.unravel_index(seen[..., 0].argmax(), seen.shape[:2])
    assert brightest[0] >= 40
    assert brightest[1] < 20
    assert seen.max() == 200
    assert (seen[:20, 50:] == 40).all()
    assert np.array_equal(lit(pixels, weights / 5), seen)
    assert (lit(pixels, np.zeros((3, 4))) == 40).all()
    assert (lit(pixels, np.full((3, 4), 0.1)) == 200).all()


def test_every_word_has_its_picture_in_rows(
    paths: list[Path], titles: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[int, float]] = []

    def note(pixels: NDArray[np.uint8], weights: NDArray[np.floating]) -> NDArray[np.uint8]:
        given.append((int(pixels[0, 0, 2]), float(weights[0, 0])))
        return lit(pixels, weights)

    monkeypatch.setattr(figures, "lit", note)
    captions = [["a", "$b$"], [f"w{number}" for number in range(8)], []]
    attention = [np.broadcast_to(np.arange(9.0)[:, None, None], (9, 2, 3))] * 3
    attention_sheet(paths[:3], captions, attention, GEOMETRY, tmp_path / "s.png")
    assert [text for text in titles if text] == [word for words in captions for word in words]
    assert given == [(250, 0), (250, 1), *((230, number) for number in range(8))]
    whole = pixels_of(tmp_path / "s.png")
    assert {250, 230, 210} <= blues(whole)
    attention_sheet(paths[:1], captions[:1], attention[:1], GEOMETRY, tmp_path / "s.png")
    assert whole.shape[0] == 4 * pixels_of(tmp_path / "s.png").shape[0]  # one, two and one row
