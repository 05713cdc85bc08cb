"""A model folder under construction: files, golden outputs, manifest, card; or nothing at all.

Everything is built and checked in a temporary folder and takes the place of ``models/<name>`` only
at the end. What is written is run through the service's own session and read back as the service
reads it. PyTorch is not needed here.
"""

import contextlib
import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import onnx
from numpy.typing import NDArray

from service.arena import configure
from service.contract import (
    GOLDEN_FILE,
    MANIFEST_FILE,
    MAX_ASSET_BYTES,
    FileRef,
    Manifest,
    Parity,
    Precision,
    Variant,
    read_manifest,
)
from service.device import Device, available_cpus
from service.golden import Deviation, replay, tensorwise
from service.session import Arrays, Session, open_session, stack
from training.card import Card, render
from training.golden import write_arrays
from training.onnx_file import save, variant
from training.parity import run_unfused

CARD_FILE = "MODEL_CARD.md"
_ARENA_MIB = 8192
#: How many times as far as two ways of computing a variant here differ, another machine may differ.
_REPLAY_MARGIN = 4.0

Variants = dict[str, dict[Precision, Variant]]


@contextlib.contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """An empty folder that takes the place of ``target`` when the block ends without an error.

    Args:
        target: ``models/<name>``, which may exist; the folders above it are made if missing.
    """
    models = target.parent
    models.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=models) as temporary:
        folder = Path(temporary) / target.name
        folder.mkdir()
        yield folder
        _swap(folder, target, Path(temporary) / "before")


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


class ModelFolder:
    """The folder while it fills.

    Attributes:
        path: of the folder; its name is the model's.
        variants: what was added, by role and precision.
        assets: other files that were added, by name.
    """

    def __init__(self, path: Path, version: str, deviation: Deviation = tensorwise) -> None:
        """Begin with nothing.

        Args:
            path: of the folder, which exists and is empty.
            version: names the folder of the graphs in it.
            deviation: how far an item's outputs stand apart, as the model's task measures it.
        """
        configure(_ARENA_MIB)
        self.path = path
        self.variants: Variants = {}
        self.assets: dict[str, FileRef] = {}
        self._version = version
        self._deviation = deviation
        self._golden: dict[str, NDArray[Any]] = {}

    def add(self, role: str, precision: Precision, model: onnx.ModelProto, parity: Parity) -> None:
        """Write a graph as one variant of a role."""
        stem = "model" if role == "main" else role
        suffix = "" if precision == "fp32" else f".{precision}"
        file = f"{self._version}/{stem}{suffix}.onnx"
        described = variant(model, file, save(model, self.path / file), parity)
        self.variants.setdefault(role, {})[precision] = described

    def add_asset(self, name: str, file: str, content: bytes) -> None:
        """Write a file that is no graph.

        Args:
            name: in the manifest.
            file: its name in the folder of the version.
            content: of the file.

        Raises:
            ValueError: it is larger than the service reads, or is to lie outside the folder.
            FileExistsError: there is such a file.
        """
        if len(content) > MAX_ASSET_BYTES:
            raise ValueError(
                f"asset {name!r} has {len(content):,} bytes; at most {MAX_ASSET_BYTES:,} are served"
            )
        sha256 = hashlib.sha256(content).hexdigest()
        described = FileRef(file=f"{self._version}/{file}", sha256=sha256)
        path = self.path / described.file
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as written:
            written.write(content)
        self.assets[name] = described

    def note_parity(self, role: str, precision: Precision, parity: Parity) -> None:
        """Say how closely a variant meets its reference."""
        described = self.variants[role][precision]
        self.variants[role][precision] = described.model_copy(update={"parity": parity})

    def open(self, role: str, precision: Precision) -> Session:
        """A variant as the service opens it on a CPU.

        Raises:
            GraphError: ONNX Runtime cannot load it.
        """
        described = self.variants[role][precision]
        field = f"graphs.{role}.{precision}"
        device = Device("cpu", available_cpus())
        return open_session(self.path / described.file, described, field, device)

    def record_inputs(self, role: str, items: Sequence[Arrays]) -> None:
        """Note a role's golden inputs, given without the batch dimension."""
        for name in items[0]:
            self._golden[f"{role}.input.{name}"] = stack([item[name] for item in items])

    def record_outputs(
        self, role: str, precision: Precision, items: Sequence[Arrays], tolerance: float
    ) -> None:
        """Note a variant's golden outputs, and say how closely a replay must meet them.

        For fp32 the tolerance stands in its parity already. Another variant may differ from
        machine to machine by some times what two ways of computing it here differ: the same graph
        without integer kernels, and for fp16, which no CPU computes as a GPU does, the graph it
        was rounded from, where the folder holds one.

        Args:
            role: the graph's role.
            precision: the variant's.
            items: the golden inputs.
            tolerance: the least to allow a variant other than fp32.

        Raises:
            GraphError: the outputs do not come back.
        """
        session = self.open(role, precision)
        answers = session.run(items)
        outputs = {name: stack([answer[name] for answer in answers]) for name in answers[0]}
        self._golden |= {f"{role}.{precision}.{name}": array for name, array in outputs.items()}
        variants = self.variants[role]
        if precision == "fp32":
            self._replay(session, role, precision)
            return
        other_way = "fp32" if precision == "fp16" and "fp32" in variants else precision
        unfused = run_unfused(self.path / variants[other_way].file, items)
        furthest = max(
            self._deviation(answer, {name: array[row] for name, array in unfused.items()})
            for row, answer in enumerate(answers)
        )
        tolerance = max(round(_REPLAY_MARGIN * furthest, 6), tolerance)
        self.note_parity(role, precision, Parity(tolerance=tolerance, measured=0))
        measured = self._replay(session, role, precision)
        self.note_parity(role, precision, Parity(tolerance=tolerance, measured=measured))

    def _replay(self, session: Session, role: str, precision: Precision) -> float:
        described = self.variants[role][precision]
        return replay(session, described, role, precision, self._golden, self._deviation)

    def write_golden(self) -> FileRef:
        """Write the golden file."""
        path = self.path / GOLDEN_FILE
        write_arrays(path, self._golden)
        return FileRef(file=GOLDEN_FILE, sha256=hashlib.sha256(path.read_bytes()).hexdigest())

    def finish(self, manifest: Manifest, card: Card) -> Manifest:
        """Write manifest and card, and read the manifest back as the service does.

        Raises:
            ManifestError: it breaks the contract.
        """
        (self.path / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=2) + "\n")
        (self.path / CARD_FILE).write_text(render(manifest, card, self.path))
        return read_manifest(self.path)
