"""Signed URLs: a signature and an expiry in the path, valid for one asset's files."""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import quote

from streams.process.files import create_atomically
from streams.settings import SettingsError

#: Longest validity of a URL that a client may request, seconds.
MAX_TTL_S = 7 * 86_400
#: Bytes of the signature in the path. Source: RFC 2104 section 5, at least half of the hash.
_SIGNATURE_BYTES = 18
#: Shortest key in the file, bytes.
_MIN_KEY_BYTES = 32


class Signer:
    """Signs paths with the first of the keys, and verifies them with any: the others are those of before a rotation."""

    def __init__(self, keys: Callable[[float], Sequence[bytes]], now: Callable[[], float]) -> None:
        """`keys`: at a time, seconds since the epoch; what it raises, every method raises. `now`: the log's time."""
        self._keys, self._now = keys, now

    def expiry(self, ttl_s: int) -> int:
        """When a URL expires that is valid so long from now, seconds since the epoch."""
        return int(self._now()) + ttl_s

    def prefix(self, asset_id: str, expires: int) -> str:
        """Base of the asset's files, "/media/s/<expires>.<signature>"; `expires` in seconds since the epoch."""
        return f"/media/s/{expires}.{self._signature(asset_id, expires)}"

    def object_path(self, key: str, expires: int) -> str:
        """Path of one object outside of assets, "/media/o/<expires>.<signature>/<key>"."""
        return f"/media/o/{expires}.{self._signature(f'object:{key}', expires)}/{quote(key)}"

    def allows_object(self, grant: str, key: str) -> bool:
        """Whether `grant` is genuine, for this object, and not expired."""
        return self.allows(grant, f"object:{key}")

    def allows(self, grant: str, asset_id: str) -> bool:
        """Whether `grant`, "<expires>.<signature>" from a path, is genuine, for this asset, and not expired."""
        expires, _, signature = grant.partition(".")
        if not (expires.isascii() and expires.isdigit() and len(expires) <= 12):
            return False
        now, given = self._now(), signature.encode(errors="replace")
        genuine = any(hmac.compare_digest(_signed(key, asset_id, int(expires)), given) for key in self._keys(now))
        return genuine and now < int(expires)

    def _signature(self, asset_id: str, expires: int) -> str:
        return _signed(self._keys(self._now())[0], asset_id, expires).decode()


def _signed(key: bytes, asset_id: str, expires: int) -> bytes:
    digest = hmac.digest(key, f"media\n{expires}\n{asset_id}".encode(errors="replace"), hashlib.sha256)
    return base64.urlsafe_b64encode(digest[:_SIGNATURE_BYTES])


def signing_keys(secret: str | None, previous: Sequence[str], path: Path) -> tuple[bytes, ...]:
    """The keys, the one that signs first: derived from the secrets, else read from the file at `path`, one a line.

    The file is created when missing. Blocking. Raises SettingsError for a file without keys.
    """
    if secret is not None:
        return tuple(hashlib.sha256(one.encode()).digest() for one in (secret, *previous))
    while True:
        try:
            return _keys_of(path)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            create_atomically(path, secrets.token_hex(32), 0o600)  # another replica may be faster: its key is used


def _keys_of(path: Path) -> tuple[bytes, ...]:
    try:
        keys = tuple(bytes.fromhex(line) for line in path.read_text().split())
    except ValueError as error:
        raise SettingsError(f"KINOLOG_DATA_DIR: {path} must have a key in hex on each line") from error
    if not keys or min(map(len, keys)) < _MIN_KEY_BYTES:
        raise SettingsError(
            f"KINOLOG_DATA_DIR: {path} has no key of {_MIN_KEY_BYTES} bytes: remove it to get a new one"
        )
    return keys
