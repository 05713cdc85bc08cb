"""Package archives from PyPI and npm, fetched by the registries' own clients, never installed.

The user's own configuration of pip and npm (mirrors, proxies, certificates) applies.
"""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path


class RegistryError(Exception):
    """An archive cannot be had; the message says what to do."""


def fetch_pypi(requirement: str, folder: Path) -> Iterator[Path]:
    """Download a distribution from PyPI, as ``pip download`` is configured.

    Args:
        requirement: ``package==version``.
        folder: where to put the archives.

    Yields:
        The wheel and then, if the caller asks for more, the source archive.

    Raises:
        RegistryError: neither can be had.
    """
    reasons = []
    for kind, choice in (("wheel", "--only-binary=:all:"), ("source", "--no-binary=:all:")):
        into = folder / kind
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", choice]
        reason = _run([*command, "--dest", str(into), requirement], folder)
        if reason is None:
            yield from into.iterdir()
        else:
            reasons.append(reason)
    if len(reasons) == 2:
        raise RegistryError(f"pip could not download {requirement}: {reasons[0]}")


def fetch_npm(specifier: str, folder: Path) -> Iterator[Path]:
    """Download a package from npm with ``npm pack``, which runs none of its scripts.

    Args:
        specifier: ``package@version``.
        folder: where to put the archive.

    Yields:
        The archive.

    Raises:
        RegistryError: it cannot be had, or npm is not installed.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise RegistryError(f"npm is needed to download {specifier}, and is not on the PATH")
    into = folder / "npm"
    into.mkdir()
    reason = _run([npm, "pack", "--silent", "--pack-destination", str(into), specifier], folder)
    if reason is not None:
        raise RegistryError(f"npm could not download {specifier}: {reason}")
    yield from into.iterdir()


def members(archive: Path) -> list[str]:
    """The names of the files in a wheel, zip or tar archive, sorted.

    Raises:
        RegistryError: it is none of these.
    """
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            return sorted(name for name in zipped.namelist() if not name.endswith("/"))
    if tarfile.is_tarfile(archive):
        with tarfile.open(archive) as tarred:
            return sorted(entry.name for entry in tarred if entry.isfile())
    raise RegistryError(f"{archive} is neither a zip nor a tar archive")


def read_member(archive: Path, name: str) -> bytes:
    """The content of one file of an archive.

    A source archive's leading ``package-version/`` folder may be left out of the name.

    Raises:
        RegistryError: there is no such file.
    """
    for candidate in members(archive):
        if candidate == name or candidate.partition("/")[2] == name:
            return read_members(archive, [candidate])[candidate]
    raise RegistryError(f"{archive.name} holds no file {name}")


def read_members(archive: Path, names: Sequence[str]) -> dict[str, bytes]:
    """The content of several files of an archive, by name, in one pass over a large tar archive.

    Raises:
        RegistryError: it is no archive, or one of the files is not in it.
    """
    found: dict[str, bytes] = {}
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            found = {name: zipped.read(name) for name in names if name in zipped.NameToInfo}
    elif tarfile.is_tarfile(archive):
        with tarfile.open(archive) as tarred:
            for entry in tarred:
                file = tarred.extractfile(entry) if entry.name in names else None
                if file is not None:
                    found[entry.name] = file.read()
                if len(found) == len(set(names)):
                    break
    else:
        raise RegistryError(f"{archive} is neither a zip nor a tar archive")
    for name in names:
        if name not in found:
            raise RegistryError(f"{archive.name} holds no file {name}")
    return found


def _run(command: list[str], folder: Path) -> str | None:
    """Run a client; ``None`` if it succeeded, else the last line it complained with."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return None
    lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    return lines[-1] if lines else f"exit status {done.returncode}"
