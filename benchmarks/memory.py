"""The resident memory of a server's processes over time."""

import asyncio
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_MIB = 1 << 20
_PAUSE_S = 1.0


@dataclass(slots=True)
class Memory:
    """Samples of the resident memory of a process and all below it."""

    at_s: list[float] = field(default_factory=list)
    resident_bytes: list[int] = field(default_factory=list)

    async def watch(self, pid: int, end: float) -> None:
        """Sample once a second until ``end`` on the clock of ``time.perf_counter``."""
        began = time.perf_counter()
        while (now := time.perf_counter()) < end:
            self.at_s.append(now - began)
            self.resident_bytes.append(sum(map(resident, [pid, *children(pid)])))
            await asyncio.sleep(_PAUSE_S)

    def growth_percent(self, settling: float) -> float:
        """How much a line through the samples rises, in percent of its beginning.

        Args:
            settling: the share of the time that is left out at the beginning.
        """
        at_s, resident_bytes = self._settled(settling)
        if len(at_s) < 2:
            return float("nan")
        slope, start = np.polyfit(at_s - at_s[0], resident_bytes, 1)
        return float(100 * slope * (at_s[-1] - at_s[0]) / start)

    def mean_mib(self, settling: float) -> float:
        """The mean after ``settling``, in MiB."""
        return float(np.mean(self._settled(settling)[1])) / _MIB

    def _settled(self, settling: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        first = int(len(self.at_s) * settling)
        return np.array(self.at_s[first:]), np.array(self.resident_bytes[first:], np.float64)


def resident(pid: int) -> int:
    """The resident memory of a process in bytes; 0 if it is gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def children(pid: int) -> list[int]:
    """The processes a process has started, from any of its threads."""
    found = []
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(child) for child in tasks.read_text().split()]
    return found
