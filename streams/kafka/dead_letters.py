"""Dead letters: messages that cannot be handled, kept with their position and the error."""

import base64
import logging
from typing import Any, NamedTuple

from msgspec.structs import replace

from schemas.base import ErrorRecord
from schemas.facts import DeadLetter
from streams.kafka.envelope import binary

log = logging.getLogger(__name__)

#: Maximum number of bytes that are kept.
_KEPT_BYTES = 64 * 1024
#: Maximum length of a reason: it may quote the message, and a too large letter could never be sent.
_REASON_CHARS = 2000
#: Maximum length of a key, for the same reason.
_KEY_BYTES = 1024


class Letter(NamedTuple):
    """A dead letter as a record."""

    #: Key of the original record, truncated.
    key: bytes | None
    value: bytes
    headers: list[tuple[str, bytes]]


def dead_letter(message: Any, raw: bytes, error: ErrorRecord, found_by: str) -> Letter:
    """The dead letter of `raw`, a message of the Kafka record `message`. Logs it."""
    position = {"topic": message.topic, "partition": message.partition, "offset": message.offset}
    error = replace(error, message=error.message[:_REASON_CHARS], detail=(error.detail or "")[:_REASON_CHARS] or None)
    log.error("dead letter", extra={**position, "code": error.code, "reason": error.message})
    letter = DeadLetter(
        **position,
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
