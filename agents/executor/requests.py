"""Requests of an executor, read from the records of its address."""

from typing import Any, NamedTuple

from schemas.base import ErrorRecord
from schemas.step_events import StepRequested
from streams.ids import ID_PATTERN


class InvalidRequest(NamedTuple):
    """An entry that is not a valid request."""

    #: Its Kafka record.
    message: Any
    raw: bytes
    error: ErrorRecord


def objection(requested: StepRequested) -> str | None:
    """Why a request is invalid: its ids become paths and keys."""
    if not (ID_PATTERN.fullmatch(requested.asset_id) and ID_PATTERN.fullmatch(requested.job_id)):
        return "asset_id and job_id must be at most 100 letters, digits, '_', '.' and '-'"
    if requested.attempt < 1 or requested.run < 1:
        return "attempt and run must be at least 1"
    return None
