"""Two hundred jobs in mixed states, by the real reducer: submitted, run, failed, retried, cancelled."""

import random
from typing import Any

from schemas.base import ErrorRecord, Message
from schemas.commands import CancelJob, RetryJob, SubmitJob
from schemas.jobs import Input, Job, RetryPolicy, StepSpec
from schemas.step_events import AttemptAccepted, AttemptCompleted, AttemptFailed, AttemptSkipped
from tables.reducer import advance

RETRY = RetryPolicy(attempts=1)
PIPELINES = {
    "standard": (
        StepSpec(name="probe", retry=RETRY, weight=2),
        StepSpec(name="transcode", after=("probe",), retry=RETRY, weight=85),
        StepSpec(name="thumbnails", after=("probe",), retry=RETRY, weight=13),
    ),
    "noop": (StepSpec(name="noop", retry=RETRY),),
    "spoken": (
        StepSpec(name="probe", retry=RETRY, weight=2),
        StepSpec(name="transcode", after=("probe",), retry=RETRY, weight=80),
        StepSpec(name="transcribe", after=("probe",), retry=RETRY, weight=10, optional=True),
        StepSpec(name="embed", after=("transcribe",), needs=("transcribe",), retry=RETRY, optional=True),
    ),
}
ERRORS = (
    ErrorRecord(code="corrupt-media", message="The file ends too early."),
    ErrorRecord(code="tool-failed", message="The tool said: Ärger.", retriable=True),
)


Said = list[tuple[float, list[Message], Job]]


def crowd(count: int, seed: int, began: float, said: Said | None = None) -> tuple[list[Job], dict[str, Job]]:
    """Every row that was ever written, in order, and how each job stands in the end.

    `said` is filled with what each change made control say: when, what, and the row.
    """
    chance = random.Random(seed)
    rows: list[Job] = []
    jobs: dict[str, Job] = {}
    for number in range(count):
        job, effects = advance(None, submission(number, chance, began + number // 3), began + number)
        assert isinstance(job, Job)
        if said is not None:
            said.append((began + number, effects, job))
        jobs[job.id] = job
        rows.append(job)
    now = began + count
    for moment in range(count * 4):
        now += chance.random()
        job = chance.choice(list(jobs.values()))
        event = _event(job, chance, moment)
        after, effects = advance(job, event, now) if event else (None, [])
        if said is not None and isinstance(after, Job):
            said.append((now, effects, after))
        if isinstance(after, Job) and after is not job:
            jobs[job.id] = after
            rows.append(after)
    return rows, jobs


def submission(number: int, chance: random.Random, at: float) -> SubmitJob:
    pipeline = chance.choice(list(PIPELINES))
    return SubmitJob(
        job_id=f"job_{number:06}",
        asset_id=f"asset_{number // 2:06}",
        pipeline=pipeline,
        steps=PIPELINES[pipeline],
        input=Input(object="k"),
        submitted_at=at,
        owner=("anna", "bert", None)[(number // 2) % 3],
        filename=chance.choice([None, "Ferien in RÖM.mp4", f"clip-{number}.mov"]),
        passthrough=chance.choice([None, f"order {number}", "100 % 'quoted'"]),
    )


def _event(job: Job, chance: random.Random, moment: int) -> Message | None:
    about: dict[str, Any] = {"job_id": job.id, "asset_id": job.asset_id}
    if job.status in ("failed", "cancelled"):
        return RetryJob(run=job.run, **about) if chance.random() < 0.2 else None
    if chance.random() < 0.04:
        return CancelJob(**about)
    steps = [step for step in job.steps if step.status == "active" or step.requested_at is not None]
    if not steps:
        return None
    step = chance.choice(steps)
    about |= {"run": step.run, "step": step.spec.name, "attempt": step.attempt}
    if step.lease is None or step.status != "active":
        return AttemptAccepted(
            **about, lease_id=f"L{moment}", executor_id="e", requested_at=step.requested_at or 0.0, request_partition=0
        )
    about["lease_id"] = step.lease.id
    kind = chance.choices([AttemptCompleted, AttemptFailed, AttemptSkipped], [8, 2, 1])[0]
    if kind is AttemptFailed:
        return AttemptFailed(**about, error=chance.choice(ERRORS))
    return AttemptSkipped(**about, reason="no-video-track") if kind is AttemptSkipped else AttemptCompleted(**about)
