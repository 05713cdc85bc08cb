"""API keys: a file of hashes, read again whenever it changes.

A key is 256 random bits, so its plain SHA-256 cannot be turned back or guessed; a slow hash such as
Argon2 protects passwords that people choose, and would cost every request its 50 milliseconds here.
"""

import asyncio
import hashlib
import hmac
import logging
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from service.contract import describe
from service.errors import KeysError
from service.rate import RateText

log = logging.getLogger(__name__)

Scope = Literal["infer", "metrics", "admin"]
"""What a key may do: ask models and look at them; read metrics; load and unload models."""

KeyName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]

#: Seconds between looks at the file.
REREAD_S = 1.0
_MAX_FILE_BYTES = 1 << 20
_PREFIX = "sl_"
#: Bytes of a hash by which its key is looked up. They tell nothing of the key, so it does no harm
#: that the time of a look-up depends on them; the rest is compared in constant time.
_HANDLE = 8


class Key(BaseModel):
    """One API key, of which only the hash is kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: KeyName
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    scopes: Annotated[frozenset[Scope], Field(min_length=1)] = frozenset({"infer"})
    rate: RateText | None = None


class KeyFile(BaseModel):
    """The content of a file of keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: tuple[Key, ...] = ()

    @model_validator(mode="after")
    def _are_distinct(self) -> "KeyFile":
        for what in ("name", "sha256"):
            seen = [getattr(key, what) for key in self.keys]
            if len(set(seen)) < len(seen):
                raise ValueError(f"two keys have the same {what}")
        return self


def new_key() -> str:
    """A new key: 256 random bits after a prefix by which leaked ones can be searched for."""
    return _PREFIX + secrets.token_urlsafe(32)


def hash_of(key: str | bytes) -> str:
    """The SHA-256 of a key, in hexadecimal."""
    return hashlib.sha256(key.encode() if isinstance(key, str) else key).hexdigest()


def read_keys(path: Path) -> tuple[bytes, KeyFile]:
    """Read a file of keys.

    Returns:
        Its bytes and what they say.

    Raises:
        KeysError: it cannot be read, or is no such file.
    """
    content = _read(path)
    return content, parse_keys(content, path)


def parse_keys(content: bytes, path: Path) -> KeyFile:
    """Understand the content of the file at ``path``; see read_keys."""
    try:
        return KeyFile.model_validate_json(content)
    except ValidationError as error:
        raise KeysError(f"{path}: {describe(error, 'the document')}") from None


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise KeysError(f"{path} cannot be read ({error.strerror})") from error
    if len(content) > _MAX_FILE_BYTES:
        raise KeysError(f"{path} is larger than {_MAX_FILE_BYTES:,} bytes")
    return content


class Keys:
    """The keys of a running service. All of a file's keys count from one moment on, or none."""

    def __init__(self, path: Path) -> None:
        """Read the file.

        Raises:
            KeysError: as read_keys; a service that is to have keys does not start without.
        """
        self.path = path
        self._content, found = read_keys(path)
        self._by_handle = _by_handle(found)
        self._trouble: str | None = None

    def find(self, presented: bytes) -> Key | None:
        """The key that was presented, None if there is none like it."""
        digest = hash_of(presented)
        key = self._by_handle.get(digest[: 2 * _HANDLE])
        return key if key is not None and hmac.compare_digest(key.sha256, digest) else None

    def reread(self) -> None:
        """Take over a changed file; a broken one is logged once, and the keys stay as they were."""
        try:
            content = _read(self.path)
            if content != self._content:
                found = parse_keys(content, self.path)
                self._content, self._by_handle = content, _by_handle(found)
                log.info("read %d API keys from %s", len(found.keys), self.path)
            self._trouble = None
        except KeysError as error:
            if str(error) != self._trouble:
                log.error("the API keys stay as they were: %s", error)
            self._trouble = str(error)

    async def follow(self) -> None:
        """Look at the file every second, until cancelled."""
        while True:
            await asyncio.sleep(REREAD_S)
            await asyncio.to_thread(self.reread)


def _by_handle(found: KeyFile) -> Mapping[str, Key]:
    # Two of 1 MiB of keys that share 64 bits of a hash: once in 10^12 files.
    return {key.sha256[: 2 * _HANDLE]: key for key in found.keys}
