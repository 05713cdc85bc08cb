"""From a trained module to a model folder the service can load, or to nothing at all.

The float32 graph must agree with PyTorch, and each variant is measured through the service's own
session; ``training.model_folder`` writes the folder.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from service.contract import Manifest, Metric, Parity, Precision, Variant, read_manifest
from service.errors import ManifestError
from training.calibration import calibrate
from training.exportable import Exportable, Graph
from training.graph import reference, to_onnx
from training.half import round_maps
from training.model_folder import ModelFolder, replacing
from training.onnx_file import to_float16
from training.parity import check_parity
from training.provenance import provenance
from training.quantize import quantize, to_observe
from training.stored_half import store_in_half

Report = Callable[[str], None]
_UNMEASURED = Parity(tolerance=0, measured=0)


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
    target = models / exportable.name
    with replacing(target) as path:
        folder = ModelFolder(path, exportable.version, exportable.deviation)
        manifest = _Build(exportable, folder, report).make(_existing(target))
    return target, manifest


def _existing(target: Path) -> Manifest | None:
    try:
        return read_manifest(target)
    except ManifestError:
        return None


@dataclass(frozen=True, slots=True)
class _Build:
    exportable: Exportable
    folder: ModelFolder
    report: Report

    def make(self, before: Manifest | None) -> Manifest:
        """Fill the folder; ``before`` is the model it is going to replace."""
        for role, graph in self.exportable.graphs.items():
            self._add_variants(role, graph)
            self.folder.record_inputs(
                role, [{name: item[name] for name in graph.example} for item in graph.golden]
            )
            for precision in graph.precisions:
                self.folder.record_outputs(role, precision, graph.golden, graph.tolerance)
        for name, asset in self.exportable.assets.items():
            self.folder.add_asset(name, asset.file, asset.content)
        manifest = Manifest(
            name=self.exportable.name,
            version=self.exportable.version,
            task=self.exportable.task,
            description=self.exportable.description,
            default=self.exportable.default,
            graphs=self.folder.variants,
            input=self.exportable.input,
            labels=self.exportable.labels,
            assets=self.folder.assets,
            options=self.exportable.options,
            golden=self.folder.write_golden(),
            metrics=self._metrics(before),
            provenance=provenance(
                command=self.exportable.command,
                data=self.exportable.data,
                licence=self.exportable.licence,
                config=self.exportable.config,
                seed=self.exportable.seed,
            ),
        )
        return self.folder.finish(manifest, self.exportable.card)

    def _add_variants(self, role: str, graph: Graph) -> None:
        self.report(f"{role}: exporting")
        model = to_onnx(graph)
        # Other precisions are made of the plain graph, whose weights stand right at their nodes.
        stored = store_in_half(model) if graph.half_weights else model
        self.folder.add(role, "fp32", stored, Parity(tolerance=graph.tolerance, measured=0))
        self.report(f"{role}: comparing with PyTorch on {len(graph.checked)} inputs")
        measured = check_parity(
            self.folder.open(role, "fp32"),
            graph.checked,
            partial(reference, graph),
            graph.tolerance,
            f"{role}.fp32",
            deviation=self.exportable.deviation,
            same=graph.same,
        )
        parity = Parity(tolerance=graph.tolerance, measured=measured)
        self.folder.note_parity(role, "fp32", parity)
        if "fp16" in graph.precisions:
            self.report(f"{role}: making fp16")
            half = round_maps(model) if graph.has_coordinates else to_float16(model)
            self.folder.add(role, "fp16", half, _UNMEASURED)
        if "int8" in graph.precisions:
            self.report(f"{role}: making int8 from {len(graph.calibration)} calibration inputs")
            ranges = calibrate(model, graph.calibration, to_observe(model))
            integers = quantize(model, ranges, graph.keep_float)
            self.folder.add(role, "int8", integers, _UNMEASURED)

    def _metrics(self, before: Manifest | None) -> tuple[Metric, ...]:
        variants = self.folder.variants
        if self.exportable.evaluate is None:
            return _still_true(self.folder, before)
        shared = [
            precision
            for precision in next(iter(variants.values()))
            if all(precision in made for made in variants.values())
        ]
        metrics = []
        for precision in shared:
            self.report(f"measuring {precision}")
            sessions = {role: self.folder.open(role, precision) for role in variants}
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


def _still_true(folder: ModelFolder, before: Manifest | None) -> tuple[Metric, ...]:
    """The figures measured earlier, of those variants whose files are byte for byte the same."""
    if before is None or folder.assets != before.assets:
        return ()

    def hashes(graphs: Mapping[str, Mapping[Precision, Variant]], precision: Precision) -> object:
        return {role: made[precision].sha256 for role, made in graphs.items() if precision in made}

    return tuple(
        metric
        for metric in before.metrics
        if hashes(folder.variants, metric.variant) == hashes(before.graphs, metric.variant)
    )
