"""The model card (Mitchell et al., 2019, https://arxiv.org/abs/1810.03993) of a model folder."""

from dataclasses import dataclass
from pathlib import Path

from service.contract import Manifest

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Card:
    """What the model card says in words; the tables are made from the manifest.

    Attributes:
        summary: what the model is, where it comes from.
        use: what it is for, and what it is not for.
        data: what it was trained, calibrated and measured on, and under which terms.
        figures: how to read the measured figures.
        reference: what the float32 graph was compared with.
        unmeasured: why there is no figure, where there is none.
    """

    summary: str
    use: str
    data: str
    figures: str
    reference: str = "PyTorch"
    unmeasured: str = (
        "they were made without the pictures to measure them on, and are not byte for byte the "
        "files that were measured before"
    )


def render(manifest: Manifest, card: Card, folder: Path) -> str:
    """Write the card in Markdown: the recipe's words, the manifest's figures.

    Args:
        manifest: of the model.
        card: the words.
        folder: where the graphs lie, for their sizes.
    """
    parts = [
        f"# {manifest.name}",
        card.summary,
        "## Use",
        card.use,
        "## Input",
        _input(manifest),
        "## Variants",
        _variants(manifest, card, folder),
        "## Measured",
        _metrics(manifest, card),
        card.figures,
        "## Data and licence",
        card.data,
        _sources(manifest),
        "## Made by",
        _made_by(manifest),
    ]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def _input(manifest: Manifest) -> str:
    geometry = manifest.input
    crop = f", crop {geometry.crop:.4g}" if geometry.crop != 1 else ""
    return (
        f"RGB, {geometry.width}x{geometry.height} pixels, `{geometry.resize}`{crop}, "
        f"{geometry.interpolation}. Pixels go in as bytes; normalisation is part of the graph."
    )


def _variants(manifest: Manifest, card: Card, folder: Path) -> str:
    rows = [
        [
            f"`{variant.file}`",
            role,
            precision,
            f"{(folder / variant.file).stat().st_size / _MIB:.1f} MiB",
            f"{variant.parity.measured:.2g} of {variant.parity.tolerance:.2g}",
        ]
        for role, variants in manifest.graphs.items()
        for precision, variant in variants.items()
    ]
    note = (
        f"Deviation: of fp32 from {card.reference}, of the others from their own recorded outputs "
        "when replayed; measured where it was made, and the most another machine may show."
    )
    return _table(["file", "role", "precision", "size", "deviation"], rows) + "\n\n" + note


def _metrics(manifest: Manifest, card: Card) -> str:
    if not manifest.metrics:
        return f"Nothing was measured for these files: {card.unmeasured}."
    precisions = list(dict.fromkeys(metric.variant for metric in manifest.metrics))
    values = {
        (metric.name, metric.dataset, metric.split, metric.variant): metric
        for metric in manifest.metrics
    }
    rows = []
    for name, dataset, split in dict.fromkeys(key[:3] for key in values):
        found = [values.get((name, dataset, split, precision)) for precision in precisions]
        samples = next(metric.samples for metric in found if metric)
        figures = [f"{metric.value:.4f}" if metric else "" for metric in found]
        rows.append([name, f"{dataset} ({split})", str(samples or ""), *figures])
    table = _table(["figure", "data", "samples", *precisions], rows)
    unmeasured = [precision for precision in manifest.precisions if precision not in precisions]
    if not unmeasured:
        return table
    return f"{table}\n\n{', '.join(unmeasured)}: not measured since the file last changed."


def _sources(manifest: Manifest) -> str:
    rows = [[source.name, source.licence, source.url or ""] for source in manifest.provenance.data]
    return _table(["source", "licence", "address"], rows) if rows else ""


def _made_by(manifest: Manifest) -> str:
    made = manifest.provenance
    libraries = ", ".join(f"{name} {version}" for name, version in made.libraries.items())
    return f"`{made.command}` on {made.created} with {libraries}. Licence: {made.licence}."


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
