"""Where a model comes from, as far as the machine that makes it can tell."""

import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from service.contract import Provenance
from training.exportable import Exportable

_LIBRARIES = ("torch", "torchvision", "onnx", "onnxscript", "onnxruntime", "numpy", "pillow")


def provenance(exportable: Exportable) -> Provenance:
    """What ``manifest.json`` records of the making of a model."""
    return Provenance(
        command=exportable.command,
        commit=_commit(),
        created=_today(),
        seed=exportable.seed,
        config=exportable.config,
        libraries=_libraries(),
        data=exportable.data,
        licence=exportable.licence,
    )


def _today() -> str:
    """The date in UTC, or of ``SOURCE_DATE_EPOCH`` (reproducible-builds.org)."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    moment = datetime.fromtimestamp(int(epoch), UTC) if epoch else datetime.now(UTC)
    return moment.date().isoformat()


def _libraries() -> Mapping[str, str]:
    versions = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # onnxruntime-gpu goes by another name
            continue
    return versions


def _commit() -> str:
    """The commit of the code, ``unknown`` outside a repository."""
    try:
        answer = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return answer.stdout.strip()
