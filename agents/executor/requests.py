"""Request records in, groups of readable requests out; what cannot be read becomes dead letters."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from agents.executor.running import Request
from schemas.base import ErrorRecord
from schemas.step_events import StepRequested
from streams.ids import ID_PATTERN
from streams.kafka.envelope import Entry, Unreadable, read

#: Records that are taken in one group.
_MAX_RECORDS = 256
#: How long a record is waited for that is in the queue already. A rebalance may have cleared the queue meanwhile, and
#: waits itself until everything pulled before is acknowledged.
_QUEUED_S = 0.05


class RequestPuller:
    """Pulls the events of one agent's stream, without acknowledging them."""

    def __init__(self, stream: Any) -> None:
        unacknowledged = stream.noack()
        self._events: AsyncIterator[Any] = unacknowledged.events().__aiter__()
        self._queue = unacknowledged.channel.queue
        self._late: asyncio.Task[Any] | None = None

    async def group(self, room: int) -> list[Any]:
        """At least one event, and as many more as are waiting, `room` at most. Raises StopAsyncIteration at the end."""
        events = [await (self._late or self._events.__anext__())]
        self._late = None
        while len(events) < min(room, _MAX_RECORDS) and not self._queue.empty():
            self._late = asyncio.ensure_future(self._events.__anext__())
            done, _ = await asyncio.wait([self._late], timeout=_QUEUED_S)
            if not done or self._late.exception() is not None:
                break  # it is the first of the next group
            events.append(self._late.result())
            self._late = None
        return events

    def waiting(self) -> bool:
        """Whether there are records that nobody pulled yet."""
        return not self._queue.empty()

    def close(self) -> None:
        """Wait for nothing any more."""
        if self._late is not None:
            self._late.cancel()


class InvalidRequest(NamedTuple):
    """An entry that is no request for this step."""

    #: The Kafka record that it stands in.
    message: Any
    raw: bytes
    error: ErrorRecord


def requests_of(message: Any, step: str, line: int | None = None) -> tuple[list[Request], list[InvalidRequest]]:
    """What the entries of one record ask for, and those that cannot be understood. `line`: in which the record stood;
    that of its partition otherwise.
    """
    requests: list[Request] = []
    unusable: list[InvalidRequest] = []
    for entry in read(message.value, message.headers or ()):
        understood = _request(entry, message, step, message.partition if line is None else line)
        if isinstance(understood, Request):
            requests.append(understood)
        else:
            unusable.append(understood)
    return requests, unusable


def _request(entry: Entry | Unreadable, message: Any, step: str, line: int) -> Request | InvalidRequest:
    if isinstance(entry, Unreadable):
        return InvalidRequest(message, entry.raw, ErrorRecord(code=entry.code, message=entry.reason))
    raw = bytes(entry.event.data)
    asked = entry.message
    if not isinstance(asked, StepRequested):
        return InvalidRequest(message, raw, ErrorRecord(code="unexpected-type", message=f"{asked.TYPE} is no request"))
    if reason := _objection(asked, step):
        return InvalidRequest(message, raw, ErrorRecord(code="invalid-message", message=reason))
    return Request(asked, entry.event.id, line)


def _objection(asked: StepRequested, step: str) -> str | None:
    """Why a request cannot be carried out: its ids become paths and keys."""
    if asked.step != step:
        return f"a request for {asked.step!r} on the topic of {step!r}"
    if not (ID_PATTERN.fullmatch(asked.asset_id) and ID_PATTERN.fullmatch(asked.job_id)):
        return "asset_id and job_id must be letters, digits, '_', '.' and '-', 100 at most"
    if asked.attempt < 1 or asked.run < 1:
        return "attempt and run are counted from 1"
    return None
