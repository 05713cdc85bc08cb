import json
import math
from pathlib import Path

import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import (  # type: ignore[import-untyped]
    EventAccumulator,
)

from training.run import Run, RunError, replacing

_CONFIG = {"name": "a", "training": {"epochs": 3, "milestones": (0.5, 0.75)}}


def _begin(folder: Path, **config: object) -> Run:
    run = Run(folder)
    run.begin({**_CONFIG, **config}, resume=False)
    return run


def _checkpoint(run: Run) -> None:
    run.last.write_bytes(b"state")


class TestBegin:
    def test_settings_are_written_for_people_too(self, tmp_path: Path) -> None:
        _begin(tmp_path / "runs" / "a")
        text = (tmp_path / "runs" / "a" / "config.json").read_text()
        assert json.loads(text)["training"] == {"epochs": 3, "milestones": [0.5, 0.75]}
        assert len(text.splitlines()) > 5

    def test_a_second_run_is_refused(self, tmp_path: Path) -> None:
        _checkpoint(_begin(tmp_path))
        with pytest.raises(RunError, match=r"--resume.*--run"):
            _begin(tmp_path)

    def test_the_same_run_goes_on(self, tmp_path: Path) -> None:
        run = _begin(tmp_path)
        _checkpoint(run)
        run.record(1, 1, "train", {"loss": 1.0})
        again = Run(tmp_path)
        assert again.is_begun
        again.begin(_CONFIG, resume=True)
        assert len(again.history()) == 1

    def test_other_settings_are_named_one_by_one(self, tmp_path: Path) -> None:
        _checkpoint(_begin(tmp_path, seeds=[1]))
        changed = {"name": "a", "training": {"epochs": 4, "milestones": (0.5, 0.75)}, "new": 1}
        with pytest.raises(RunError) as caught:
            Run(tmp_path).begin(changed, resume=True)
        assert str(caught.value).endswith(
            "cannot go on: training.epochs was 3, is 4, seeds was [1], is None, new was None, is 1"
        )

    def test_unreadable_settings(self, tmp_path: Path) -> None:
        _checkpoint(_begin(tmp_path))
        (tmp_path / "config.json").write_text("{")
        with pytest.raises(RunError, match=r"config\.json cannot be read"):
            Run(tmp_path).begin(_CONFIG, resume=True)

    def test_what_never_reached_a_checkpoint_is_cleared(self, tmp_path: Path) -> None:
        run = _begin(tmp_path)
        with run:
            run.record(1, 1, "train", {"loss": 1.0})
        run.best.write_bytes(b"of the first")
        (tmp_path / "notes.txt").write_text("of the user")
        (tmp_path / ".last.123.ckpt").write_bytes(b"half")
        _begin(tmp_path)
        left = sorted(path.name for path in tmp_path.iterdir())
        assert left == ["config.json", "notes.txt"]

    def test_a_second_process_writes_nothing(self, tmp_path: Path) -> None:
        run = Run(tmp_path / "a", writes=False)
        run.begin(_CONFIG, resume=False)
        run.record(1, 1, "train", {"loss": 1.0})
        run.draw()
        assert not (tmp_path / "a").exists()


class TestHistory:
    def test_lines(self, tmp_path: Path) -> None:
        run = _begin(tmp_path)
        run.record(5, 1, "train", {"loss": 0.5})
        run.record(9, 1, "held_out", {"top1": math.nan, "loss": math.inf})
        lines = (tmp_path / "history.jsonl").read_text().splitlines()
        assert json.loads(lines[0]) == {"step": 5, "epoch": 1, "split": "train", "loss": 0.5}
        assert json.loads(lines[1], parse_constant=pytest.fail)["top1"] is None
        assert run.history() == [json.loads(line) for line in lines]

    def test_a_line_cut_short_is_left_out(self, tmp_path: Path) -> None:
        run = _begin(tmp_path)
        run.record(1, 1, "train", {"loss": 0.5})
        run.record(2, 1, "train", {"loss": 0.25})
        path = tmp_path / "history.jsonl"
        path.write_text(path.read_text()[:-9])
        assert [line["step"] for line in run.history()] == [1]
        run.rewind(2)
        run.record(3, 1, "train", {"loss": 0.125})
        assert [line["step"] for line in run.history()] == [1, 3]

    def test_rewinding_forgets_later_lines(self, tmp_path: Path) -> None:
        run = _begin(tmp_path)
        for step in (1, 2, 3):
            run.record(step, 1, "train", {"loss": 1 / step})
        run.rewind(2)
        assert [line["step"] for line in run.history()] == [1, 2]

    def test_there_is_none_at_first(self, tmp_path: Path) -> None:
        assert Run(tmp_path).history() == []


class TestTensorBoard:
    def test_it_reads_what_the_history_says_even_after_a_kill(self, tmp_path: Path) -> None:
        killed = _begin(tmp_path)  # and never closed
        for step in (1, 2, 3):
            killed.record(step, 1, "train", {"loss": 1 / step})
        assert self._read(tmp_path) == [(1, 1.0), (2, 0.5), (3, pytest.approx(1 / 3))]
        _checkpoint(killed)
        with Run(tmp_path) as run:
            run.begin(_CONFIG, resume=True)
            run.rewind(2)
            run.record(3, 1, "train", {"loss": 0.25})
        assert self._read(tmp_path)[-1] == (3, 0.25)

    @staticmethod
    def _read(folder: Path) -> list[tuple[int, float]]:
        board = EventAccumulator(str(folder))
        board.Reload()
        return [(event.step, event.value) for event in board.Scalars("train/loss")]


class TestDraw:
    def test_the_curves_are_new_when_it_ends(self, tmp_path: Path) -> None:
        with _begin(tmp_path) as run:
            run.record(1, 1, "train", {"loss": 1.0})
        first = (tmp_path / "curves.png").read_bytes()
        with Image.open(tmp_path / "curves.png") as picture:
            assert picture.format == "PNG"
        with run:
            run.record(2, 1, "train", {"loss": 5.0})
        assert (tmp_path / "curves.png").read_bytes() != first
        assert not list(tmp_path.glob(".*"))

    def test_they_are_not_drawn_all_the_time(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = 100.0
        monkeypatch.setattr("training.run.time.perf_counter", lambda: now)
        drawn: list[int] = []
        monkeypatch.setattr("training.run.plot", lambda lines, *_: drawn.append(len(lines)))
        run = _begin(tmp_path)
        for step, now in enumerate((101.0, 109.0, 111.0, 120.0, 122.0), start=1):  # noqa: B007
            run.record(step, 1, "train", {"loss": 1.0})
            run.draw()
        assert drawn == [3, 5]

    def test_there_may_be_nothing_to_draw(self, tmp_path: Path) -> None:
        with _begin(tmp_path):
            pass
        assert not (tmp_path / "curves.png").exists()


class TestReplacing:
    def test_a_failure_leaves_the_former(self, tmp_path: Path) -> None:
        path = tmp_path / "a.txt"
        path.write_text("former")

        def fail() -> None:
            with replacing(path) as temporary:
                temporary.write_text("half")
                raise OSError("disk full")

        with pytest.raises(OSError, match="disk full"):
            fail()
        assert path.read_text() == "former"
        assert list(tmp_path.iterdir()) == [path]

    def test_the_new_one_takes_its_place(self, tmp_path: Path) -> None:
        with replacing(tmp_path / "a.txt") as temporary:
            temporary.write_text("new")
            assert not (tmp_path / "a.txt").exists()
        assert (tmp_path / "a.txt").read_text() == "new"
