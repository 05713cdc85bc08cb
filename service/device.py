"""Which processor the models run on, and how much of it this process may use."""

import base64
import logging
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import onnxruntime as ort

from service.errors import DeviceError

log = logging.getLogger(__name__)

Requested = Literal["auto", "cpu", "cuda"]
Kind = Literal["cpu", "cuda"]

CUDA_PROVIDER = "CUDAExecutionProvider"
CPU_PROVIDER = "CPUExecutionProvider"

# y = x + x on float32[1] (ONNX IR 8, opset 17): small enough to carry, real enough to show where
# a session runs. ONNX Runtime falls back to the CPU in silence; only a live session tells.
PROBE_GRAPH = base64.b64decode(
    "CAg6OQoOCgF4CgF4EgF5IgNBZGQSBXByb2JlWg8KAXgSCgoICAESBAoCCAFiDwoBeRIKCggIARIECgIIAUIECgAQEQ=="
)


@dataclass(frozen=True, slots=True)
class Device:
    """Where sessions run.

    Attributes:
        kind: the processor in use.
        cpus: whole CPUs this process may use.
        degraded: why ``auto`` settled for less than the machine promises; ``None`` if it did not.
    """

    kind: Kind
    cpus: int
    degraded: str | None = None


def resolve(requested: Requested, cpus: int | None = None) -> Device:
    """Decide where to run, by running something there.

    Raises:
        DeviceError: ``cuda`` was requested and a session does not run there.
    """
    count = cpus or available_cpus()
    if requested == "cpu":
        return Device("cpu", count)
    if CUDA_PROVIDER not in ort.get_available_providers():
        if requested == "cuda":
            raise DeviceError(
                "SIGHTLINE_DEVICE=cuda, but the installed ONNX Runtime has no CUDA provider; "
                "install the 'gpu' extra instead of 'cpu'"
            )
        return Device("cpu", count)
    failure = _cuda_failure()
    if failure is None:
        return Device("cuda", count)
    if requested == "cuda":
        raise DeviceError(f"SIGHTLINE_DEVICE=cuda, but no session runs there: {failure}")
    log.warning("running on the CPU although this build has CUDA: %s", failure)
    return Device("cpu", count, degraded=failure)


def _cuda_failure() -> str | None:
    """Why a session does not run on CUDA, or ``None`` if one does."""
    try:
        ort.preload_dlls()
        session = ort.InferenceSession(PROBE_GRAPH, providers=[CUDA_PROVIDER, CPU_PROVIDER])
        session.disable_fallback()
        if session.get_providers()[0] != CUDA_PROVIDER:
            return "ONNX Runtime fell back to the CPU; is there a GPU with a matching driver?"
        session.run(None, {"x": np.ones(1, np.float32)})
    except Exception as error:  # the runtime's own exceptions share no base class
        return str(error).partition("\n")[0] or type(error).__name__
    return None


def available_cpus() -> int:
    """Whole CPUs this process may use: its affinity mask, bounded by its cgroups' quotas."""
    try:
        allowed = len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        allowed = os.cpu_count() or 1
    return max(1, int(min(allowed, cgroup_cpu_quota())))


def cgroup_cpu_quota(
    root: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")
) -> float:
    """The tightest CPU quota of this process's cgroup and its ancestors, in CPUs.

    Reads version 2 (``cpu.max``) and version 1 (``cpu.cfs_quota_us``); infinite without a quota.
    """
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return math.inf
    tightest = math.inf
    for line in lines:
        controllers, colon, path = line.partition(":")[2].partition(":")
        if not colon or (controllers and "cpu" not in controllers.split(",")):
            continue
        base = root / controllers if controllers else root
        leaf = base / path.lstrip("/")
        for folder in (leaf, *leaf.parents):
            tightest = min(tightest, _quota_of(folder))
            if folder == base:
                break
    return tightest


def _quota_of(folder: Path) -> float:
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text().strip()
            period = (folder / "cpu.cfs_period_us").read_text().strip()
        return math.inf if quota in ("max", "-1") else float(quota) / float(period)
    except (OSError, ValueError):
        return math.inf
