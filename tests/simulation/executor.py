"""A simulated executor: accepts what is addressed to it, works, reports, beats, drains, dies."""

from collections import deque
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple, Protocol

from schemas.base import Message
from schemas.executors import ExecutorReport, HeldAttempt, StepSlots
from schemas.step_events import AttemptAccepted, AttemptCancelled, AttemptCompleted, AttemptHeartbeat, AttemptReleased
from tables.dispatch.values import AttemptKey, Give, Turn
from tests.simulation.engine import Engine, Network
from tests.simulation.work import KINDS

#: As the protocol says, seconds.
REPORT_S, LEAST_REPORT_S, HEARTBEAT_S = 2.0, 0.05, 10.0
#: A short attempt that runs beside others has one CPU: so much longer it takes.
_SHORT_SLOWDOWN = 1.5


class Outside(Protocol):
    """What an executor needs of the world."""

    engine: Engine
    network: Network

    def publish(self, job_id: str, event: Message, session_id: str) -> None: ...
    def refuse(self, key: AttemptKey, session_id: str, seq: int) -> None: ...
    def reported(self, report: ExecutorReport) -> None: ...
    def takes_s(self, job_id: str, step: str) -> float: ...
    def began(self, executor: "SimExecutor", running: "Running") -> None: ...
    def finished(self, executor: "SimExecutor", running: "Running") -> None: ...
    def left(self, executor: "SimExecutor") -> None: ...


class Running(NamedTuple):
    """An attempt that an executor has accepted."""

    key: AttemptKey
    asset_id: str
    lease_id: str
    turn: Turn


def _about(running: Running) -> dict[str, Any]:
    job_id, run, step, attempt = running.key
    return {"job_id": job_id, "asset_id": running.asset_id, "run": run, "step": step, "attempt": attempt}


@cache
def _offers(slots: tuple[tuple[str, int], ...]) -> dict[str, StepSlots]:
    return {step: StepSlots(slots=count) for step, count in slots}


class SimExecutor:
    """One executor over all its sessions."""

    def __init__(self, world: Outside, name: str, address: int, slots: dict[str, int]) -> None:
        self.world, self.name, self.address, self.slots = world, name, address, slots
        self.start, self.seq, self.poke = 0, 0, 0
        self.alive = self.draining = False
        self.session_id = ""
        self.accepted: dict[AttemptKey, Running] = {}
        self._waiting: deque[Running] = deque()
        self._begun: dict[AttemptKey, Running] = {}
        self._busy: dict[str, int] = {}
        self._reported_at = -1.0
        self._report_due = False

    # Life

    def begin(self) -> None:
        """Start a session."""
        self.start += 1
        self.session_id = f"{self.name}/{self.start}"
        self.seq = self.poke = 0
        self.alive, self.draining = True, False
        self.accepted, self._begun, self._waiting, self._busy = {}, {}, deque(), {}
        self._report()
        self._timer(self.session_id)

    def die(self) -> None:
        """Stop in the middle of everything."""
        self.alive = False

    def drain(self, drain_s: float) -> None:
        """Take nothing more, and release what has not ended after `drain_s`; then end."""
        self.draining = True
        self._change()
        self.world.engine.at(self.world.engine.now + drain_s, self._leave, self.session_id)

    def _leave(self, session_id: str) -> None:
        if self.session_id == session_id and self.alive:
            for running in list(self.accepted.values()):
                self._event(running, AttemptReleased(**_about(running), lease_id=running.lease_id))
            self.world.left(self)
            self.alive = False

    # Requests

    def request(self, given: Give, asset_id: str) -> None:
        """A request has arrived at this executor's address."""
        if not self.alive or given.session_id != self.session_id:
            return
        key = (given.job_id, given.run, given.step, given.attempt)
        if key in self.accepted:
            return
        if self.draining or not self._has_room(given):
            self.world.refuse(key, self.session_id, self.seq)
            return
        running = Running(key, asset_id, f"{self.session_id}#{given.job_id}/{given.step}/{given.attempt}", given.turn)
        self.accepted[key] = running
        accepted = AttemptAccepted(
            **_about(running), lease_id=running.lease_id, executor_id=self.name, requested_at=0.0, request_partition=0
        )
        self._event(running, accepted)
        # The work begins when the broker has the acceptance.
        self._later(self.world.network.delay_s(), self._admit, running)

    def poked(self, session_id: str, number: int) -> None:
        """A poke has arrived."""
        if self.alive and session_id == self.session_id:
            self.poke = max(self.poke, number)
            self._report()

    def revoke(self, lease_id: str) -> None:
        """Stop the work of a lease."""
        for running in list(self.accepted.values()):
            if self.alive and running.lease_id == lease_id:
                self._event(running, AttemptCancelled(**_about(running), lease_id=lease_id))
                self._forget(running)

    def _has_room(self, given: Give) -> bool:
        """A short turn; else a slot, or one place ahead of each slot."""
        if given.turn == "short":
            return not any(running.turn == "short" for running in self.accepted.values())
        held = sum(key[2] == given.step and running.turn != "short" for key, running in self.accepted.items())
        return held < 2 * self.slots.get(given.step, 0)

    def _admit(self, running: Running) -> None:
        if running.key in self.accepted:
            self._waiting.append(running)
            self._start_next()
            self._change()

    def _start_next(self) -> None:
        for running in list(self._waiting):
            if self._may_begin(running):
                self._waiting.remove(running)
                self._begin(running)

    def _may_begin(self, running: Running) -> bool:
        """Whether there is a slot, and for heavy attempts the CPUs."""
        if running.turn and any(other.turn == running.turn for other in self._begun.values()):
            return False
        return running.turn == "short" or self._busy.get(running.key[2], 0) < self.slots[running.key[2]]

    def _begin(self, running: Running) -> None:
        step = running.key[2]
        self._busy[step] = self._busy.get(step, 0) + (running.turn != "short")
        self._begun[running.key] = running
        self.world.began(self, running)
        takes_s = self.world.takes_s(running.key[0], step)
        if running.turn == "short" and any(other.turn == "full" for other in self._begun.values()):
            takes_s *= _SHORT_SLOWDOWN
        self._later(takes_s, self._end, running)
        if takes_s > HEARTBEAT_S:
            self._later(HEARTBEAT_S, self._beat, running)

    def _end(self, running: Running) -> None:
        if self._begun.get(running.key) is running:
            self._event(running, AttemptCompleted(**_about(running), lease_id=running.lease_id))
            self._forget(running)

    def _beat(self, running: Running) -> None:
        if self._begun.get(running.key) is running:
            beat = AttemptHeartbeat(**_about(running), lease_id=running.lease_id, executor_id=self.name)
            self._event(running, beat)
            self._later(HEARTBEAT_S, self._beat, running)

    def _forget(self, running: Running) -> None:
        step = running.key[2]
        self.accepted.pop(running.key, None)
        if self._begun.pop(running.key, None) is not None:
            self._busy[step] -= running.turn != "short"
            self.world.finished(self, running)
        elif running in self._waiting:
            self._waiting.remove(running)
        self._start_next()
        # The report leaves when the broker has the event.
        self._later(self.world.network.delay_s(), self._change)

    def _event(self, running: Running, event: Message) -> None:
        self.world.publish(running.key[0], event, self.session_id)

    def _later(self, seconds: float, call: Callable[..., None], *args: object) -> None:
        self.world.engine.at(self.world.engine.now + seconds, self._if_alive, self.session_id, call, args)

    def _if_alive(self, session_id: str, call: Callable[..., None], args: tuple[object, ...]) -> None:
        if self.alive and self.session_id == session_id:
            call(*args)

    # Reports

    def _change(self) -> None:
        """Report, but not within 50 ms of the last report."""
        due_at = self._reported_at + LEAST_REPORT_S
        if self.world.engine.now >= due_at:
            self._report()
        elif not self._report_due:
            self._report_due = True
            self._later(due_at - self.world.engine.now, self._report)

    def _timer(self, session_id: str) -> None:
        engine = self.world.engine
        if not self.alive or self.session_id != session_id:
            return
        if engine.now >= self._reported_at + REPORT_S:
            self._report()
        engine.at(self._reported_at + REPORT_S, self._timer, session_id)

    def _report(self) -> None:
        self._report_due = False
        self._reported_at = self.world.engine.now
        self.seq += 1
        held = tuple(
            HeldAttempt(job_id=key[0], run=key[1], step=key[2], attempt=key[3], turn=running.turn)
            for key, running in self.accepted.items()
            if not KINDS[key[2]].instant
        )
        report = ExecutorReport(
            executor_id=self.name,
            session_id=self.session_id,
            address=self.address,
            lane="default",
            version="1",
            seq=self.seq,
            steps=_offers(tuple(self.slots.items())),
            attempts=held,
            draining=self.draining,
            poke=self.poke,
        )
        self.world.reported(report)
