import json
from pathlib import Path
from typing import Any

import pytest
from lightning_fabric import Fabric
from rich.console import Console

from training import scaling
from training.devices import Devices, launch
from training.nets.architecture import ArchitectureError
from training.scaling import Scaling, Speed


def _rows(page: str) -> list[list[str]]:
    lines = [line for line in page.splitlines() if line.startswith("| ")][1:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


class TestReport:
    def test_speeds_are_compared_with_one_process_of_the_same_precision(self) -> None:
        speeds = [
            Speed(1, "32-true", 0.1, 100.0),
            Speed(4, "32-true", 0.125, 320.0),
            Speed(1, "bf16-mixed", 0.05, 200.0),
            Speed(4, "bf16-mixed", 0.1, 400.0),
        ]
        page = Scaling(batch_size=10).report(speeds)
        assert _rows(page) == [
            ["32-true", "1", "100.0", "100", "1.00", "100%"],
            ["32-true", "4", "125.0", "320", "3.20", "80%"],
            ["bf16-mixed", "1", "50.0", "200", "1.00", "100%"],
            ["bf16-mixed", "4", "100.0", "400", "2.00", "50%"],
        ]
        assert "factor of 56 on 100 GPUs" in page
        assert "https://arxiv.org/abs/1604.00981" in page

    def test_without_a_single_process_there_is_no_ratio(self) -> None:
        page = Scaling().report([Speed(2, "32-true", 0.1, 100.0)])
        assert _rows(page)[0][4:] == ["-", "-"]


class TestRun:
    def test_every_count_in_every_precision(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def measure(self: Scaling, processes: int, precision: str) -> Speed:
            return Speed(processes, precision, 1.0, float(processes))

        monkeypatch.setattr(Scaling, "_measure", measure)
        out = tmp_path / "table.md"
        Scaling(processes=(1, 2), out=out).run(Console(quiet=True))
        assert {(row[0], row[1]) for row in _rows(out.read_text())} >= {
            (precision, count) for precision in ("32-true", "bf16-mixed") for count in ("1", "2")
        }

    def test_an_unknown_network_is_named_before_anything_is_started(self, tmp_path: Path) -> None:
        with pytest.raises(ArchitectureError, match="nothing-like-it"):
            Scaling("nothing-like-it", out=tmp_path / "a.md").run(Console(quiet=True))

    @pytest.mark.parametrize(
        "values", [{"steps": 0}, {"size": 0}, {"batch_size": 0}, {"processes": (1, 0)}]
    )
    def test_values_out_of_range(self, values: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=next(iter(values))):
            Scaling(**values)


def test_one_process_writes_what_it_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def alone(chosen: Devices) -> Fabric:
        return launch(Devices(accelerator="cpu", precision=chosen.precision))

    monkeypatch.setattr(scaling, "launch", alone)
    order = {
        "architecture": "resnet20",
        "size": 8,
        "batch_size": 4,
        "precision": "bf16-mixed",
        "steps": 2,
        "warmup": 1,
        "result": str(tmp_path / "speed.json"),
    }
    scaling.main(json.dumps(order))
    speed = Speed(**json.loads((tmp_path / "speed.json").read_text()))
    assert (speed.processes, speed.precision) == (1, "bf16-mixed")
    assert speed.images == pytest.approx(4 / speed.seconds)
