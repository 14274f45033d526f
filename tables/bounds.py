"""Bounds of the values in a row, so that no sequence of events exceeds `tables.rows.MAX_ROW_BYTES`. Pure.

Sizes are of the value's JSON. A row as submitted has MAX_SUBMITTED_BYTES; each of its at most MAX_STEPS steps can add a
lease, an error, a reason and outputs, each bounded here. Sum: tests/unit/tables/test_bounds.py.
"""

from bisect import bisect_right
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.structs import replace

from schemas.base import ErrorRecord, Json, Message
from schemas.commands import SubmitJob
from schemas.step_events import AttemptAccepted, AttemptCompleted, AttemptEnded, AttemptFailed, AttemptSkipped, Claim
from streams.ids import ID_PATTERN

#: Steps of a job, and kinds of steps: an asset keeps the newest outputs of each kind.
MAX_STEPS = 16
#: A job's row when it is submitted: steps with their parameters, input, passthrough.
MAX_SUBMITTED_BYTES = 64 * 1024
#: The steps of one pipeline file; the rest of MAX_SUBMITTED_BYTES is for the submission.
MAX_PIPELINE_BYTES = 24 * 1024
#: Outputs of one step: 64 audio tracks in `probe`, or 50 thumbnails and 22 sprites, take less than 14 KiB.
MAX_OUTPUTS_BYTES = 16 * 1024
#: Parts of an error. A tool's last 64 KiB of output exceed them: its beginning and its end are kept.
MAX_CODE_BYTES, MAX_MESSAGE_BYTES, MAX_DETAIL_BYTES = 128, 1024, 3 * 1024
#: Warnings of a job or an asset, and the message of each.
MAX_WARNINGS, MAX_WARNING_BYTES = 32, 512
#: Why a step was skipped; the name of a pipeline; the id of a lease.
MAX_NAME_BYTES = 256
#: The name of an executor or of a person.
MAX_OWNER_BYTES = 512

_size = msgspec.json.Encoder().encode


class OutOfBounds(Exception):
    """A message has a value that is too large for a row. `code` is stable."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def require_bounded(message: Message) -> None:
    """Check the names and ids of a message. Raises OutOfBounds."""
    check = _CHECKS.get(type(message))
    if check is not None:
        check(message)


def _check_submission(message: SubmitJob) -> None:
    for an_id in (message.job_id, message.asset_id):
        if not ID_PATTERN.fullmatch(an_id):
            raise OutOfBounds("invalid-id", f"{an_id[:100]!r} is not a valid id; it must match {ID_PATTERN.pattern}")
    if not _fits(message.pipeline, MAX_NAME_BYTES):
        raise OutOfBounds("invalid-message", f"pipeline is longer than {MAX_NAME_BYTES} bytes of JSON")


def _check_ending(message: AttemptEnded) -> None:
    if message.claim is not None:  # otherwise its lease is only compared
        _check_lease(message, message.claim)


def _check_lease(message: AttemptAccepted | AttemptEnded, claim: AttemptAccepted | Claim) -> None:
    fits = _fits(message.lease_id, MAX_NAME_BYTES) and _fits(claim.session_id, MAX_NAME_BYTES)
    if not fits or not _fits(claim.executor_id, MAX_OWNER_BYTES):
        limits = f"{MAX_NAME_BYTES} and {MAX_OWNER_BYTES} bytes of JSON"
        raise OutOfBounds("invalid-message", f"lease_id, session_id and executor_id may have at most {limits}")


_CHECKS: dict[type[Message], Callable[[Any], None]] = {
    SubmitJob: _check_submission,
    AttemptAccepted: lambda message: _check_lease(message, message),
    **dict.fromkeys((AttemptCompleted, AttemptSkipped, AttemptFailed), _check_ending),
}


def _fits(text: str, max_bytes: int) -> bool:
    """Whether the JSON of `text` has at most `max_bytes`. A character takes six bytes at most (control characters)."""
    return 6 * len(text) + 2 <= max_bytes or len(_size(text)) <= max_bytes


def outputs_fit(outputs: Json) -> bool:
    """Whether a step's outputs fit into a row."""
    return not outputs or len(_size(outputs)) <= MAX_OUTPUTS_BYTES


def without_excess_warnings(outputs: Json) -> Json:
    """`outputs` with as many of their `warnings` as fit into a row: a flood of them must not cost a finished ladder."""
    warnings = outputs.get("warnings")
    if outputs_fit(outputs) or not isinstance(warnings, list):
        return outputs
    sizes = range(len(warnings))
    kept = bisect_right(sizes, MAX_OUTPUTS_BYTES, key=lambda n: len(_size({**outputs, "warnings": warnings[:n]})))
    return {**outputs, "warnings": warnings[: max(kept - 1, 0)]}


def bounded_error(error: ErrorRecord) -> ErrorRecord:
    """`error` with texts that fit into a row; the same object when they are short enough."""
    code, message = clipped(error.code, MAX_CODE_BYTES), clipped(error.message, MAX_MESSAGE_BYTES)
    detail = None if error.detail is None else clipped(error.detail, MAX_DETAIL_BYTES)
    if (code, message, detail) == (error.code, error.message, error.detail):
        return error
    return replace(error, code=code, message=message, detail=detail)


def clipped(text: str, max_bytes: int) -> str:
    """`text`, or its beginning and its end with a note of what was cut, so that its JSON has at most `max_bytes`.

    A quarter of the result is the beginning: tools print the reason last. No character is cut in two.
    """
    if _fits(text, max_bytes):
        return text
    kept = bisect_right(range(len(text)), max_bytes, key=lambda chars: len(_size(_cut(text, chars)))) - 1
    return _cut(text, kept)


def _cut(text: str, chars: int) -> str:
    head = chars // 4
    tail = chars - head
    return f"{text[:head]} […{len(text) - chars} characters cut…] {text[len(text) - tail :]}"
