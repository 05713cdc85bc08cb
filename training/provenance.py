"""Where a model comes from, as far as the machine that makes it can tell."""

import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from service.contract import DataSource, Provenance

LIBRARIES = ("torch", "torchvision", "onnx", "onnxscript", "onnxruntime", "numpy", "pillow")


def provenance(
    *,
    command: str,
    data: tuple[DataSource, ...],
    licence: str,
    config: Mapping[str, Any],
    seed: int | None = None,
    libraries: Sequence[str] = LIBRARIES,
) -> Provenance:
    """What ``manifest.json`` records of the making of a model.

    Args:
        command: that makes it again, without paths of this machine.
        data: the data or weights it is made from.
        licence: of the model.
        config: the choices it was made with.
        seed: of all randomness.
        libraries: distributions whose versions matter; those not installed are left out.
    """
    return Provenance(
        command=command,
        commit=_commit(),
        created=_today(),
        seed=seed,
        config=config,
        libraries=_versions(libraries),
        data=data,
        licence=licence,
    )


def _today() -> str:
    """The date in UTC, or of ``SOURCE_DATE_EPOCH`` (reproducible-builds.org)."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    moment = datetime.fromtimestamp(int(epoch), UTC) if epoch else datetime.now(UTC)
    return moment.date().isoformat()


def _versions(libraries: Sequence[str]) -> Mapping[str, str]:
    versions = {"python": platform.python_version()}
    for name in libraries:
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
