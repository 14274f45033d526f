"""Signed URLs: a signature and an expiry in the path, valid for one asset's files."""

import base64
import hashlib
import hmac
import secrets
from pathlib import Path
from urllib.parse import quote

from streams.process.files import create_atomically

#: Bytes of the signature in the path. Source: RFC 2104 section 5, at least half of the hash.
_SIGNATURE_BYTES = 18


class Signer:
    """Signs and verifies paths with one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def prefix(self, asset_id: str, expires: int) -> str:
        """Base of the asset's files, "/media/s/<expires>.<signature>"; `expires` in seconds since the epoch."""
        return f"/media/s/{expires}.{self._signature(asset_id, expires)}"

    def object_path(self, key: str, expires: int) -> str:
        """Path of one object outside of assets, "/media/o/<expires>.<signature>/<key>"."""
        return f"/media/o/{expires}.{self._signature(f'object:{key}', expires)}/{quote(key)}"

    def allows_object(self, grant: str, key: str, now: float) -> bool:
        """Whether `grant` is genuine, for this object, and not expired."""
        return self.allows(grant, f"object:{key}", now)

    def allows(self, grant: str, asset_id: str, now: float) -> bool:
        """Whether `grant`, "<expires>.<signature>" from a path, is genuine, for this asset, and not expired."""
        expires, _, signature = grant.partition(".")
        if not (expires.isascii() and expires.isdigit() and len(expires) <= 12):
            return False
        genuine = hmac.compare_digest(
            self._signature(asset_id, int(expires)).encode(), signature.encode(errors="replace")
        )
        return genuine and now < int(expires)

    def _signature(self, asset_id: str, expires: int) -> str:
        digest = hmac.digest(self._key, f"media\n{expires}\n{asset_id}".encode(errors="replace"), hashlib.sha256)
        return base64.urlsafe_b64encode(digest[:_SIGNATURE_BYTES]).decode()


def signing_key(secret: str | None, path: Path) -> bytes:
    """The key, derived from `secret` or read from the file at `path`, which is created when missing. Blocking."""
    if secret is not None:
        return hashlib.sha256(secret.encode()).digest()
    while True:
        try:
            return bytes.fromhex(path.read_text().strip())
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            create_atomically(path, secrets.token_hex(32), 0o600)  # another replica may be faster: its key is used
