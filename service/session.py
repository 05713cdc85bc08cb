"""ONNX Runtime behind a small protocol: one graph, loaded on a device, run by many threads.

On a CPU every graph has two sessions. The *narrow* one uses one thread a run, so that as many
runs as there are CPUs go at full speed side by side; the *wide* one spreads a single run over all
CPUs and serves a request that is alone in the service. Spinning is off in both: idle threads
sleep instead of taking the CPU from the runs. All CPU sessions allocate from one bounded arena.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from service.contract import DType, TensorSpec, Variant
from service.device import CPU_PROVIDER, CUDA_PROVIDER, Device
from service.errors import (
    DeviceError,
    GraphError,
    InferenceError,
    LateError,
    OutOfMemoryError,
    SightlineError,
)
from service.fault import error_of
from service.memory import shrink_after

log = logging.getLogger(__name__)

Arrays = Mapping[str, NDArray[Any]]
"""Tensors by name, without the batch dimension when they belong to one item; a number of one item
is an array of shape ``()``."""

_DTYPE_OF_ORT: Mapping[str, DType] = {
    "tensor(bool)": "bool",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(float16)": "float16",
    "tensor(float)": "float32",
    "tensor(string)": "string",
}
_PINNED_BUFFERS = 32
_MIB = 1 << 20


class Session(Protocol):
    """A graph that can be run."""

    def run(self, items: Sequence[Arrays], *, lone: bool = False) -> list[Arrays]:
        """Run the graph once over a batch.

        Args:
            items: one mapping of input name to array an item, all of one shape and dtype.
            lone: nothing else is waiting, so this run may take the whole device.

        Returns:
            One mapping of output name to array an item, in order.

        Raises:
            InferenceError: the graph failed on this batch, or there was no memory for it, or the
                device failed; see service.errors.
            LateError: the run was told to end.
        """
        ...


@runtime_checkable
class Endable(Protocol):
    """A session whose runs can be told to end."""

    def end(self, older_than_s: float = 0.0) -> int:
        """Tell runs under way to end at the next node of their graph; how many were told."""
        ...


class RunsUnderWay:
    """The runs of one session that have begun and not ended."""

    def __init__(self) -> None:
        """There are none."""
        self._began: dict[int, tuple[float, ort.RunOptions]] = {}

    @contextmanager
    def one(self) -> Iterator[ort.RunOptions]:
        """Options for one run, which is under way while the block runs."""
        options = ort.RunOptions()
        self._began[id(options)] = time.monotonic(), options
        try:
            yield options
        finally:
            del self._began[id(options)]

    def end(self, older_than_s: float = 0.0) -> int:
        """See Endable.end."""
        now, told = time.monotonic(), 0
        for began, options in list(self._began.values()):
            if now - began >= older_than_s and not options.terminate:
                options.terminate = True
                told += 1
        return told


class CpuSession:
    """A graph on the CPU: narrow for throughput, wide for a lone request.

    The wide session is opened by the first run that is alone.
    """

    def __init__(self, path: Path, variant: Variant, field: str, cpus: int) -> None:
        """Load the graph and hold it against its manifest.

        Raises:
            GraphError: the file cannot be loaded or its signature differs; names the field.
        """
        self._narrow = _load(path, _options(threads=1), [CPU_PROVIDER])
        check_signature(self._narrow, variant, field)
        self._path, self._cpus = path, cpus
        self._wide = self._narrow if cpus == 1 else None
        self._widening = threading.Lock()
        self._outputs = [spec.name for spec in variant.outputs]
        self._under_way = RunsUnderWay()
        self.end = self._under_way.end
        self._is_of_any_size = any(spec.is_of_any_size for spec in variant.inputs)
        self._was_short = False

    def run(self, items: Sequence[Arrays], *, lone: bool = False) -> list[Arrays]:
        """See Session.run."""
        session = self._widened() if lone else self._narrow
        batch = {name: stack([item[name] for item in items]) for name in items[0]}
        try:
            with self._under_way.one() as how:
                if self._is_of_any_size or self._was_short:
                    shrink_after(how)
                outputs = session.run(self._outputs, batch, how)
        except Exception as error:  # the runtime's own exceptions share no base class
            failure = _failure(error)
            self._was_short = isinstance(failure, OutOfMemoryError)
            raise failure from error
        self._was_short = False
        return split(dict(zip(self._outputs, outputs, strict=True)), len(items))

    def _widened(self) -> ort.InferenceSession:
        """The wide session, opened by the first run that wants it: a variant may not be chosen."""
        with self._widening:
            if self._wide is None:
                self._wide = _load(self._path, _options(self._cpus), [CPU_PROVIDER])
            return self._wide


class CudaSession:
    """A graph on an NVIDIA GPU, fed through pinned host buffers and I/O binding."""

    def __init__(self, path: Path, variant: Variant, field: str, gpu_mem_mib: int | None) -> None:
        """Load the graph and hold it against its manifest.

        Raises:
            GraphError: the file cannot be loaded or its signature differs; names the field.
            DeviceError: the session was not placed on the GPU.
        """
        provider = {
            "arena_extend_strategy": "kSameAsRequested",
            "cudnn_conv_algo_search": "HEURISTIC",
            "cudnn_conv_use_max_workspace": "1",
            "use_tf32": "0",  # fp32 means fp32; what wants speed ships an fp16 variant
            **({"gpu_mem_limit": str(gpu_mem_mib * _MIB)} if gpu_mem_mib else {}),
        }
        options = _options(threads=1)
        self._session = _load(path, options, [(CUDA_PROVIDER, provider), CPU_PROVIDER])
        if self._session.get_providers()[0] != CUDA_PROVIDER:
            raise DeviceError(f"{path}: the session fell back to {self._session.get_providers()}")
        check_signature(self._session, variant, field)
        self._outputs = [spec.name for spec in variant.outputs]
        self._buffers = _PinnedBuffers()
        self._under_way = RunsUnderWay()
        self.end = self._under_way.end

    def run(self, items: Sequence[Arrays], *, lone: bool = False) -> list[Arrays]:  # noqa: ARG002
        """See Session.run; a GPU run always has the whole device."""
        try:
            binding = self._session.io_binding()
            for name in items[0]:
                binding.bind_ortvalue_input(name, self._buffers.fill(name, items))
            for name in self._outputs:
                binding.bind_output(name, "cpu")
            with self._under_way.one() as how:
                self._session.run_with_iobinding(binding, how)
            outputs = binding.copy_outputs_to_cpu()
        except Exception as error:  # the runtime's own exceptions share no base class
            raise _failure(error) from error
        return split(dict(zip(self._outputs, outputs, strict=True)), len(items))


class _PinnedBuffers(threading.local):
    """Host memory the GPU reads directly, reused between the runs of one thread."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Any, ...], ort.OrtValue] = OrderedDict()

    def fill(self, name: str, items: Sequence[Arrays]) -> ort.OrtValue:
        """Stack one input of a batch into a buffer of its shape."""
        first = items[0][name]
        shape = (len(items), *first.shape)
        key = (name, shape, first.dtype.str)
        value = self._kept.pop(key, None) or _host_tensor(shape, first.dtype)
        self._kept[key] = value
        if len(self._kept) > _PINNED_BUFFERS:
            self._kept.popitem(last=False)
        np.stack([item[name] for item in items], out=value.numpy())
        return value


def _host_tensor(shape: tuple[int, ...], dtype: np.dtype[Any]) -> ort.OrtValue:
    """A host tensor, page-locked where the runtime offers such memory."""
    for candidate in ort.get_ep_devices():
        if candidate.ep_name == CUDA_PROVIDER:
            pinned = candidate.memory_info(ort.OrtDeviceMemoryType.HOST_ACCESSIBLE)
            if pinned is not None:
                return ort.OrtValue.ortvalue_from_shape_and_type(
                    shape, dtype.type, memory_info=pinned
                )
    return ort.OrtValue.ortvalue_from_shape_and_type(shape, dtype.type)


def open_session(
    path: Path, variant: Variant, field: str, device: Device, gpu_mem_mib: int | None = None
) -> Session:
    """Load one graph on the device.

    Args:
        path: the ONNX file.
        variant: what the manifest says of it.
        field: the manifest's field that names it, for error messages.
        device: where to run.
        gpu_mem_mib: bound of the GPU arena, in MiB.
    """
    if device.kind == "cuda":
        return CudaSession(path, variant, field, gpu_mem_mib)
    return CpuSession(path, variant, field, device.cpus)


def stack(arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Add a batch dimension in front; a single array is not copied."""
    return arrays[0][np.newaxis] if len(arrays) == 1 else np.stack(arrays)


def split(outputs: Mapping[str, NDArray[Any]], count: int) -> list[Arrays]:
    """Take the batch dimension apart.

    Raises:
        InferenceError: an output does not have ``count`` rows.
    """
    for name, array in outputs.items():
        if not array.shape or array.shape[0] != count:
            raise InferenceError(f"output {name!r} has shape {array.shape} for a batch of {count}")
    return [{name: array[row, ...] for name, array in outputs.items()} for row in range(count)]


def check_signature(session: ort.InferenceSession, variant: Variant, field: str) -> None:
    """Compare a loaded graph with its manifest.

    Raises:
        GraphError: names the first field of the manifest that differs.
    """
    for side, specs, nodes in (
        ("inputs", variant.inputs, session.get_inputs()),
        ("outputs", variant.outputs, session.get_outputs()),
    ):
        promised, found = [spec.name for spec in specs], [node.name for node in nodes]
        if promised != found:
            raise GraphError(f"{field}.{side}: manifest names {promised}, the graph has {found}")
        for index, (spec, node) in enumerate(zip(specs, nodes, strict=True)):
            _check_tensor(spec, node, f"{field}.{side}[{index}]")


def _check_tensor(spec: TensorSpec, node: ort.NodeArg, field: str) -> None:
    dtype = _DTYPE_OF_ORT.get(node.type, node.type)
    if spec.dtype != dtype:
        raise GraphError(f"{field}.dtype: manifest says {spec.dtype}, the graph has {dtype}")
    fits = len(spec.shape) == len(node.shape) and all(
        promised == found if isinstance(found, int) else isinstance(promised, str)
        for promised, found in zip(spec.shape, node.shape, strict=True)
    )
    if not fits:
        raise GraphError(
            f"{field}.shape: manifest says {list(spec.shape)}, the graph has {node.shape}"
        )


def _options(threads: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.add_session_config_entry("session.use_env_allocators", "1")
    return options


def _load(path: Path, options: ort.SessionOptions, providers: list[Any]) -> ort.InferenceSession:
    try:
        session = ort.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # the runtime's own exceptions share no base class
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise GraphError(f"{path}: {reason}") from error
    session.disable_fallback()
    return session


def _failure(error: Exception) -> SightlineError:
    failure = error_of(error)
    # A run that was told to end did as it was told; who told it says why.
    level = logging.INFO if isinstance(failure, LateError) else logging.ERROR
    log.log(level, "a run failed: %s", error)
    return failure
