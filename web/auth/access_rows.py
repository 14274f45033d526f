"""The rows of media.tokens, API tokens and signing keys, as every replica has them in memory."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from schemas.access import SigningKeyRow, TokenRow
from streams.kafka.envelope import UNDECODABLE
from streams.kafka.producer import Producer
from streams.kafka.topics import names
from streams.settings import Settings
from web.auth.topic_log import TopicLog

log = logging.getLogger("kinolog.web")

#: Prefix of the ids of signing keys; all other rows are tokens.
KEY_PREFIX = "key"


@dataclass(frozen=True)
class AccessRows:
    """Tokens and signing keys by id."""

    tokens: dict[str, TokenRow] = field(default_factory=dict)
    keys: dict[str, SigningKeyRow] = field(default_factory=dict)


AccessLog = TopicLog[AccessRows]


def access_log(settings: Settings, producer: Producer) -> AccessLog:
    """The followed topic; it does not run yet."""
    return TopicLog(settings, producer, names(settings).tokens, AccessRows, fold)


def fold(rows: AccessRows, records: Iterable[Any]) -> None:
    """Apply records: the last of a key counts. An unreadable one invalidates its row and is logged."""
    for record in records:
        row_id = (record.key or b"").decode(errors="replace")
        rows.tokens.pop(row_id, None)
        rows.keys.pop(row_id, None)
        if record.value is None:
            continue
        try:
            _add(rows, row_id, record.value)
        except UNDECODABLE as error:
            extra = {"row_id": row_id, "offset": record.offset, "reason": str(error)}
            log.error("unreadable token or key", extra=extra)  # noqa: TRY400


def _add(rows: AccessRows, row_id: str, value: bytes) -> None:
    if row_id.startswith(f"{KEY_PREFIX}_"):
        rows.keys[row_id] = msgspec.json.decode(value, type=SigningKeyRow)
    else:
        rows.tokens[row_id] = msgspec.json.decode(value, type=TokenRow)
