"""The foreign file as it is, run by hand: the reference that everything else is held against."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from training.foreign.errors import ForeignFileError
from training.foreign.preprocessing import Preprocessing
from training.foreign.source import ForeignFile

_LONGEST = 200


def quiet_session(model: Path | bytes) -> ort.InferenceSession:
    """A session on the CPU that logs nothing.

    Raises:
        ForeignFileError: ONNX Runtime cannot load the model.
    """
    options = ort.SessionOptions()
    options.log_severity_level = 4
    source = model if isinstance(model, bytes) else str(model)
    try:
        return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's own exceptions share no base class
        raise ForeignFileError(f"ONNX Runtime cannot load it: {first_line(error)}") from error


def quiet_run(
    session: ort.InferenceSession, output: str, feed: Mapping[str, NDArray[Any]]
) -> NDArray[Any]:
    """Run a session for one output; what the runtime raises passes, and nothing is logged."""
    options = ort.RunOptions()
    options.log_severity_level = 4
    result: NDArray[Any] = session.run([output], dict(feed), options)[0]
    return result


def first_line(error: Exception) -> str:
    """The first line of an error of the runtime, without its own prefix, cut where it is long."""
    line = str(error).partition("\n")[0].rpartition("[ONNXRuntimeError]")[2].lstrip(" :0123456789")
    if len(line) > _LONGEST:
        line = line[:_LONGEST] + "..."
    return line or type(error).__name__


@dataclass(frozen=True, slots=True)
class Original:
    """The file and what has to be done to a picture for it.

    Attributes:
        file: what was read from it.
        session: over the file itself, not over the tidied graph.
        preprocessing: in numpy.
        batch: how many pictures it takes at a time: 1 where the number is free.
    """

    file: ForeignFile
    session: ort.InferenceSession
    preprocessing: Preprocessing
    batch: int

    def scores(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The file's own output for ``uint8[H,W,3]`` as ``float32[C]``, however it is shaped.

        Raises:
            ForeignFileError: it fails, or its output does not divide by its batch.
        """
        images = np.repeat(image[np.newaxis], self.batch, axis=0)
        feed = {self.file.input.name: self.preprocessing.apply(images)}
        try:
            output = quiet_run(self.session, self.file.output.name, feed)
        except Exception as error:  # the runtime's own exceptions share no base class
            raise ForeignFileError(
                f"{self.file.path}: fails on a picture of {image.shape[0]}x{image.shape[1]}: "
                f"{first_line(error)}"
            ) from error
        if not output.size or output.size % self.batch:
            raise ForeignFileError(
                f"{self.file.path}: gives {list(output.shape)} for {self.batch} pictures, "
                "which is not one row of scores a picture"
            )
        row: NDArray[np.float32] = output.reshape(self.batch, -1)[0].astype(np.float32)
        return row
