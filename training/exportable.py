"""What a task hands over to become a model folder; ``training.export`` knows nothing else."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from service.contract import DataSource, InputGeometry, Precision
from service.golden import Deviation, tensorwise
from service.session import Arrays, Session
from training.card import Card

__all__ = ["Asset", "Card", "Evaluate", "Exportable", "Graph", "Same", "Score"]

Same = Callable[[Arrays, Arrays], bool]
"""Whether two outputs for one item mean the same: (expected, actual)."""


@dataclass(frozen=True, slots=True)
class Score:
    """A measured quality of one variant; see ``service.contract.Metric``."""

    name: str
    value: float
    dataset: str
    split: str
    samples: int
    ranks: bool = True


Evaluate = Callable[[Mapping[str, Session]], Sequence[Score]]
"""Measures one variant, given an open session for every role. Called for fp32 first."""


@dataclass(frozen=True, slots=True)
class Asset:
    """A file that a model needs beside its graphs, such as a vocabulary.

    Attributes:
        file: its name in the folder of the version.
        content: of at most ``service.contract.MAX_ASSET_BYTES``.
    """

    file: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Graph:
    """One graph of a model.

    Attributes:
        module: gives a tensor or a tuple of tensors, batch first.
        example: the inputs by name, in the order ``module`` takes them, for a batch of two.
        outputs: names of the outputs, in order.
        golden: two items to record the outputs of; generated, as they are committed.
        checked: items to compare PyTorch and ONNX Runtime on, without the batch dimension.
        calibration: items that show the 8-bit variant what values to expect; none, no variant.
        dynamic: for each input the axes of free length and the names of the lengths.
        precisions: the variants to make.
        tolerance: how far fp32 may stand from PyTorch, as the exportable's ``deviation`` has it.
        same: a further condition every checked item must meet.
        keep_float: names of ONNX nodes the 8-bit variant computes in float32.
        half_weights: the fp32 file holds weights in 16 bits, as ``training.stored_half`` has it;
            for a module whose weights are rounded already.
        has_coordinates: the graph also computes coordinates, which float16 would spoil: its fp16
            variant rounds what computes feature maps alone.
        translations: how the exporter writes operators of our own, by the operator.
    """

    module: nn.Module
    example: Mapping[str, Tensor]
    outputs: tuple[str, ...]
    golden: Sequence[Arrays]
    checked: Sequence[Arrays]
    calibration: Sequence[Arrays] = ()
    dynamic: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    precisions: tuple[Precision, ...] = ("fp32", "fp16", "int8")
    tolerance: float = 1e-4
    same: Same | None = None
    keep_float: frozenset[str] = frozenset()
    half_weights: bool = False
    has_coordinates: bool = False
    translations: Mapping[Any, Callable[..., Any]] = field(default_factory=dict)

    def axes(self, name: str) -> Mapping[int, str]:
        """The free axes of an input: the batch, unless said otherwise."""
        return self.dynamic.get(name, {0: "N"})


@dataclass(frozen=True, slots=True)
class Exportable:
    """A model ready to be exported; the fields are the manifest's where they share a name.

    ``assets`` are the files by their names in the manifest. ``deviation`` is the task's of the same
    name in the service.
    """

    name: str
    version: str
    task: str
    description: str
    graphs: Mapping[str, Graph]
    input: InputGeometry
    card: Card
    command: str
    data: tuple[DataSource, ...]
    licence: str
    default: bool = False
    labels: tuple[str, ...] = ()
    options: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    assets: Mapping[str, Asset] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    evaluate: Evaluate | None = None
    deviation: Deviation = tensorwise
