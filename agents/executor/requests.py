"""Requests of an executor: pulled from their stream in batches, and read from their records."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from agents.executor.running import Request
from schemas.base import ErrorRecord
from schemas.step_events import StepRequested
from streams.ids import ID_PATTERN
from streams.kafka.envelope import Entry, Unreadable, read

#: Records in one batch.
_MAX_RECORDS = 256
#: Seconds to wait for a record that is in the queue. A rebalance may have cleared the queue meanwhile, and waits itself
#: until all pulled records are acknowledged.
_QUEUED_S = 0.05


class RequestPuller:
    """Pulls the events of one agent's stream, without acknowledging them."""

    def __init__(self, stream: Any) -> None:
        unacknowledged = stream.noack()
        self._events: AsyncIterator[Any] = unacknowledged.events().__aiter__()
        self._queue = unacknowledged.channel.queue
        self._late: asyncio.Task[Any] | None = None

    async def batch(self, capacity: int) -> list[Any]:
        """One event, and the waiting ones up to `capacity` in all. Raises StopAsyncIteration when the app stops."""
        events = [await (self._late or self._events.__anext__())]
        self._late = None
        while len(events) < min(capacity, _MAX_RECORDS) and not self._queue.empty():
            self._late = asyncio.ensure_future(self._events.__anext__())
            done, _ = await asyncio.wait([self._late], timeout=_QUEUED_S)
            if not done or self._late.exception() is not None:
                break  # it becomes the first of the next batch
            events.append(self._late.result())
            self._late = None
        return events

    def waiting(self) -> bool:
        """Whether the queue has records."""
        return not self._queue.empty()

    def close(self) -> None:
        """Stop waiting for a record."""
        if self._late is not None:
            self._late.cancel()


class InvalidRequest(NamedTuple):
    """An entry that is not a valid request for this step."""

    #: Its Kafka record.
    message: Any
    raw: bytes
    error: ErrorRecord


def requests_of(message: Any, step: str, queue: int | None = None) -> tuple[list[Request], list[InvalidRequest]]:
    """The requests of one record, and its invalid entries. `queue`: the record's request queue; by default, that of its
    partition.
    """
    requests: list[Request] = []
    invalid: list[InvalidRequest] = []
    for entry in read(message.value, message.headers or ()):
        parsed = _request(entry, message, step, message.partition if queue is None else queue)
        if isinstance(parsed, Request):
            requests.append(parsed)
        else:
            invalid.append(parsed)
    return requests, invalid


def _request(entry: Entry | Unreadable, message: Any, step: str, queue: int) -> Request | InvalidRequest:
    if isinstance(entry, Unreadable):
        return InvalidRequest(message, entry.raw, ErrorRecord(code=entry.code, message=entry.reason))
    raw = bytes(entry.event.data)
    requested = entry.message
    if not isinstance(requested, StepRequested):
        return InvalidRequest(
            message, raw, ErrorRecord(code="unexpected-type", message=f"{requested.TYPE} is not a step request")
        )
    if reason := _objection(requested, step):
        return InvalidRequest(message, raw, ErrorRecord(code="invalid-message", message=reason))
    return Request(requested, entry.event.id, queue)


def _objection(requested: StepRequested, step: str) -> str | None:
    """Why a request is invalid: its ids become paths and keys."""
    if requested.step != step:
        return f"the request is for {requested.step!r}, and this is the topic of {step!r}"
    if not (ID_PATTERN.fullmatch(requested.asset_id) and ID_PATTERN.fullmatch(requested.job_id)):
        return "asset_id and job_id must be at most 100 letters, digits, '_', '.' and '-'"
    if requested.attempt < 1 or requested.run < 1:
        return "attempt and run must be at least 1"
    return None
