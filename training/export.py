"""From a trained module to a model folder the service can load, or to nothing at all.

Everything is built and checked in a temporary folder and takes the place of ``models/<name>`` only
at the end. The float32 graph must agree with PyTorch, each variant is measured through the
service's own session, and what is written is read back as the service reads it.
"""

import hashlib
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from numpy.typing import NDArray

from service.contract import (
    GOLDEN_FILE,
    MANIFEST_FILE,
    FileRef,
    Manifest,
    Metric,
    Parity,
    Precision,
    Variant,
    read_manifest,
)
from service.device import Device, available_cpus
from service.errors import ManifestError
from service.golden import deviation, replay
from service.session import Session, configure, open_session, stack
from training.calibration import calibrate
from training.card import render
from training.exportable import Exportable, Graph
from training.golden import write_arrays
from training.graph import save, to_float16, to_onnx, variant
from training.parity import check_parity, run_unfused
from training.provenance import provenance
from training.quantize import quantize

CARD_FILE = "MODEL_CARD.md"
_ARENA_MIB = 8192
#: How many times as far as two ways of computing a variant here differ, another machine may differ.
_REPLAY_MARGIN = 4.0

Variants = dict[str, dict[Precision, Variant]]
Report = Callable[[str], None]


def export(
    exportable: Exportable, models: Path, report: Report = lambda _: None
) -> tuple[Path, Manifest]:
    """Make ``models/<name>``.

    Args:
        exportable: what to export.
        models: the folder of all models; made if missing.
        report: told of each step.

    Returns:
        The model's folder and its manifest.

    Raises:
        ParityError: a graph does not compute what its module computes. Whatever is raised,
            ``models/<name>`` stays as it was.
    """
    configure(_ARENA_MIB)
    models.mkdir(parents=True, exist_ok=True)
    target = models / exportable.name
    with tempfile.TemporaryDirectory(prefix=f".{exportable.name}.", dir=models) as temporary:
        folder = Path(temporary) / exportable.name
        folder.mkdir()
        manifest = _Build(exportable, folder, report).make(_existing(target))
        _swap(folder, target, Path(temporary) / "before")
    return target, manifest


def _swap(folder: Path, target: Path, aside: Path) -> None:
    """Put ``folder`` in the place of ``target``, or leave ``target`` as it was."""
    if target.exists():
        target.rename(aside)
    try:
        folder.rename(target)
    except OSError:
        if aside.exists():
            aside.rename(target)
        raise


def _existing(target: Path) -> Manifest | None:
    try:
        return read_manifest(target)
    except ManifestError:
        return None


@dataclass(frozen=True, slots=True)
class _Build:
    exportable: Exportable
    folder: Path
    report: Report

    def make(self, before: Manifest | None) -> Manifest:
        """Fill the folder; ``before`` is the model it is going to replace."""
        variants: Variants = {}
        golden: dict[str, NDArray[Any]] = {}
        for role, graph in self.exportable.graphs.items():
            variants[role] = self._variants(role, graph)
            golden |= {
                f"{role}.input.{name}": stack([item[name] for item in graph.golden])
                for name in graph.example
            }
            for precision in graph.precisions:
                self._record(golden, variants, role, precision)
        write_arrays(self.folder / GOLDEN_FILE, golden)
        digest = hashlib.sha256((self.folder / GOLDEN_FILE).read_bytes()).hexdigest()
        manifest = Manifest(
            name=self.exportable.name,
            version=self.exportable.version,
            task=self.exportable.task,
            description=self.exportable.description,
            default=self.exportable.default,
            graphs=variants,
            input=self.exportable.input,
            labels=self.exportable.labels,
            options=self.exportable.options,
            golden=FileRef(file=GOLDEN_FILE, sha256=digest),
            metrics=self._metrics(variants, before),
            provenance=provenance(self.exportable),
        )
        (self.folder / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=2) + "\n")
        (self.folder / CARD_FILE).write_text(render(manifest, self.exportable.card, self.folder))
        return read_manifest(self.folder)

    def _variants(self, role: str, graph: Graph) -> dict[Precision, Variant]:
        self.report(f"{role}: exporting")
        model = to_onnx(graph)
        fp32 = self._save(role, "fp32", model, Parity(tolerance=graph.tolerance, measured=0))
        self.report(f"{role}: comparing with PyTorch on {len(graph.checked)} inputs")
        measured = check_parity(graph, self._open(role, "fp32", fp32), f"{role}.fp32")
        parity = Parity(tolerance=graph.tolerance, measured=measured)
        variants: dict[Precision, Variant] = {"fp32": fp32.model_copy(update={"parity": parity})}
        unmeasured = Parity(tolerance=0, measured=0)
        if "fp16" in graph.precisions:
            self.report(f"{role}: making fp16")
            variants["fp16"] = self._save(role, "fp16", to_float16(model), unmeasured)
        if "int8" in graph.precisions:
            self.report(f"{role}: making int8 from {len(graph.calibration)} calibration inputs")
            ranges = calibrate(model, graph.calibration)
            integers = quantize(model, ranges, graph.keep_float)
            variants["int8"] = self._save(role, "int8", integers, unmeasured)
        return variants

    def _save(
        self, role: str, precision: Precision, model: onnx.ModelProto, parity: Parity
    ) -> Variant:
        stem = "model" if role == "main" else role
        suffix = "" if precision == "fp32" else f".{precision}"
        file = f"{self.exportable.version}/{stem}{suffix}.onnx"
        return variant(model, file, save(model, self.folder / file), parity)

    def _open(self, role: str, precision: Precision, described: Variant) -> Session:
        field = f"graphs.{role}.{precision}"
        device = Device("cpu", available_cpus())
        return open_session(self.folder / described.file, described, field, device)

    def _record(
        self, golden: dict[str, NDArray[Any]], variants: Variants, role: str, precision: Precision
    ) -> None:
        """Add a variant's golden outputs, and say how closely a replay must meet them."""
        graph, described = self.exportable.graphs[role], variants[role][precision]
        session = self._open(role, precision, described)
        answers = session.run(graph.golden)
        outputs = {name: stack([answer[name] for answer in answers]) for name in graph.outputs}
        golden |= {f"{role}.{precision}.{name}": array for name, array in outputs.items()}
        if precision == "fp32":
            replay(session, described, role, precision, golden)
            return
        # The same int8 graph without integer kernels, and for fp16, which no CPU computes as a GPU
        # does, the graph it was rounded from: what other rounding makes of the outputs.
        other_way: Precision = "int8" if precision == "int8" else "fp32"
        unfused = run_unfused(self.folder / variants[role][other_way].file, graph.golden)
        apart = max(deviation(array, unfused[name]) for name, array in outputs.items())
        tolerance = max(round(_REPLAY_MARGIN * apart, 6), graph.tolerance)
        parity = Parity(tolerance=tolerance, measured=0)
        described = described.model_copy(update={"parity": parity})
        measured = replay(session, described, role, precision, golden)
        parity = Parity(tolerance=tolerance, measured=measured)
        variants[role][precision] = described.model_copy(update={"parity": parity})

    def _metrics(self, variants: Variants, before: Manifest | None) -> tuple[Metric, ...]:
        shared = [
            precision
            for precision in next(iter(variants.values()))
            if all(precision in made for made in variants.values())
        ]
        if self.exportable.evaluate is None:
            return _still_true(variants, before)
        metrics = []
        for precision in shared:
            self.report(f"measuring {precision}")
            sessions = {
                role: self._open(role, precision, made[precision])
                for role, made in variants.items()
            }
            metrics += [
                Metric(
                    name=score.name,
                    value=score.value,
                    dataset=score.dataset,
                    split=score.split,
                    variant=precision,
                    samples=score.samples,
                    ranks=score.ranks,
                )
                for score in self.exportable.evaluate(sessions)
            ]
        return tuple(metrics)


def _still_true(variants: Variants, before: Manifest | None) -> tuple[Metric, ...]:
    """The figures measured earlier, of those variants whose files are byte for byte the same."""
    if before is None:
        return ()

    def hashes(graphs: Mapping[str, Mapping[Precision, Variant]], precision: Precision) -> object:
        return {role: made[precision].sha256 for role, made in graphs.items() if precision in made}

    return tuple(
        metric
        for metric in before.metrics
        if hashes(variants, metric.variant) == hashes(before.graphs, metric.variant)
    )
