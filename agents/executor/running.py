"""The attempts that this executor has accepted and not yet ended."""

import asyncio
import contextvars
import logging
import time
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from agents.executor.attempts import Attempt, AttemptKey, AttemptResources, conclude, log_fields
from agents.executor.capacity import Slots
from agents.executor.reports import OutboundEvent, StepReporter
from processors.contract import Processor
from schemas.step_events import AttemptFailed, StepEvent, StepRequested
from schemas.steps import StepKind
from streams.ids import new_id

log = logging.getLogger(__name__)

#: Longest that killed work is given to end, and its last events to leave.
_KILL_S = 4.0


class StepRuntime(NamedTuple):
    """Where one step is worked on."""

    kind: StepKind
    slots: Slots
    processor: Processor


class Request(NamedTuple):
    """A request as it came."""

    requested: StepRequested
    #: Id of its event.
    event_id: str
    #: Line in which it stood, see streams.kafka.topics.request_line.
    partition: int


class RunningAttempts:
    """Accepts requests, runs each as a task of its own, keeps the leases alive, stops what is revoked."""

    def __init__(
        self, stations: Mapping[str, StepRuntime], bench: AttemptResources, voice: StepReporter, heartbeat_s: float
    ) -> None:
        self._stations = stations
        self._bench = bench
        self._voice = voice
        self._heartbeat_s = heartbeat_s
        self._by_key: dict[AttemptKey, Attempt] = {}
        self._by_lease: dict[str, Attempt] = {}

    def __len__(self) -> int:
        return len(self._by_key)

    async def accept(self, requests: Iterable[Request]) -> None:
        """Claim the attempts, in one group, and start them once the broker has the claims. Repeats are dropped.

        Instant ones are started at once, and those that are over by then claimed and ended with one event.
        """
        fresh = [attempt for request in requests if (attempt := self._admit(request)) is not None]
        for attempt in fresh:
            if attempt.kind.instant:
                self._start(attempt)
        await asyncio.sleep(0)  # each of them takes its first step
        sayings = [saying for attempt in fresh for saying in self._claim(attempt)]
        try:
            await self._voice.deliver(sayings)
        finally:
            for attempt in fresh:
                if attempt.last_word is not None:
                    self._forget(attempt)
        for attempt in fresh:
            if attempt.task is None:
                self._start(attempt)

    def revoke(self, lease_id: str, reason: str) -> None:
        """Stop the work of a lease; nothing happens when it is not ours or has ended."""
        attempt = self._by_lease.get(lease_id)
        if attempt is not None:
            log.info("lease revoked", extra={**log_fields(attempt), "reason": reason})
            attempt.stop("cancelled")

    def tick(self) -> None:
        """Heartbeats and progress that are due. To be called several times per heartbeat interval."""
        now = time.monotonic()
        for attempt in list(self._by_key.values()):
            if now - attempt.beaten_at >= self._heartbeat_s:
                attempt.beaten_at = now
                self._voice.beat(attempt)
            self._say_progress(attempt)

    async def drain(self, drain_s: float) -> None:
        """Let running work end within `drain_s`, release the rest. Returns in `drain_s` + 4 s at most."""
        for attempt in list(self._by_key.values()):
            if attempt.task is None or (attempt.turn is not None and attempt.turn.waiting):
                attempt.stop("released")  # it has not begun: somebody else may begin at once
        await self._ended_within(drain_s)
        for attempt in list(self._by_key.values()):
            attempt.stop("released")
        await self._ended_within(_KILL_S)
        for attempt in self._by_key.values():
            log.warning("attempt left to its lease", extra=log_fields(attempt))

    async def _ended_within(self, timeout_s: float) -> None:
        tasks = [attempt.task for attempt in self._by_key.values() if attempt.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=timeout_s)

    def _admit(self, request: Request) -> Attempt | None:
        station = self._stations[request.requested.step]
        attempt = Attempt(
            request.requested,
            station.kind,
            lease_id=new_id("lease"),
            event_id=request.event_id,
            partition=request.partition,
            heard=self._say_progress,
            shown=self._voice.caption,
        )
        if attempt.key in self._by_key:
            return None
        # Known from here on: a revoke may overtake the broker's answer to the claim.
        self._by_key[attempt.key] = self._by_lease[attempt.lease_id] = attempt
        attempt.turn = self._bench.budget.queue() if station.kind.heavy else None
        attempt.beaten_at = time.monotonic()
        station.slots.take()
        return attempt

    def _start(self, attempt: Attempt) -> None:
        # A context of its own: Faust's current event must not be seen from work that outlives it.
        attempt.task = asyncio.create_task(self._run(attempt), name=attempt.name, context=contextvars.Context())

    def _claim(self, attempt: Attempt) -> list[OutboundEvent]:
        if attempt.last_word is not None:
            return self._voice.whole(attempt, attempt.last_word)
        attempt.claimed = True
        return [self._voice.acceptance(attempt)]

    async def _run(self, attempt: Attempt) -> None:
        began_at = time.monotonic()
        message = await conclude(attempt, self._stations[attempt.requested.step].processor, self._bench)
        _log_outcome(attempt, message, time.monotonic() - began_at)
        if not attempt.claimed:
            attempt.last_word = message  # `accept` says it
            return
        try:
            await self._voice.deliver([self._voice.ending(attempt, message)])
        finally:
            self._forget(attempt)

    def _forget(self, attempt: Attempt) -> None:
        del self._by_key[attempt.key], self._by_lease[attempt.lease_id]
        self._stations[attempt.requested.step].slots.give_back()

    def _say_progress(self, attempt: Attempt) -> None:
        now = time.monotonic()
        if attempt.progress.due(now) and not attempt.ended:
            attempt.progress.said(now)
            self._voice.progress(attempt, attempt.progress.eta_s(now))


def outcome(message: StepEvent) -> str:
    """The last word of a message's name: completed, skipped, failed, released, cancelled."""
    return type(message).__name__.removeprefix("Step").lower()


def _log_outcome(attempt: Attempt, message: StepEvent, elapsed_s: float) -> None:
    failed = isinstance(message, AttemptFailed)
    level = logging.WARNING if failed else logging.DEBUG if attempt.kind.instant else logging.INFO
    if not log.isEnabledFor(level):
        return
    why = {"code": message.error.code} if isinstance(message, AttemptFailed) else {}
    log.log(level, "step %s", outcome(message), extra={**log_fields(attempt), "elapsed_s": round(elapsed_s, 3), **why})
