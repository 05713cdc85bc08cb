"""Golden outputs: read, taken apart, replayed and compared."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from fabricate import Tiny

from service.contract import Variant, read_manifest
from service.device import Device
from service.errors import GraphError, InferenceError
from service.golden import Golden, deviation, items, read_golden, replay, tensorwise
from service.session import Arrays, open_session


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Tiny().write(tmp_path)


@pytest.fixture
def variant(folder: Path) -> Variant:
    return read_manifest(folder).graphs["main"]["fp32"]


@pytest.fixture
def golden(folder: Path) -> Golden:
    return read_golden(folder / "golden.npz")


class Scripted:
    """A session that answers as a function of the batch and of being alone."""

    def __init__(self, answer: Callable[[Sequence[Arrays], bool], list[Arrays]]) -> None:
        self.answer = answer
        self.runs: list[tuple[int, bool]] = []

    def run(self, items: Sequence[Arrays], *, lone: bool = False) -> list[Arrays]:
        self.runs.append((len(items), lone))
        return self.answer(items, lone)


def double(batch: Sequence[Arrays]) -> list[Arrays]:
    return [{"y": 2 * item["x"]} for item in batch]


GOLDEN: Golden = {
    "main.input.x": np.array([[1.0], [3.0]], np.float32),
    "main.fp32.y": np.array([[2.0], [6.0]], np.float32),
}


def test_a_real_graph_gives_its_golden_outputs_back(
    folder: Path, variant: Variant, golden: Golden
) -> None:
    session = open_session(folder / variant.file, variant, "graphs.main.fp32", Device("cpu", 2))
    assert replay(session, variant, "main", "fp32", golden) <= variant.parity.tolerance


def test_golden_inputs_run_as_a_batch_and_each_alone(variant: Variant) -> None:
    session = Scripted(lambda batch, _: double(batch))
    assert replay(session, variant, "main", "fp32", GOLDEN) == 0.0
    assert session.runs == [(2, False), (1, True), (1, True)]


@pytest.mark.parametrize("alone", [False, True])
def test_a_deviation_in_either_way_of_running_is_refused(variant: Variant, alone: bool) -> None:
    def answer(batch: Sequence[Arrays], lone: bool) -> list[Arrays]:
        off = 0.25 if lone == alone else 0.0
        return [{"y": item["y"] + np.float32(off)} for item in double(batch)]

    with pytest.raises(
        GraphError, match=r"graphs\.main\.fp32: .* differ by 0\.25, more than parity\.tolerance"
    ):
        replay(Scripted(answer), variant, "main", "fp32", GOLDEN)


def test_a_deviation_within_the_tolerance_is_returned(variant: Variant) -> None:
    loose = variant.model_copy(
        update={"parity": variant.parity.model_copy(update={"tolerance": 0.5})}
    )
    session = Scripted(lambda batch, _: [{"y": a["y"] - np.float32(0.25)} for a in double(batch)])
    assert replay(session, loose, "main", "fp32", GOLDEN) == 0.25


def test_the_task_says_how_far_outputs_stand_apart(variant: Variant) -> None:
    seen: list[tuple[float, float]] = []

    def apart(actual: Arrays, expected: Arrays) -> float:
        seen.append((float(actual["y"][0]), float(expected["y"][0])))
        return 0.5 if expected["y"] > 5 else 0.0

    session = Scripted(lambda batch, _: [{"y": item["y"] + 1} for item in double(batch)])
    with pytest.raises(GraphError, match=r"differ by 0\.5, more than"):
        replay(session, variant, "main", "fp32", GOLDEN, apart)
    assert seen == [(3, 2), (7, 6), (3, 2), (7, 6)]


def test_tensors_deviate_as_the_furthest_of_them() -> None:
    expected = {"x": np.array([1.0, 2.0]), "y": np.array([1, 2])}
    actual = {"x": np.array([1.0, 2.25]), "y": np.array([1, 3]), "z": np.array([9.0])}
    assert tensorwise(actual, expected) == 0.5
    assert tensorwise({**actual, "y": expected["y"]}, expected) == 0.25
    assert tensorwise(expected, expected) == 0


def test_golden_outputs_of_other_names_are_refused(variant: Variant) -> None:
    session = Scripted(lambda batch, _: [{"z": item["y"]} for item in double(batch)])
    with pytest.raises(GraphError, match=r"graphs\.main\.fp32: golden outputs are \['y'\]"):
        replay(session, variant, "main", "fp32", GOLDEN)


def test_a_graph_that_fails_on_the_golden_inputs_is_refused(variant: Variant) -> None:
    def answer(_: Sequence[Arrays], __: bool) -> list[Arrays]:
        raise InferenceError("no")

    with pytest.raises(GraphError, match=r"graphs\.main\.fp32: fails on the golden inputs"):
        replay(Scripted(answer), variant, "main", "fp32", GOLDEN)


def test_as_many_golden_outputs_as_inputs_are_wanted(variant: Variant) -> None:
    short = {**GOLDEN, "main.fp32.y": GOLDEN["main.fp32.y"][:1]}
    with pytest.raises(GraphError, match=r"main\.input\.\* has 2 items, main\.fp32\.\* 1"):
        replay(Scripted(lambda batch, _: double(batch)), variant, "main", "fp32", short)


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"head.input.x": np.zeros((2, 3))},
        {"main.input.x": np.zeros((0, 3))},
        {"main.input.x": np.zeros(())},
        {"main.input.x": np.zeros((2, 3)), "main.input.y": np.zeros((3, 3))},
        {"main.input.x": np.zeros((2, 3)), "main.input.y": np.zeros(())},
    ],
    ids=["nothing", "other role", "empty", "no batch", "differing", "one without batch"],
)
def test_arrays_that_are_no_batch_are_refused(arrays: Golden) -> None:
    with pytest.raises(GraphError, match=r"golden: no arrays main\.input\.\*"):
        items(arrays, "main", "input")


def test_a_role_is_not_confused_with_one_whose_name_begins_alike() -> None:
    golden = {"main.input.x": np.zeros((1, 2)), "main2.input.x": np.ones((2, 2))}
    (one,) = items(golden, "main", "input")
    assert one["x"].tolist() == [0, 0]


def test_numbers_are_items_too(variant: Variant) -> None:
    counts = np.array([5, 2], np.int32)
    golden: Golden = {"main.input.images": np.zeros((2, 3)), "main.input.count": counts}
    first, second = items(golden, "main", "input")
    assert isinstance(first["count"], np.ndarray)
    assert (first["count"].shape, int(first["count"]), int(second["count"])) == ((), 5, 2)
    answer = Scripted(lambda batch, _: [{"y": item["count"] + 1} for item in batch])
    expected = {"main.fp32.y": counts + 1}
    assert replay(answer, variant, "main", "fp32", {**golden, **expected}) == 0


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04 cut short"])
def test_a_damaged_golden_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "golden.npz"
    path.write_bytes(content)
    with pytest.raises(GraphError, match=r"golden\.npz: cannot be read"):
        read_golden(path)


def test_a_golden_file_with_pickled_objects_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "golden.npz"
    np.savez(path, allow_pickle=True, **{"main.input.x": np.array([{"a": 1}], object)})
    with pytest.raises(GraphError, match=r"golden\.npz: cannot be read"):
        read_golden(path)


@pytest.mark.parametrize(
    ("actual", "expected", "apart"),
    [
        ([1.0, 2.0], [1.0, 2.5], 0.5),
        ([1.0, -2.0], [1.0, -2.0], 0.0),
        ([np.nan, np.inf, -np.inf], [np.nan, np.inf, -np.inf], 0.0),
        ([np.nan], [1.0], np.inf),
        ([1.0], [np.nan], np.inf),
        ([np.inf], [1.0], np.inf),
        ([np.inf], [-np.inf], np.inf),
        ([1.0], [1.0, 1.0], np.inf),
        ([], [], 0.0),
    ],
)
def test_floats_deviate_by_their_largest_difference(
    actual: list[float], expected: list[float], apart: float
) -> None:
    seen, wanted = np.array(actual, np.float32), np.array(expected, np.float32)
    assert deviation(seen, wanted) == apart


def test_half_floats_do_not_overflow_while_they_are_compared() -> None:
    assert deviation(np.array([60000], np.float16), np.array([-60000], np.float16)) == 120_000


@pytest.mark.parametrize(
    ("actual", "expected", "apart"),
    [
        (np.array([1, 2, 3, 4]), np.array([1, 2, 3, 5]), 0.25),
        (np.array([250], np.uint8), np.array([5], np.uint8), 1.0),
        (np.array([True, False]), np.array([True, True]), 0.5),
        (np.array(["a", "b"]), np.array(["a", "b"]), 0.0),
    ],
)
def test_other_values_deviate_by_the_share_that_differs(
    actual: np.ndarray, expected: np.ndarray, apart: float
) -> None:
    assert deviation(actual, expected) == apart
