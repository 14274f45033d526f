"""The rows of media.tokens, API tokens and signing keys: which records count, and what every replica has of them.

A record counts if it is signed and newer than the last one of its row (web/auth/row_signatures.py). Unsigned records
are of earlier versions of kinolog: they count up to the first signed one, which the first replica that reads such a log
writes.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import msgspec

from schemas.access import SigningKeyRow, TokenRow
from streams.kafka.envelope import UNDECODABLE
from web.auth.row_signatures import RowSigner, is_signed

log = logging.getLogger("kinolog.web")

#: Prefix of the ids of signing keys; all other rows are tokens.
KEY_PREFIX = "key"
#: Key of the record, a tombstone, that ends the unsigned ones.
SIGNED_FROM_HERE = "!signed"

Reason = Literal["unsigned", "forged", "replayed"]


class RefusedRecord(NamedTuple):
    """A record that nobody with the signing secret has written, or not again."""

    offset: int
    row_id: str
    reason: Reason


class LastRecord(NamedTuple):
    """The last record of a row that counts."""

    #: 0: it is unsigned.
    version: int
    value: bytes | None
    #: Whether it has to be signed again: it is unsigned, or signed with an earlier secret.
    is_outdated: bool


@dataclass
class AccessRows:
    """Tokens and signing keys by id."""

    tokens: dict[str, TokenRow] = field(default_factory=dict)
    keys: dict[str, SigningKeyRow] = field(default_factory=dict)
    #: Last records by id, also of rows that ended with a tombstone.
    last: dict[str, LastRecord] = field(default_factory=dict)
    #: Whether a signed record was read: further unsigned ones do not count.
    are_signed: bool = False

    def version(self, row_id: str) -> int:
        """Version of the row's last record; 0: it has none, or an unsigned one."""
        return self.last[row_id].version if row_id in self.last else 0

    def outdated(self) -> list[str]:
        """Ids of rows whose last record has to be signed again."""
        return [row_id for row_id, record in self.last.items() if record.is_outdated]


class AccessFold:
    """Applies records to rows."""

    def __init__(self, topic: str, signer: RowSigner, refuse: Callable[[RefusedRecord], None]) -> None:
        """`refuse` is called with every record that does not count and is no repeat."""
        self._topic, self._signer, self._refuse = topic, signer, refuse

    def __call__(self, rows: AccessRows, records: Iterable[Any]) -> None:
        """Apply records. An unreadable one invalidates its row and is logged."""
        for record in records:
            row_id = (record.key or b"").decode(errors="replace")
            read = self._read(rows, row_id, record)
            if isinstance(read, LastRecord):
                rows.last[row_id] = read
                rows.are_signed = rows.are_signed or read.version > 0
                _put(rows, row_id, record)
            elif read is not None:
                self._refuse(RefusedRecord(record.offset, row_id, read))

    def _read(self, rows: AccessRows, row_id: str, record: Any) -> LastRecord | Reason | None:
        """The record if it counts; why it is refused; None for a repeat."""
        if not is_signed(record.headers):
            return "unsigned" if rows.are_signed else LastRecord(0, record.value, is_outdated=True)
        signature = self._signer.verify(self._topic, record.key or b"", record.value, record.headers)
        if signature is None:
            return "forged"
        if signature.version > rows.version(row_id):
            return LastRecord(signature.version, record.value, is_outdated=not signature.is_current)
        # Two replicas may write the same version of a row: the first one counts.
        return None if signature.version == rows.version(row_id) else "replayed"


def _put(rows: AccessRows, row_id: str, record: Any) -> None:
    rows.tokens.pop(row_id, None)
    rows.keys.pop(row_id, None)
    if record.value is None:
        return
    try:
        if row_id.startswith(f"{KEY_PREFIX}_"):
            rows.keys[row_id] = msgspec.json.decode(record.value, type=SigningKeyRow)
        else:
            rows.tokens[row_id] = msgspec.json.decode(record.value, type=TokenRow)
    except UNDECODABLE as error:
        extra = {"row_id": row_id, "offset": record.offset, "reason": str(error)}
        log.error("unreadable token or key", extra=extra)  # noqa: TRY400
