"""Shown progress never falls within a run, over restarts of web and of executors."""

import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.base import ErrorRecord, Message
from schemas.commands import RetryJob, SubmitJob
from schemas.jobs import Input, Job, RetryPolicy, Step, StepSpec
from schemas.step_events import (
    AttemptAccepted,
    AttemptCompleted,
    AttemptFailed,
    AttemptReleased,
    LeaseExpired,
    RetryDue,
    StepProgressed,
)
from streams.kafka.envelope import BATCH_HEADERS, batch, structured
from tables.reducer import advance
from tests.unit.web.replica import Replica
from web.live.progress_follower import ProgressFollower
from web.readmodel import queries
from web.views.build import job_view

POLICY = RetryPolicy(attempts=50, jitter=0.0)
STEPS = (
    StepSpec(name="probe", weight=1, retry=POLICY),
    StepSpec(name="transcode", after=("probe",), weight=6, retry=POLICY),
    StepSpec(name="noop", after=("probe",), weight=3, retry=POLICY, optional=True),
)
SUBMIT = SubmitJob(
    job_id="job_1", asset_id="asset_1", pipeline="p", steps=STEPS, input=Input(object="k"), submitted_at=0.0
)
BUSY = ErrorRecord(code="tool-failed", message="It failed.", retriable=True)
BROKEN = ErrorRecord(code="corrupt-media", message="It is broken.")


class World:
    """Control and executors write rows and progress; a web replica reads both, writes down, is killed, starts again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.replica = Replica(folder)
        self.now, self.leases = 0.0, 0
        self.job: Job = self._advanced(None, SUBMIT)
        #: Progress of the current attempt, and what its last heartbeat said, by step.
        self.progress: dict[str, float] = {}
        self.beaten: dict[str, float] = {}
        #: What is on the log, and how much of it the replica has read.
        self.rows: list[Job] = [self.job]
        self.said: list[Any] = []
        self.rows_read = 0
        self.shown: tuple[int, float] = (0, 0.0)

    def _advanced(self, job: Job | None, event: Message) -> Job:
        self.now += 1.0
        after, _ = advance(job, event, self.now)
        assert isinstance(after, Job)
        return after

    def happen(self, event: Message) -> None:
        after = self._advanced(self.job, event)
        if after is not self.job:
            self.job = after
            self.rows.append(after)

    def about(self, step: Step) -> dict[str, Any]:
        place = {"job_id": "job_1", "asset_id": "asset_1", "run": step.run, "step": step.spec.name}
        return {**place, "attempt": step.attempt}

    # Executors and control

    def accept(self, step: Step) -> None:
        self.leases += 1
        lease = {"lease_id": f"L{self.leases}", "executor_id": "e", "requested_at": 1.0, "request_partition": 0}
        self.happen(AttemptAccepted(**self.about(step), **lease))  # type: ignore[arg-type]
        self.progress[step.spec.name] = self.beaten[step.spec.name] = 0.0

    def work(self, step: Step, by: float) -> None:
        name = step.spec.name
        self.progress[name] = min(self.progress[name] + by, 1.0)
        message = StepProgressed(**self._owned(step), progress=self.progress[name])
        event = structured(message, event_id=f"p{len(self.said)}", source="test", subject="asset_1")
        record = SimpleNamespace(offset=len(self.said), value=batch([event]), headers=BATCH_HEADERS)
        self.said.append(record)

    def beat(self, step: Step) -> None:
        self.beaten[step.spec.name] = self.progress[step.spec.name]

    def end(self, step: Step, how: str) -> None:
        name, about = step.spec.name, self._owned(step)
        endings: dict[str, Message] = {
            "completed": AttemptCompleted(**about),
            "failed": AttemptFailed(**about, error=BUSY, progress=self.progress[name]),
            "broken": AttemptFailed(**about, error=BROKEN, progress=self.progress[name]),
            "released": AttemptReleased(**about, progress=self.progress[name]),
            "killed": LeaseExpired(**about, progress=self.beaten[name]),
        }
        self.happen(endings[how])

    def _owned(self, step: Step) -> dict[str, Any]:
        assert step.lease is not None
        return {**self.about(step), "lease_id": step.lease.id}

    # Web

    async def start(self) -> None:
        """Let a process begin with what the last one left."""
        replica = self.replica
        self.follower = ProgressFollower(replica.settings, replica.model, replica.progress, replica.hub)
        saved = await replica.model.saved()
        assert saved is not None
        await replica.follower._restore(saved, rebuilding=False)
        replica.position.caught_up.set()
        self.follower._next = await replica.model.read(queries.progress_positions) or {0: 0}
        await self.read_progress(len(self.said))  # requests wait for what was said until the start

    async def kill(self) -> None:
        killed = self.replica
        killed.model.close()
        self.replica = Replica(self.folder)
        self.replica.resume(killed)
        await self.start()

    async def read_rows(self, count: int) -> None:
        for job in self.rows[self.rows_read : self.rows_read + count]:
            await self.replica.write(job)
            self.rows_read += 1

    async def read_progress(self, count: int) -> None:
        at = self.follower._next[0]
        if records := self.said[at : at + count]:
            await self.follower.take(0, records)

    async def look(self) -> None:
        job = await self.replica.model.read(queries.job, "job_1")
        if job is None:
            return
        view = job_view(job, self.replica.progress.overlay(job))
        run, before = self.shown
        assert job.run > run or view.progress >= before, f"it fell from {before} to {view.progress}"
        self.shown = (job.run, view.progress)


async def do(world: World, what: str, which: int, by: float) -> None:
    """What the story says, where it can happen now; and a look at what is shown."""
    if what in READERS:
        await READERS[what](world, which)
    elif what == "retry" and world.job.finished_at is not None:
        world.happen(RetryJob(job_id="job_1", asset_id="asset_1", run=world.job.run))
    else:
        step_does(world, what, which, by)
    await world.look()


def step_does(world: World, what: str, which: int, by: float) -> None:
    required = {"accept": "waiting", "due": "delayed"}.get(what, "active")
    steps = [step for step in world.job.steps if step.status == required]
    steps = [step for step in steps if required != "waiting" or step.requested_at is not None]
    if not steps:
        return
    step = steps[which % len(steps)]
    if what in ENDINGS:
        world.end(step, what)
    elif what == "work":
        world.work(step, by)
    elif what in STEP_DOES:
        STEP_DOES[what](world, step)


READERS: dict[str, Callable[[World, int], Awaitable[None]]] = {
    "read rows": lambda world, which: world.read_rows(1 + which),
    "read progress": lambda world, which: world.read_progress(1 + which),
    "write down": lambda world, _: world.follower.store(),
    "kill web": lambda world, _: world.kill(),
}
STEP_DOES: dict[str, Callable[[World, Step], None]] = {
    "accept": World.accept,
    "beat": World.beat,
    "due": lambda world, step: world.happen(RetryDue(**world.about(step))),
}
ENDINGS = ("completed", "failed", "released", "killed", "broken")
#: As often as it happens; what is joined by "," comes in a row.
ACTIONS = (
    *("accept,read rows,work,read progress",) * 3,
    *("work", "work,read progress", "read rows", "read progress", "write down", "kill web") * 2,
    *("beat", "due", "retry", "accept", "write down,kill web", "read rows,kill web"),
    *ENDINGS,
)
STORY = st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 3), st.floats(0.01, 0.5)), min_size=15, max_size=40)


@settings(max_examples=80)
@given(STORY)
async def test_what_is_shown_never_falls_within_a_run(story: list[tuple[str, int, float]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        try:
            await world.replica.begin()
            await world.start()
            await world.read_rows(1)
            for actions, which, by in story:
                for what in actions.split(","):
                    await do(world, what, which, by)
        finally:
            world.replica.model.close()
