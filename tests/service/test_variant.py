"""Which variant serves: the fastest here of those good enough and right."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from fabricate import Tiny

from service.contract import Manifest, Precision, read_manifest
from service.device import Kind
from service.errors import GraphError
from service.findings import Candidates
from service.golden import Golden, read_golden
from service.session import Arrays
from service.variant import Sessions, choose, quality_loss


class Bench:
    """Variants that take as long as a test says, on a clock that nothing else moves."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        folder: Path,
        seconds: Mapping[Precision, float],
        wrong: Sequence[Precision] = (),
    ) -> None:
        self.manifest: Manifest = read_manifest(folder)
        self.golden: Golden = read_golden(folder / "golden.npz")
        self.seconds, self.wrong = seconds, wrong
        self.opened: list[Precision] = []
        self.known: dict[Candidates, Precision] = {}
        self.now = 0.0
        monkeypatch.setattr("service.variant.time.perf_counter", lambda: self.now)

    def choose(
        self, kind: Kind = "cpu", wanted: str = "auto", max_quality_loss: float = 0.01
    ) -> Precision:
        precision, sessions, deviation = choose(
            self.manifest,
            self.golden,
            self.open,
            self.replay,
            kind=kind,
            wanted=wanted,
            max_quality_loss=max_quality_loss,
            known=self.known,
        )
        session = sessions["main"]
        assert isinstance(session, Timed)
        assert session.precision == precision
        assert deviation == len(precision)
        return precision

    def open(self, precision: Precision) -> Sessions:
        self.opened.append(precision)
        return {"main": Timed(self, precision)}

    def replay(self, precision: Precision, _: Sessions) -> float:
        if precision in self.wrong:
            raise GraphError(f"{precision}: golden outputs differ")
        return len(precision)


class Timed:
    """A session whose runs move the clock."""

    def __init__(self, bench: Bench, precision: Precision) -> None:
        self.bench, self.precision = bench, precision

    def run(self, items: Sequence[Arrays], *, lone: bool = False) -> list[Arrays]:
        assert len(items) == 1
        assert not lone
        self.bench.now += self.bench.seconds[self.precision]
        return [{}]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """fp32 at 0.900, fp16 at 0.899, int8 at 0.895."""
    return Tiny(precisions=("fp32", "fp16", "int8"), top1=(0.9, 0.899, 0.895)).write(tmp_path)


@pytest.mark.parametrize(
    ("kind", "seconds", "chosen"),
    [
        ("cpu", {"fp32": 3.0, "int8": 1.0}, "int8"),
        ("cpu", {"fp32": 1.0, "int8": 3.0}, "fp32"),
        ("cuda", {"fp32": 3.0, "fp16": 1.0}, "fp16"),
        ("cuda", {"fp32": 1.0, "fp16": 3.0}, "fp32"),
    ],
)
def test_the_fastest_measured_here_is_chosen(
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    kind: Kind,
    seconds: Mapping[Precision, float],
    chosen: Precision,
) -> None:
    bench = Bench(monkeypatch, folder, seconds)
    assert bench.choose(kind) == chosen
    assert set(bench.opened) == set(seconds)  # what the device cannot run fast is not even opened


@pytest.mark.parametrize(("bound", "chosen"), [(0.006, "int8"), (0.005, "fp32"), (0.0, "fp32")])
def test_a_variant_that_gives_up_too_much_quality_is_not_chosen_however_fast(
    monkeypatch: pytest.MonkeyPatch, folder: Path, bound: float, chosen: Precision
) -> None:
    bench = Bench(monkeypatch, folder, {"fp32": 3.0, "int8": 1.0})
    assert bench.choose(max_quality_loss=bound) == chosen


@pytest.mark.parametrize("top1", [(0.9,), ()], ids=["int8 unmeasured", "nothing measured"])
def test_a_variant_without_a_measured_quality_is_never_chosen_by_itself(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, top1: tuple[float, ...]
) -> None:
    folder = Tiny(precisions=("fp32", "int8"), top1=top1).write(tmp_path)
    bench = Bench(monkeypatch, folder, {"fp32": 3.0, "int8": 1.0})
    assert bench.choose(max_quality_loss=0.99) == "fp32"
    assert bench.opened == ["fp32"]


@pytest.mark.parametrize("wanted", ["fp32", "fp16", "int8"])
def test_a_precision_that_is_asked_for_is_opened_alone(
    monkeypatch: pytest.MonkeyPatch, folder: Path, wanted: Precision
) -> None:
    bench = Bench(monkeypatch, folder, {})
    assert bench.choose(wanted=wanted, max_quality_loss=0.0) == wanted
    assert bench.opened == [wanted]


def test_a_precision_that_is_asked_for_and_wrong_here_is_refused(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    bench = Bench(monkeypatch, folder, {}, wrong=["int8"])
    with pytest.raises(GraphError, match="int8: golden outputs differ"):
        bench.choose(wanted="int8")


def test_a_precision_the_model_lacks_is_replaced_and_the_log_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(monkeypatch, Tiny().write(tmp_path), {"fp32": 1.0})
    with caplog.at_level(logging.WARNING):
        assert bench.choose(wanted="int8") == "fp32"
    assert "tiny has no int8 variant" in caplog.text


def test_a_variant_that_is_wrong_on_this_device_is_left_out(
    monkeypatch: pytest.MonkeyPatch, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(monkeypatch, folder, {"fp32": 3.0, "int8": 1.0}, wrong=["int8"])
    with caplog.at_level(logging.WARNING):
        assert bench.choose() == "fp32"
    assert "tiny: int8 is left out on this device" in caplog.text


def test_when_no_variant_is_right_the_first_says_why(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    bench = Bench(monkeypatch, folder, {}, wrong=["fp32", "int8"])
    with pytest.raises(GraphError, match="fp32: golden outputs differ"):
        bench.choose()


def test_what_was_chosen_before_is_opened_alone(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    first = Bench(monkeypatch, folder, {"fp32": 3.0, "int8": 1.0})
    assert first.choose() == "int8"
    again = Bench(monkeypatch, folder, {})
    again.known = first.known
    assert again.choose() == "int8"
    assert again.opened == ["int8"]


def test_what_was_chosen_before_and_is_wrong_now_is_chosen_anew(
    monkeypatch: pytest.MonkeyPatch, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = Bench(monkeypatch, folder, {"fp32": 3.0, "int8": 1.0})
    first.choose()
    again = Bench(monkeypatch, folder, {"fp32": 3.0}, wrong=["int8"])
    again.known = first.known
    with caplog.at_level(logging.WARNING):
        assert again.choose() == "fp32"
    assert "what was chosen before fails now" in caplog.text
    assert set(again.known.values()) == {"fp32"}


def test_a_model_with_nothing_the_device_likes_serves_what_it_has(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = Tiny(precisions=("fp16",), top1=(0.9,)).write(tmp_path)
    assert Bench(monkeypatch, folder, {}).choose("cpu") == "fp16"


def test_quality_loss_is_the_worst_of_all_metrics_both_were_measured_by(folder: Path) -> None:
    manifest = read_manifest(folder)
    top1 = manifest.metrics[0]

    def measured(name: str, value: float, precision: Precision) -> object:
        return top1.model_copy(update={"name": name, "value": value, "variant": precision})

    metrics = (
        measured("top1", 0.8, "fp32"),
        measured("top1", 0.8, "int8"),
        measured("top5", 0.9, "fp32"),
        measured("top5", 0.45, "int8"),
        measured("zero", 0.0, "fp32"),
        measured("zero", 0.0, "int8"),
        measured("only", 0.9, "fp32"),
    )
    manifest = manifest.model_copy(update={"metrics": metrics})
    assert quality_loss(manifest, "int8") == pytest.approx(0.5)
    assert quality_loss(manifest, "fp32") == 0.0
    assert quality_loss(manifest, "fp16") == float("inf")
