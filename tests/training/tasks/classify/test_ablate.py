"""Every variation through the real code on a few made-up pictures; the report from made-up scores.

The errors and differences the report is tested on are worked out by hand.
"""

import io
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import tyro
from lightning_fabric import Fabric
from PIL import Image
from rich.console import Console

from training.data import benchmarks
from training.data.augment import Augmentation
from training.data.labelled import Labelled
from training.loop import fit
from training.run import Run, RunError
from training.tasks.classify.ablate import Ablate, write
from training.tasks.classify.ablation.convnet import convnet
from training.tasks.classify.ablation.depth import depth
from training.tasks.classify.ablation.literature import WORKS
from training.tasks.classify.ablation.pictures import divide
from training.tasks.classify.ablation.report import Facts, markdown
from training.tasks.classify.ablation.scores import Point, Row, Score, judge
from training.tasks.classify.ablation.trial import run_trial
from training.tasks.classify.ablation.variations import Claim, ConvNetOptions, Family, Variation

Load = Callable[..., tuple[Labelled, Labelled]]
FACTS = Facts(2000, 600, 600, 10_000, 30, 64, 1, "bf16-mixed", "cpu")
FAMILIES = [convnet("fashion-mnist"), convnet("mnist"), depth()]


def made_up(count: int, side: int, channels: int, seed: int) -> Labelled:
    """Two classes, light and dark pictures."""
    generator = torch.Generator().manual_seed(seed)
    targets = torch.arange(count) % 2
    noise = torch.randint(0, 90, (count, side, side, channels), generator=generator)
    return Labelled((noise + 160 * targets[:, None, None, None]).byte(), targets, ("dark", "light"))


@pytest.fixture
def made_up_benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few pictures of each benchmark's shape in place of it."""

    def load(name: str, data: Path | None, downloads: Path | None) -> tuple[Labelled, Labelled]:
        side, _, channels = benchmarks.BENCHMARKS[name].shape
        return made_up(40, side, channels, seed=0), made_up(10, side, channels, seed=1)

    monkeypatch.setattr(benchmarks, "load", load)


def score(test: float, training: float = 5.0, seed: int = 0, **changes: Any) -> Score:
    curve = tuple(Point(epoch, training + 2, test + 2) for epoch in (1, 2))
    return replace(Score(seed, 1000, 12.0, curve, training, test), **changes)


def lost(seed: int = 0) -> Score:
    return Score(seed, 1000, 3.0, (), diverged="the loss is not finite any more at step 3")


def row(variation: Variation, *tests: float) -> Row:
    return Row(variation, [score(test, seed=seed) for seed, test in enumerate(tests)])


def rows_of(family: Family, tests: Mapping[str, float]) -> list[Row]:
    return [row(variation, tests.get(variation.name, 10.0)) for variation in family.variations]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: f"{family.name}-{family.dataset}")
def test_each_variation_changes_one_thing(family: Family) -> None:
    by_name = {variation.name: variation for variation in family.variations}
    assert len(by_name) == len(family.variations)
    for variation in family.variations[1:]:
        before, now = (one.setup for one in (by_name[variation.reference], variation))
        changes = sum(
            _differences(asdict(getattr(before, part)), asdict(getattr(now, part)))
            for part in ("optimisation", "training")
        )
        changes += before.augmentation != now.augmentation
        if isinstance(before.net, ConvNetOptions) and isinstance(now.net, ConvNetOptions):
            changes += _differences(asdict(before.net), asdict(now.net))
        else:
            changes += before.net != now.net
        assert changes == 1, variation.name
        assert variation.claims, variation.name
        for claim in variation.claims:
            assert claim.against in by_name
            assert claim.source in WORKS


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> int:
    return sum(before[key] != now[key] for key in before)


def test_no_variation_without_augmentation_is_augmented() -> None:
    bare = {v.name for v in convnet("mnist").variations if v.setup.augmentation == Augmentation()}
    assert bare == {"no-augmentation"}


def small(runs: Path, *families: Any) -> Ablate:
    return Ablate(families, runs=runs, epochs=1, held_out=0.2, pictures=16, batch_size=8)


@pytest.mark.parametrize("family", FAMILIES[1:], ids=lambda family: family.name)
def test_a_family_trains_and_reports(
    family: Family, tmp_path: Path, made_up_benchmarks: None
) -> None:
    replace(small(tmp_path, family.name), dataset="mnist").run(Console(file=io.StringIO()))
    folder = tmp_path / "ablate" / family.name
    results = json.loads((folder / "results.json").read_text())
    assert results["dataset"] == family.dataset
    assert results["facts"]["pictures"] == 16
    assert list(results["variations"]) == [variation.name for variation in family.variations]
    for name, found in results["variations"].items():
        (seed,) = found["seeds"]
        assert 0 <= seed["test_error"] <= 100
        assert [point["epoch"] for point in seed["curve"]] == [1]
        assert f"| {name} | " in (folder / "report.md").read_text()
        assert (folder / name / "seed-0" / "best.ckpt").exists()
    for picture in ("variations.png", "curves.png"):
        with Image.open(folder / picture) as image:
            image.load()
            assert min(image.size) > 300


def test_shortcuts_have_no_parameters() -> None:
    pictures = made_up(4, 32, 3, 0)
    counts = {
        variation.name: sum(p.numel() for p in variation.setup.build(pictures).parameters())
        for variation in depth().variations
    }
    assert counts["plain20"] == counts["resnet20"] < counts["plain56"] == counts["resnet56"]


def test_an_interrupted_ablation_goes_on(
    tmp_path: Path, made_up_benchmarks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    console, ablate = Console(file=io.StringIO()), small(tmp_path, "depth")
    monkeypatch.setattr("training.tasks.classify.ablate.depth", _only(2))
    ablate.run(console)
    folder = tmp_path / "ablate" / "depth"
    report = (folder / "report.md").read_text()
    interrupted = folder / "plain56" / "seed-0"
    (interrupted / "score.json").unlink()  # as if it had been trained, and not yet measured
    (folder / "report.md").unlink()
    with pytest.raises(RunError, match="--resume"):
        ablate.run(console)
    trained = _count_fits(monkeypatch)
    replace(ablate, resume=True).run(console)
    assert trained == [interrupted]
    assert _without_seconds((folder / "report.md").read_text()) == _without_seconds(report)
    with pytest.raises(RunError, match="other settings"):
        replace(ablate, resume=True, batch_size=4).run(console)


def _only(count: int) -> Callable[..., Family]:
    def made(**sizes: Any) -> Family:
        family = depth(**sizes)
        return replace(family, variations=family.variations[:count])

    return made


def _without_seconds(report: str) -> str:
    return re.sub(r"\| \d+ \|$", "", report, flags=re.MULTILINE)


def _count_fits(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    folders = []

    def counted(recipe: Any, training: Any, run: Run, *others: Any, **options: Any) -> Any:
        folders.append(run.folder)
        return fit(recipe, training, run, *others, **options)

    monkeypatch.setattr("training.tasks.classify.ablation.trial.fit", counted)
    return folders


def test_a_training_that_diverges_is_a_result(tmp_path: Path) -> None:
    family = convnet("mnist", batch_size=8, epochs=3)
    base = family.baseline.setup
    sgd = replace(base.optimisation, optimizer="sgd", lr=1e30)
    setup = replace(base, net=replace(ConvNetOptions(), batch_norm=False), optimisation=sgd)
    pictures = divide("mnist", made_up(40, 28, 1, 0), made_up(10, 28, 1, 1), 0.2, None)
    fabric = Fabric(accelerator="cpu", devices=1)
    found = run_trial(setup, pictures, 0, tmp_path, fabric, resume=False)
    assert "not finite" in found.diverged
    assert found.test_error is None
    assert run_trial(setup, pictures, 0, tmp_path, fabric, resume=True) == found


@pytest.mark.parametrize(
    ("expected", "tests", "against", "word"),
    [
        ("higher", (10.5,), (10.0,), "agrees"),
        ("higher", (10.1,), (10.0,), "does not show here"),
        ("higher", (9.5,), (10.0,), "the opposite shows here"),
        ("lower", (9.5,), (10.0,), "agrees"),
        ("same", (10.1,), (10.0,), "agrees"),
        ("same", (10.5,), (10.0,), "does not show here"),
        # Deviations of 0.7071 and 0: a standard error of 0.5, so that 1.0 must be passed.
        ("higher", (10.4, 11.4), (10.0, 10.0), "does not show here"),
        ("higher", (10.6, 11.6), (10.0, 10.0), "agrees"),
        # Seeds that happen to agree do not make a small difference count.
        ("higher", (10.1, 10.1), (10.0, 10.0), "does not show here"),
    ],
)
def test_claims_are_judged_by_the_stated_rule(
    expected: Any, tests: tuple[float, ...], against: tuple[float, ...], word: str
) -> None:
    claim = Claim("more is better", "vgg", expected=expected)
    base, other = convnet("mnist").variations[:2]
    assert judge(claim, row(other, *tests), row(base, *against)).word == word


def test_the_gap_is_test_error_less_training_error() -> None:
    base, other = convnet("mnist").variations[:2]
    verdict = judge(
        Claim("it overfits", "dropout", "gap"),
        Row(other, [score(10.0, 2.0)]),
        Row(base, [score(11.0, 6.0)]),
    )
    assert verdict.difference == pytest.approx(8.0 - 5.0)
    assert verdict.word == "agrees"


def test_divergence_counts_as_worse_where_an_error_is_meant() -> None:
    base, other = convnet("mnist").variations[:2]
    gone, fine = Row(other, [lost()]), row(base, 10.0)
    assert judge(Claim("a", "he"), gone, fine).word == "agrees"
    assert judge(Claim("a", "he", expected="lower"), gone, fine).word == "the opposite shows here"
    assert judge(Claim("a", "he", expected="lower"), fine, gone).word == "agrees"
    assert judge(Claim("a", "he", "gap"), gone, fine).word == "cannot be told"
    assert judge(Claim("a", "he"), gone, gone).word == "cannot be told"


def test_the_report_is_computed_from_the_scores() -> None:
    family = convnet("fashion-mnist")
    rows = rows_of(family, {"no-augmentation": 11.25, "no-dropout": 10.05, "three-convs": 10.6})
    rows[6] = Row(family.variations[6], [lost()])
    report = markdown(family, rows, FACTS)
    assert "| no-augmentation | no augmentation | 1,000 | 95.00 | 88.75 | -1.25 | 12 |" in report
    assert f"| baseline | {family.baseline.change} | 1,000 | 95.00 | 90.00 |  | 12 |" in report
    assert re.search(r"\| no-norm-plain-init \| .* \| diverged \| diverged \|  \| 3 \|", report)
    assert re.search(
        r"\*\*no-augmentation: agrees\.\*\* Pictures .* \(Krizhevsky et al., 2012\): its test "
        r"error should be higher than that of baseline\. It is 1\.25 points higher",
        report,
    )
    assert "**no-dropout: does not show here.**" in report
    assert "**three-convs: the opposite shows here.**" in report
    assert "no-norm-plain-init diverged." in report
    claims = sum(len(variation.claims) for variation in family.variations)
    found = re.search(rf"Of {claims} expectations (\d+) agree, (\d+) do not show here", report)
    assert found
    assert sum(map(int, found.groups())) == claims - 1
    assert "2,000 pictures" in report


def test_the_report_gives_the_spread_of_several_seeds() -> None:
    family = depth()
    rows = [row(variation, 10.0, 11.0) for variation in family.variations]
    rows[1] = Row(family.variations[1], [score(12.0), lost(1)])
    report = markdown(family, rows, replace(FACTS, seeds=2))
    assert "89.50 ± 0.71" in report
    assert "88.00 (1 of 2 diverged)" in report
    assert "twice its standard error" in report


@pytest.mark.parametrize("family", FAMILIES[1:], ids=lambda family: family.name)
def test_plots_and_results_stand_what_diverged_or_never_errs(
    family: Family, tmp_path: Path
) -> None:
    rows = [row(variation, 10.0, 90.0) for variation in family.variations]
    rows[0] = Row(family.baseline, [score(0.0, 0.0), lost(1)])
    rows[1] = Row(family.variations[1], [lost(), lost(1)])
    write(family, rows, replace(FACTS, seeds=2), tmp_path)
    results = json.loads((tmp_path / "results.json").read_text(), parse_constant=_no_constants)
    assert results["variations"][family.variations[1].name]["seeds"][0]["test_error"] is None
    for name in ("variations.png", "curves.png"):
        with Image.open(tmp_path / name) as image:
            image.load()
            assert len(image.convert("RGB").getcolors(1 << 24) or ()) > 3


def _no_constants(text: str) -> float:
    raise AssertionError(f"{text} is not JSON")


def test_scores_survive_their_file() -> None:
    for one in (score(10.0), lost()):
        assert Score.read(json.loads(json.dumps(asdict(one)))) == one


def test_pictures_are_divided_alike_and_apart() -> None:
    train, test = made_up(200, 4, 1, 0), made_up(10, 4, 1, 1)
    pictures = divide("mnist", train, test, 0.1, 50)
    assert (len(pictures.train), len(pictures.held_out), len(pictures.probe)) == (50, 20, 20)
    assert torch.bincount(pictures.train.targets).tolist() == [25, 25]
    learned, probe, held = (
        {picture.numpy().tobytes() for picture in part.images}
        for part in (pictures.train, pictures.probe, pictures.held_out)
    )
    assert probe <= learned
    assert not held & learned
    assert len(divide("mnist", train, test, 0.1, 5000).train) == 180


def test_the_command_line() -> None:
    given = "--families depth --pictures 100 --seeds 2 --precision bf16-mixed --run out --resume"
    ablate = tyro.cli(Ablate, args=given.split(), config=(tyro.conf.OmitArgPrefixes,))
    assert (ablate.families, ablate.pictures, ablate.seeds) == (("depth",), 100, 2)
    assert (ablate.runs, ablate.resume, ablate.devices.precision) == (
        Path("out"),
        True,
        "bf16-mixed",
    )
    with pytest.raises(ValueError, match="seeds must be at least 1"):
        Ablate(seeds=0)
    with pytest.raises(ValueError, match="held_out"):
        Ablate(held_out=math.nan)
