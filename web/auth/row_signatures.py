"""Signatures of records that grant something: whoever can only write to Kafka can neither forge nor repeat one. Pure.

A signature covers topic, key, version and value. A row's version grows with each change, so that an earlier record of
the row, written again by a stranger, does not count. The keys are derived from the signing secrets, which are not on
the log.
"""

import hashlib
import hmac
from collections.abc import Sequence
from typing import NamedTuple

Headers = Sequence[tuple[str, bytes | None]]

_VERSION, _SIGNATURE = "kinolog-version", "kinolog-signature"
#: Purpose of the derived keys: no other signature of the secrets is one of a row.
_PURPOSE = b"rows on the log"
#: Digits of a version.
_MAX_DIGITS = 15


class Signature(NamedTuple):
    """The genuine signature of a record."""

    version: int
    #: Whether it is by the current secret, not by an earlier one.
    is_current: bool


class RowSigner:
    """Signs with the first of the secrets, and verifies with any."""

    def __init__(self, secrets: Sequence[bytes]) -> None:
        self._keys = [hmac.digest(secret, _PURPOSE, hashlib.sha256) for secret in secrets]

    def headers(self, topic: str, key: bytes, version: int, value: bytes | None) -> list[tuple[str, bytes]]:
        """Headers that sign a record; `value` None: a tombstone."""
        number = str(version).encode()
        signature = _signature(self._keys[0], topic, key, number, value)
        return [(_VERSION, number), (_SIGNATURE, signature)]

    def verify(self, topic: str, key: bytes, value: bytes | None, headers: Headers) -> Signature | None:
        """The record's signature; None when it has none, or a forged one."""
        given = dict(headers)
        number, signature = given.get(_VERSION) or b"", given.get(_SIGNATURE) or b""
        if not (number.isdigit() and len(number) <= _MAX_DIGITS):
            return None
        genuine = [hmac.compare_digest(_signature(each, topic, key, number, value), signature) for each in self._keys]
        return Signature(int(number), genuine[0]) if any(genuine) else None


def is_signed(headers: Headers) -> bool:
    """Whether a record claims to be signed."""
    return any(name == _SIGNATURE for name, _ in headers)


def _signature(secret: bytes, topic: str, key: bytes, version: bytes, value: bytes | None) -> bytes:
    parts = (topic.encode(), key, version, b"-" if value is None else b"+" + value)
    content = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    return hmac.new(secret, content, hashlib.sha256).hexdigest().encode()
