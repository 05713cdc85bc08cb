"""The graph under the contract, chosen among ways to free the batch by what it computes."""

from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray

from training.foreign.batch import free_batch, one_by_one
from training.foreign.errors import ForeignFileError
from training.foreign.original import Original, first_line, quiet_run, quiet_session
from training.foreign.scores import OutputKind, Report
from training.foreign.wrap import under_contract
from training.parity import BATCHES


def agreeing_graph(
    original: Original,
    kind: OutputKind,
    pictures: Sequence[NDArray[np.uint8]],
    expected: NDArray[np.float32],
    tolerance: float,
    report: Report,
) -> onnx.ModelProto:
    """The graph whose batches of 1, 2 and 5 give what the file gives for single pictures.

    Args:
        original: the file.
        kind: of its scores.
        pictures: eight, each ``uint8[H,W,3]``.
        expected: their logits ``float32[8,C]``.
        tolerance: the largest difference allowed.
        report: told how the batch was freed.

    Raises:
        ForeignFileError: there is none.
    """
    source, classes = original.file, expected.shape[1]
    height, width = pictures[0].shape[:2]

    def wrap(model: onnx.ModelProto) -> onnx.ModelProto:
        return under_contract(model, original.preprocessing, (height, width), classes, kind)

    fixed = source.input.shape is not None and source.input.shape[0] is not None
    candidate = wrap(free_batch(source.model, original.batch) if fixed else source.model)
    failure = disagreement(candidate, pictures, expected, tolerance)
    if failure is None:
        if fixed:
            report(f"the file takes a batch of {original.batch} only; under the contract, any")
        return candidate
    if original.batch == 1:
        planes = (
            (3, height, width) if original.preprocessing.layout == "nchw" else (height, width, 3)
        )
        candidate = wrap(one_by_one(source.model, planes))
        alone = disagreement(candidate, pictures, expected, tolerance)
        if alone is None:
            report(
                f"the file's graph does not take batches ({failure.partition(':')[0]}); their "
                "pictures go through it one by one, which is slower on a GPU"
            )
            return candidate
        failure = alone
    raise ForeignFileError(
        f"{source.path}: batches of 1, 2 and 5 pictures do not give what the file gives for "
        f"{original.batch} at a time ({failure}). Export it again in evaluation mode and with a "
        "free batch axis (torch.onnx.export: dynamic_shapes)"
    )


def disagreement(
    model: onnx.ModelProto,
    pictures: Sequence[NDArray[np.uint8]],
    expected: NDArray[np.float32],
    tolerance: float,
) -> str | None:
    """In what a graph differs from what is expected of it; nothing if it does not."""
    try:
        session = quiet_session(model.SerializeToString())
    except ForeignFileError as error:
        return str(error)
    start = 0
    for size in BATCHES:
        batch = slice(start, start + size)
        start += size
        try:
            seen = quiet_run(session, "logits", {"images": np.stack(pictures[batch])})
        except Exception as error:  # the runtime's own exceptions share no base class
            return f"a batch of {size} fails: {first_line(error)}"
        if seen.shape != expected[batch].shape:
            return f"a batch of {size} gives scores {list(seen.shape)}"
        apart = float(np.abs(seen - expected[batch]).max())
        if not apart <= tolerance:
            return f"a batch of {size} is {apart:.3g} off"
    return None
