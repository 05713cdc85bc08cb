"""Graphs against their references, golden outputs against their replay, as the task compares."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.contract import Parity
from service.golden import tensorwise
from service.session import Arrays
from training.export import export
from training.graph import to_onnx
from training.model_folder import ModelFolder
from training.onnx_file import to_float16
from training.parity import ParityError, batches, check_parity

ITEMS = [{"x": np.array([float(number)])} for number in range(9)]


class Doubling:
    """A session that gives ``y = 2 x`` and something more."""

    def __init__(self, more: float) -> None:
        self.more = more

    def run(self, items: Sequence[Arrays], *, lone: bool = False) -> list[Arrays]:  # noqa: ARG002
        return [{"y": 2 * item["x"] + self.more} for item in items]


def doubled(batch: Sequence[Arrays]) -> list[Arrays]:
    return [{"y": 2 * item["x"]} for item in batch]


def test_items_go_in_batches_of_all_sizes() -> None:
    assert [len(batch) for batch in batches(ITEMS)] == [1, 2, 5, 1]


def test_the_largest_deviation_is_told_and_held_against_the_tolerance() -> None:
    assert check_parity(Doubling(0.25), ITEMS, doubled, 0.3, "main") == 0.25
    with pytest.raises(ParityError, match=r"main: 0\.25 from PyTorch in a batch of 1, more than"):
        check_parity(Doubling(0.25), ITEMS, doubled, 0.2, "main")


def test_a_task_s_own_deviation_takes_the_place_of_the_tensors() -> None:
    def apart(actual: Arrays, expected: Arrays) -> float:
        return float(abs(actual["y"][0] - expected["y"][0]) * expected["y"][0])

    worst = check_parity(Doubling(0.25), ITEMS, doubled, 10, "main", deviation=apart)
    assert worst == 0.25 * 2 * 8
    with pytest.raises(ParityError, match="in a batch of 2, more than the tolerance 0"):
        check_parity(Doubling(0.25), ITEMS, doubled, 0.2, "main", deviation=apart)


def test_golden_outputs_are_recorded_under_the_task_s_own_deviation(
    tmp_path: Path, make_tiny: Callable[[], Any]
) -> None:
    graph = make_tiny().graph
    fp32 = to_onnx(graph)
    seen = 0

    def apart(actual: Arrays, expected: Arrays) -> float:
        nonlocal seen
        seen += 1
        assert {name: a.shape for name, a in actual.items()} == {"logits": (5,)}
        return 0.125 + tensorwise(actual, expected) * 0

    (tmp_path / "tiny").mkdir()
    folder = ModelFolder(tmp_path / "tiny", "1", apart)
    folder.add("main", "fp32", fp32, Parity(tolerance=1, measured=0))
    folder.add("main", "fp16", to_float16(fp32), Parity(tolerance=0, measured=0))
    folder.record_inputs("main", graph.golden)
    folder.record_outputs("main", "fp32", graph.golden, 1)
    assert seen == 4  # two items, in a batch and alone
    folder.record_outputs("main", "fp16", graph.golden, 1e-4)
    assert seen == 4 + 2 + 4  # beside the unfused graph first
    assert folder.variants["main"]["fp16"].parity == Parity(tolerance=0.5, measured=0.125)


def test_an_export_is_held_to_the_task_s_own_deviation(
    tmp_path: Path, make_tiny: Callable[[], Any]
) -> None:
    def far(actual: Arrays, expected: Arrays) -> float:
        return 7.0

    exportable = make_tiny().exportable(deviation=far)
    with pytest.raises(ParityError, match=r"main\.fp32: 7 from PyTorch"):
        export(exportable, tmp_path)
    assert not (tmp_path / "tiny").exists()
