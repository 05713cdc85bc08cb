"""Where models run and on how many CPUs, with made-up machines."""

import logging
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from service import device
from service.device import CPU_PROVIDER, CUDA_PROVIDER, Device, Requested, resolve
from service.errors import DeviceError


class CudaBuild:
    """Stands for ONNX Runtime's CUDA build: sessions that say and do what a test wants."""

    def __init__(self, runs_on: str = CUDA_PROVIDER, failure: Exception | None = None) -> None:
        self.runs_on = runs_on
        self.failure = failure
        self.ran = 0

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ort, "get_available_providers", lambda: [CUDA_PROVIDER, CPU_PROVIDER])
        monkeypatch.setattr(ort, "preload_dlls", lambda: None)
        monkeypatch.setattr(ort, "InferenceSession", self.session)

    def session(self, graph: bytes, providers: Sequence[str]) -> "CudaBuild":
        assert graph == device.PROBE_GRAPH
        assert providers[0] == CUDA_PROVIDER
        return self

    def disable_fallback(self) -> None:
        pass

    def get_providers(self) -> list[str]:
        return [self.runs_on]

    def run(self, _: None, __: dict[str, Any]) -> None:
        self.ran += 1
        if self.failure is not None:
            raise self.failure


@pytest.fixture
def no_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: [CPU_PROVIDER])


def test_the_probe_is_the_graph_its_comment_describes() -> None:
    def tensor(name: str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1])

    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["y"])], "probe", [tensor("x")], [tensor("y")]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    assert onnx.load_from_string(device.PROBE_GRAPH) == model
    onnx.checker.check_model(device.PROBE_GRAPH)
    session = ort.InferenceSession(device.PROBE_GRAPH, providers=[CPU_PROVIDER])
    assert session.run(None, {"x": np.array([1.5], np.float32)})[0].tolist() == [3.0]


@pytest.mark.usefixtures("no_cuda")
@pytest.mark.parametrize("requested", ["auto", "cpu"])
def test_a_build_without_cuda_runs_on_the_cpu_and_calls_it_no_degradation(
    requested: Requested,
) -> None:
    assert resolve(requested, 3) == Device("cpu", 3, degraded=None)


@pytest.mark.usefixtures("no_cuda")
def test_cuda_is_refused_by_a_build_without_it() -> None:
    with pytest.raises(DeviceError, match=r"SIGHTLINE_DEVICE=cuda.*install the 'gpu' extra"):
        resolve("cuda")


@pytest.mark.parametrize("requested", ["auto", "cuda"])
def test_cuda_is_used_once_a_session_has_run_there(
    monkeypatch: pytest.MonkeyPatch, requested: Requested
) -> None:
    build = CudaBuild()
    build.install(monkeypatch)
    assert resolve(requested, 2) == Device("cuda", 2)
    assert build.ran == 1


def test_cpu_is_used_when_asked_for_although_cuda_would_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    build = CudaBuild()
    build.install(monkeypatch)
    assert resolve("cpu", 2) == Device("cpu", 2)
    assert build.ran == 0


BROKEN = [
    (CudaBuild(runs_on=CPU_PROVIDER), "fell back to the CPU"),
    (CudaBuild(failure=RuntimeError("no kernel image\nlong story")), "no kernel image"),
    (CudaBuild(failure=RuntimeError()), "RuntimeError"),
]


@pytest.mark.parametrize(("build", "why"), BROKEN, ids=["fallback", "failure", "silent failure"])
def test_without_a_working_gpu_auto_degrades_and_says_why(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    build: CudaBuild,
    why: str,
) -> None:
    build.install(monkeypatch)
    with caplog.at_level(logging.WARNING):
        found = resolve("auto", 2)
    assert found.kind == "cpu"
    assert found.degraded is not None
    assert why in found.degraded
    assert "long story" not in found.degraded
    assert found.degraded in caplog.text


@pytest.mark.parametrize(("build", "why"), BROKEN, ids=["fallback", "failure", "silent failure"])
def test_without_a_working_gpu_cuda_refuses_and_says_why(
    monkeypatch: pytest.MonkeyPatch, build: CudaBuild, why: str
) -> None:
    build.install(monkeypatch)
    with pytest.raises(DeviceError, match=f"SIGHTLINE_DEVICE=cuda.*{why}"):
        resolve("cuda", 2)


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


@pytest.mark.parametrize(
    ("membership", "files", "quota"),
    [
        pytest.param("0::/\n", {"cpu.max": "max 100000\n"}, math.inf, id="v2 unlimited"),
        pytest.param("0::/\n", {"cpu.max": "200000 100000\n"}, 2.0, id="v2 at the root"),
        pytest.param("0::/app\n", {"app/cpu.max": "150000 100000\n"}, 1.5, id="v2 fractional"),
        pytest.param(
            "0::/pod/app\n",
            {"pod/cpu.max": "300000 100000\n", "pod/app/cpu.max": "max 100000\n"},
            3.0,
            id="v2 the parent's",
        ),
        pytest.param(
            "0::/pod/app\n",
            {"pod/cpu.max": "800000 100000\n", "pod/app/cpu.max": "50000 100000\n"},
            0.5,
            id="v2 the tightest of several",
        ),
        pytest.param(
            "0::/host/path/app\n", {"cpu.max": "400000 100000\n"}, 4.0, id="v2 foreign path"
        ),
        pytest.param("0::/app\n", {}, math.inf, id="v2 no files"),
        pytest.param("0::/\n", {"cpu.max": "gibberish\n"}, math.inf, id="v2 unreadable"),
        pytest.param("0::/\n", {"cpu.max": "many 100000\n"}, math.inf, id="v2 no number"),
        pytest.param("\nnonsense\n", {"cpu.max": "100000 100000"}, math.inf, id="odd membership"),
        pytest.param(
            "4:memory:/app\n3:cpu,cpuacct:/app\n1:name=systemd:/app\n",
            {
                "cpu,cpuacct/app/cpu.cfs_quota_us": "250000\n",
                "cpu,cpuacct/app/cpu.cfs_period_us": "100000\n",
                "memory/app/cpu.max": "1 100000",
            },
            2.5,
            id="v1",
        ),
        pytest.param(
            "3:cpu:/pod/app\n",
            {
                "cpu/cpu.cfs_quota_us": "-1\n",
                "cpu/cpu.cfs_period_us": "100000\n",
                "cpu/pod/cpu.cfs_quota_us": "100000\n",
                "cpu/pod/cpu.cfs_period_us": "50000\n",
                "cpu/pod/app/cpu.cfs_quota_us": "-1\n",
                "cpu/pod/app/cpu.cfs_period_us": "100000\n",
            },
            2.0,
            id="v1 the parent's",
        ),
        pytest.param("3:cpu:/\n", {"cpu/cpu.cfs_quota_us": "100\n"}, math.inf, id="v1 no period"),
        pytest.param(
            "3:cpu:/app\n0::/app\n",
            {
                "cpu/app/cpu.cfs_quota_us": "700000\n",
                "cpu/app/cpu.cfs_period_us": "100000\n",
                "app/cpu.max": "600000 100000\n",
            },
            6.0,
            id="hybrid",
        ),
    ],
)
def test_the_tightest_quota_of_the_cgroup_and_its_ancestors_counts(
    tmp_path: Path, membership: str, files: dict[str, str], quota: float
) -> None:
    root = tree(tmp_path / "cgroup", files)
    (tmp_path / "membership").write_text(membership)
    assert device.cgroup_cpu_quota(root, tmp_path / "membership") == quota


def test_without_cgroups_there_is_no_quota(tmp_path: Path) -> None:
    assert device.cgroup_cpu_quota(tmp_path, tmp_path / "missing") == math.inf


@pytest.mark.parametrize(
    ("affinity", "quota", "cpus"),
    [(8, math.inf, 8), (8, 2.0, 2), (8, 2.9, 2), (8, 0.5, 1), (2, 16.0, 2), (1, math.inf, 1)],
)
def test_whole_cpus_are_the_affinity_mask_bounded_by_the_quota(
    monkeypatch: pytest.MonkeyPatch, affinity: int, quota: float, cpus: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(affinity)))
    monkeypatch.setattr(device, "cgroup_cpu_quota", lambda: quota)
    assert device.available_cpus() == cpus
    assert resolve("cpu").cpus == cpus
    assert resolve("cpu", 5).cpus == 5


def test_where_there_is_no_affinity_mask_all_cpus_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    monkeypatch.setattr(device, "cgroup_cpu_quota", lambda: math.inf)
    assert device.available_cpus() == 6
