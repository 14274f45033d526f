"""RunningAttempts: the attempts that this executor has accepted and not yet ended."""

import asyncio
import contextvars
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from agents.executor.attempts import SHORT_TURN, Attempt, AttemptIdentity, AttemptKey
from agents.executor.capacity import Slots
from agents.executor.execution import AttemptResources, execute
from agents.executor.reports import OutboundEvent, StepReporter
from processors.contract import Processor
from schemas.executors import HeldAttempt
from schemas.step_events import AttemptFailed, StepEvent, StepRequested
from schemas.steps import StepKind
from streams.ids import new_id

log = logging.getLogger(__name__)

#: Longest time for killed work to end and for its last events to be delivered.
_KILL_S = 4.0


class StepRuntime(NamedTuple):
    """What one step needs to run on this executor."""

    kind: StepKind
    slots: Slots
    processor: Processor


class Request(NamedTuple):
    """A request as it was received."""

    requested: StepRequested
    #: Id of its event.
    event_id: str


class RunningAttempts:
    """Accepts requests, runs each as a task of its own, renews the leases, stops what is revoked."""

    def __init__(
        self,
        runtimes: Mapping[str, StepRuntime],
        resources: AttemptResources,
        reporter: StepReporter,
        heartbeat_s: float,
        short_turns: int = 1,
    ) -> None:
        """`short_turns`: heavy attempts that run on one CPU at a time, beside the one that has all."""
        self._runtimes = runtimes
        self._resources = resources
        self._reporter = reporter
        self._heartbeat_s, self.short_turns = heartbeat_s, short_turns
        self._by_key: dict[AttemptKey, Attempt] = {}
        self._by_lease: dict[str, Attempt] = {}
        #: Called when what `held` returns has changed.
        self.on_change: Callable[[], None] = lambda: None

    def __len__(self) -> int:
        return len(self._by_key)

    def is_known(self, requested: StepRequested) -> bool:
        """Whether the attempt was accepted already."""
        return _key(requested) in self._by_key

    def has_room(self, requested: StepRequested) -> bool:
        """Whether another such attempt may be accepted."""
        runtime = self._runtimes[requested.step]
        if runtime.kind.heavy and requested.turn == SHORT_TURN:
            return self.short_turns > sum(attempt.identity.is_short for attempt in self._by_key.values())
        return runtime.slots.has_room

    def runs_at_length(self, step: str) -> bool:
        """Whether an attempt of the step runs that is not a short one."""
        return any(key.step == step and not attempt.identity.is_short for key, attempt in self._by_key.items())

    def held(self) -> list[HeldAttempt]:
        """The attempts that were accepted and have not ended, without those of instant steps."""
        return [_held(attempt) for attempt in self._by_key.values() if not attempt.identity.kind.instant]

    async def begin(self, admitted: Sequence[Attempt]) -> None:
        """Claim the attempts in one batch, and start them once the broker has the claims.

        Instant steps start at once; those that are over by then are claimed and ended with one event.
        """
        for attempt in admitted:
            if attempt.identity.kind.instant:
                self._start(attempt)
        await asyncio.sleep(0)  # each of them takes its first step
        events = [event for attempt in admitted for event in self._claim(attempt)]
        try:
            await self._reporter.deliver(events)
        finally:
            for attempt in admitted:
                if attempt.last_event is not None:
                    self._forget(attempt)
        for attempt in admitted:
            if attempt.task is None:
                self._start(attempt)
        if not all(attempt.identity.kind.instant for attempt in admitted):
            self.on_change()

    def revoke(self, lease_id: str, reason: str) -> None:
        """Stop the work of a lease. Ignored when the lease is another executor's or has ended."""
        attempt = self._by_lease.get(lease_id)
        if attempt is not None:
            log.info("lease revoked", extra={**attempt.identity.log_fields, "reason": reason})
            attempt.stop("cancelled")

    def tick(self) -> None:
        """Send heartbeats and progress that are due. To be called several times per heartbeat interval."""
        now = time.monotonic()
        for attempt in list(self._by_key.values()):
            if now - attempt.sent.last_heartbeat_at >= self._heartbeat_s:
                attempt.sent.last_heartbeat_at = now
                self._reporter.heartbeat(attempt)
            self._send_progress(attempt)

    async def drain(self, drain_s: float) -> None:
        """Let running work end within `drain_s`, release the rest. Returns in `drain_s` + 4 s at most."""
        for attempt in list(self._by_key.values()):
            waits_for_cpus = attempt.cpu_ticket is not None and attempt.cpu_ticket.is_waiting
            if attempt.task is None or not attempt.has_slot or waits_for_cpus:
                attempt.stop("released")  # it has not started: another executor can start it at once
        await self._wait_for_tasks(drain_s)
        for attempt in list(self._by_key.values()):
            attempt.stop("released")
        await self._wait_for_tasks(_KILL_S)
        for attempt in self._by_key.values():
            log.warning("attempt abandoned until its lease expires", extra=attempt.identity.log_fields)

    async def _wait_for_tasks(self, timeout_s: float) -> None:
        tasks = [attempt.task for attempt in self._by_key.values() if attempt.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=timeout_s)

    def admit(self, request: Request) -> Attempt | None:
        """Accept a request, for `begin`; None for a repeat."""
        runtime = self._runtimes[request.requested.step]
        identity = AttemptIdentity(request.requested, runtime.kind, new_id("lease"), request.event_id)
        if identity.key in self._by_key:
            return None
        attempt = Attempt(identity, on_progress=self._send_progress, on_caption=self._reporter.caption)
        # Registered from here on: a revoke may overtake the broker's acknowledgement of the claim.
        self._by_key[identity.key] = self._by_lease[identity.lease_id] = attempt
        attempt.sent.last_heartbeat_at = time.monotonic()
        if not identity.is_short:
            attempt.cpu_ticket = self._resources.budget.enqueue() if runtime.kind.heavy else None
            attempt.slots = runtime.slots.turns
            runtime.slots.add()
        return attempt

    def _start(self, attempt: Attempt) -> None:
        # A context of its own: work that outlives Faust's current event must not see it.
        context = contextvars.Context()
        attempt.task = asyncio.create_task(self._run(attempt), name=attempt.identity.name, context=context)

    def _claim(self, attempt: Attempt) -> list[OutboundEvent]:
        if attempt.last_event is not None:
            return self._reporter.claimed_end(attempt, attempt.last_event)
        attempt.is_claimed = True
        return [self._reporter.acceptance(attempt)]

    async def _run(self, attempt: Attempt) -> None:
        started_at = time.monotonic()
        processor = self._runtimes[attempt.identity.request.step].processor
        event = await execute(attempt, processor, self._resources)
        _log_outcome(attempt, event, time.monotonic() - started_at)
        if not attempt.is_claimed:
            attempt.last_event = event  # `accept` sends it
            return
        try:
            await self._reporter.deliver([self._reporter.end(attempt, event)])
        finally:
            self._forget(attempt)

    def _forget(self, attempt: Attempt) -> None:
        del self._by_key[attempt.identity.key], self._by_lease[attempt.identity.lease_id]
        if not attempt.identity.is_short:
            self._runtimes[attempt.identity.request.step].slots.remove()
        if not attempt.identity.kind.instant:
            self.on_change()

    def _send_progress(self, attempt: Attempt) -> None:
        now = time.monotonic()
        if attempt.progress.due(now) and attempt.state != "ended":
            attempt.progress.sent(now)
            self._reporter.progress(attempt, attempt.progress.eta_s(now))


def _key(requested: StepRequested) -> AttemptKey:
    return AttemptKey(requested.job_id, requested.run, requested.step, requested.attempt)


def _held(attempt: Attempt) -> HeldAttempt:
    ticket = attempt.cpu_ticket
    if attempt.identity.is_short:
        return HeldAttempt(**attempt.identity.key._asdict(), turn=SHORT_TURN)
    turn = "full" if ticket is not None and not ticket.is_released else ""
    return HeldAttempt(**attempt.identity.key._asdict(), turn=turn)


def outcome(event: StepEvent) -> str:
    """How an attempt ended, in one word: completed, skipped, failed, released, cancelled."""
    return type(event).__name__.removeprefix("Attempt").lower()


def _log_outcome(attempt: Attempt, event: StepEvent, elapsed_s: float) -> None:
    failed = isinstance(event, AttemptFailed)
    level = logging.WARNING if failed else logging.DEBUG if attempt.identity.kind.instant else logging.INFO
    if not log.isEnabledFor(level):
        return
    why = {"code": event.error.code} if isinstance(event, AttemptFailed) else {}
    fields = {**attempt.identity.log_fields, "elapsed_s": round(elapsed_s, 3), **why}
    log.log(level, "step %s", outcome(event), extra=fields)
