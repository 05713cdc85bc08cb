"""What loading models has found out by measuring, so that it need not be measured again.

A model that is loaded again has the same files, and a worker that takes another's place runs on the
same device: what was found the first time holds. Everything is keyed by the hashes of files.
"""

from collections.abc import MutableMapping
from dataclasses import dataclass, field

from service.contract import Precision

Candidates = tuple[str, ...]
"""The hashes of all files among which a variant was chosen, in a fixed order."""
Run = tuple[str, tuple[tuple[int, ...], ...]]
"""A graph's hash, and the shapes that went into it."""


@dataclass(frozen=True, slots=True)
class Findings:
    """Of one device, under one set of settings; filled by several threads.

    Attributes:
        fastest: the precision that was chosen among the candidates.
        footprints: bytes of an arena that a run takes for each byte that goes in.
    """

    fastest: MutableMapping[Candidates, Precision] = field(default_factory=dict)
    footprints: MutableMapping[Run, float] = field(default_factory=dict)

    def add(self, others: "Findings") -> None:
        """Take over what another process has found."""
        self.fastest.update(others.fastest)
        self.footprints.update(others.footprints)
