import json
from pathlib import Path

import numpy as np
import pytest
import torch

from training.cli import main
from training.nets.style.adain import slim_network
from training.tasks.stylize.compare import PUBLIC, summary
from training.tasks.stylize.metrics import Quality


def _quality(*totals: float) -> Quality:
    values = np.array(totals)
    return Quality(values, values / 2, values / 20)


def test_a_method_is_told_by_its_share_of_pairs_and_its_speed() -> None:
    qualities = {
        "Gatys 100": _quality(4, 4, 4, 4),
        "Gatys 500": _quality(1, 1, 1, 1),
        "slim": _quality(2, 8, 4, 1),
    }
    seconds = {"Gatys 100": 10.0, "Gatys 500": 60.0, "slim": 0.1}
    figures = summary(qualities, seconds, (100, 500))
    assert figures["slim"]["no_worse"] == 0.75
    assert figures["slim"]["faster"] == pytest.approx(600)
    assert figures["slim"]["loss"] == pytest.approx(64**0.25)
    assert figures["slim"]["content"] == pytest.approx(15 / 8)
    assert figures["Gatys 500"]["no_worse"] == figures["Gatys 100"]["no_worse"] == 1


def test_networks_stand_beside_the_optimisation_and_what_is_done_is_kept(
    photographs: Path, paintings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = tmp_path / "best.ckpt"
    torch.save({"networks": {"net": slim_network().state_dict()}}, checkpoint)
    out = tmp_path / "compared"
    arguments = ["stylize-compare", "--content", str(photographs), "--styles", str(paintings)]
    arguments += ["--slim", str(checkpoint), "--out", str(out), "--pairs", "1", "--side", "64"]
    iterations = ["--iterations", "1", "3"]
    assert main([*arguments, *iterations]) == 0
    assert "Gatys 3" in capsys.readouterr().err
    figures = json.loads((out / "comparison.json").read_text())
    assert list(figures["methods"]) == ["Gatys 1", "Gatys 3", PUBLIC, "slim"]
    [pair] = figures["pairs"]
    assert pair["Gatys 3"]["total"] < pair["Gatys 1"]["total"]
    assert pair["Gatys 3"]["seconds"] > pair["Gatys 1"]["seconds"]
    assert (out / "comparison.png").exists()
    kept = (out / "000.json").stat().st_mtime_ns
    assert main([*arguments, *iterations]) == 0
    assert (out / "000.json").stat().st_mtime_ns == kept
    assert main([*arguments, "--iterations", "1", "2"]) == 1
    assert "another comparison" in capsys.readouterr().err


def test_iterations_must_rise(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["stylize-compare", "--iterations", "5", "3"])
    assert "--iterations" in capsys.readouterr().err
