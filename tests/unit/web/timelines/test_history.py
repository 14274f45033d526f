"""The past, folded from events, equals the rows of that time."""

from typing import Any

from schemas.base import ErrorRecord, Message
from schemas.commands import RetryJob, SubmitJob
from schemas.facts import JobFact, StepCompleted, StepFailed, StepStarted
from schemas.jobs import Input, Job, StepSpec
from schemas.step_events import AttemptAccepted, AttemptFailed
from tables.effects import event_id
from tables.reducer import State, advance
from tests.unit.web.readmodel.crowd import Said, crowd
from tests.unit.web.rows import NOW
from web.api.jobs.events import timeline
from web.timelines.facts import Fact
from web.timelines.history import PastJob, as_row, before_first, fold
from web.views.models import ErrorView


def story() -> tuple[list[tuple[Fact, Job]], dict[str, Job]]:
    """Every fact about two hundred jobs, each with the row at that moment, some said twice; and the jobs of today."""
    said: Said = []
    _, jobs = crowd(200, seed=11, began=NOW, said=said)
    events = [
        (Fact(event_id(message), at, message.TYPE, message), row)
        for at, effects, row in said
        for message in effects
        if isinstance(message, JobFact)
    ]
    return [pair for n, pair in enumerate(events) for _ in range(1 + (n % 7 == 0))], jobs


def _states(job: Job) -> dict[str, Any]:
    return {step.spec.name: step.status for step in job.steps}


def test_at_every_moment_a_job_was_what_its_row_said() -> None:
    events, jobs = story()
    past: dict[str, PastJob | None] = {}
    for n, (fact, row) in enumerate(events):
        past[row.id] = fold(past.get(row.id), fact)
        if n + 1 < len(events) and events[n + 1][1] is row:
            continue  # what one change said is on the log at one moment
        found = past[row.id]
        assert found is not None
        then = as_row(found, jobs[row.id])
        if not row.cancelling:  # no fact says that a cancel is on its way
            assert (then.status, then.run, _states(then)) == (row.status, row.run, _states(row))
            assert then.error == row.error


def test_wherever_retention_cuts_a_job_its_last_state_is_that_of_its_row() -> None:
    events, jobs = story()
    checked = 0
    for job_id in list(jobs)[:60]:
        own = [(fact, row) for fact, row in events if row.id == job_id]
        facts, last = [fact for fact, _ in own], own[-1][1]
        for cut in range(1, len(facts)):
            past = before_first(jobs[job_id], facts[cut])
            for fact in facts[cut:]:
                past = fold(past, fact)
            assert past is not None
            if not last.cancelling:
                then = as_row(past, jobs[job_id])
                assert (then.status, then.run, _states(then)) == (last.status, last.run, _states(last)), (cut, own)
                checked += 1
    assert checked > 100


def test_a_retry_takes_back_that_something_was_left_out_because_of_a_failure() -> None:
    steps = (
        StepSpec(name="transcode"),
        StepSpec(name="transcribe", optional=True),
        StepSpec(name="embed", after=("transcribe",), needs=("transcribe",)),
    )
    about: dict[str, Any] = {"job_id": "j", "asset_id": "a"}
    fail: dict[str, Any] = {"lease_id": "L", "error": ErrorRecord(code="corrupt-media", message="It is broken.")}
    accept: dict[str, Any] = {"lease_id": "L", "executor_id": "e", "requested_at": NOW, "request_partition": 0}
    events: list[Message] = [SubmitJob(pipeline="p", steps=steps, input=Input(object="k"), submitted_at=NOW, **about)]
    for name in ("transcribe", "transcode"):
        about |= {"run": 1, "step": name, "attempt": 1}
        events += [AttemptAccepted(**about, **accept), AttemptFailed(**about, **fail)]
    events.append(RetryJob(job_id="j", asset_id="a", run=1))

    job: State = None
    past: PastJob | None = None
    seen: list[str] = []
    for event in events:
        job, effects = advance(job, event, NOW)
        for message in effects:
            if isinstance(message, JobFact):
                past = fold(past, Fact(event_id(message), NOW, message.TYPE, message))
        assert isinstance(job, Job) and past is not None
        assert _states(as_row(past, job)) == _states(job)
        seen.append(_states(job)["embed"])
    assert seen[-2:] == ["skipped", "waiting"]


def test_a_timeline_says_how_long_an_attempt_took_and_why_it_failed() -> None:
    events, _ = story()
    failed = next(row.id for fact, row in events if isinstance(fact.message, StepFailed))
    facts = [fact for fact, row in events if row.id == failed]
    views = {event.id: event for event in timeline(facts)}
    for fact in facts:
        event, message = views[fact.id], fact.message
        if isinstance(message, StepFailed):
            assert isinstance(event.error, ErrorView) and event.error.code == message.error.code
        if isinstance(message, (StepFailed, StepCompleted)):
            began = next(
                f.at
                for f in facts
                if isinstance(f.message, StepStarted)
                and (f.message.run, f.message.step, f.message.attempt) == (message.run, message.step, message.attempt)
            )
            assert event.elapsed_s == round(fact.at - began, 3)
