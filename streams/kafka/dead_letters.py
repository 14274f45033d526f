"""What cannot be handled is kept for people, with where it was found and why."""

import base64
import logging
from typing import Any, NamedTuple

from msgspec.structs import replace

from schemas.base import ErrorRecord
from schemas.facts import DeadLetter
from streams.kafka.envelope import binary

log = logging.getLogger(__name__)

#: Longest part of the bytes that is kept.
_KEPT_BYTES = 64 * 1024
#: Longest reason: it may quote what was found, and a letter that is too large for the broker could never be sent.
_REASON_CHARS = 2000
#: Longest key that is handed on, for the same reason.
_KEY_BYTES = 1024


class Letter(NamedTuple):
    """A dead letter as it goes onto the log."""

    #: That of the record it is about, as far as that is kept.
    key: bytes | None
    value: bytes
    headers: list[tuple[str, bytes]]


def dead_letter(message: Any, raw: bytes, error: ErrorRecord, found_by: str) -> Letter:
    """The dead letter for `raw`, which was found in the Kafka record `message`. Logs it."""
    place = {"topic": message.topic, "partition": message.partition, "offset": message.offset}
    error = replace(error, message=error.message[:_REASON_CHARS], detail=(error.detail or "")[:_REASON_CHARS] or None)
    log.error("dead letter", extra={**place, "code": error.code, "reason": error.message})
    letter = DeadLetter(
        **place,
        found_by=found_by,
        error=error,
        value_base64=base64.b64encode(raw[:_KEPT_BYTES]).decode(),
        message_key=_text(message.key),
    )
    subject = f"{message.topic}/{message.partition}/{message.offset}"
    event_id = f"{subject}/{found_by}/{error.code}"
    value, headers = binary(letter, event_id=event_id, source=f"kinolog/{found_by}", subject=subject)
    return Letter(message.key[:_KEY_BYTES] if message.key is not None else None, value, headers)


def _text(message_key: bytes | None) -> str | None:
    return message_key.decode(errors="replace")[:1024] if message_key else None
