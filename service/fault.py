"""What a failed run says about whom: its input, the memory, the device, or us who ended it.

ONNX Runtime's exceptions have few types and tell the kind of failure in their text only. What is
not recognised here counts as the input's fault until a canary says otherwise, see service.upkeep.
"""

import re

from service.errors import (
    DeviceLostError,
    InferenceError,
    LateError,
    OutOfMemoryError,
    SightlineError,
)

_MEMORY = re.compile(
    r"failed to allocate memory|available memory of \d+ is smaller than requested|bad_?\s?alloc"
    r"|out of memory|cudaErrorMemoryAllocation|CU(?:DNN|BLAS)_STATUS_ALLOC_FAILED",
    re.IGNORECASE,
)
# Errors after which every call of the process on that device fails (the CUDA runtime's "sticky"
# ones: illegal address, misaligned address, assert, launch failure, hardware, ECC, bus).
_DEVICE = re.compile(
    r"illegal memory access|misaligned address|device-side assert|unspecified launch failure"
    r"|hardware stack error|illegal instruction was encountered|uncorrectable ECC"
    r"|cudaErrorDevicesUnavailable|device kernel image is invalid|GPU has fallen off"
    r"|CUDA failure (?:46|214|700|710|714|715|716|717|718|719)\b",
    re.IGNORECASE,
)
_ENDED = "terminate flag"


def error_of(error: Exception) -> SightlineError:
    """The error a run's exception stands for.

    Returns:
        OutOfMemoryError, DeviceLostError, LateError if the run was told to end, or InferenceError
        for anything else.
    """
    said = str(error)
    if isinstance(error, MemoryError) or _MEMORY.search(said):
        return OutOfMemoryError("there is not enough memory for this now; try again later")
    if _DEVICE.search(said):
        return DeviceLostError("the device failed; the service is starting again")
    if _ENDED in said:
        return LateError("the run took longer than any run may and was ended")
    return InferenceError("the model could not process this input")
