"""A job that completes without an optional step: facts, rows and the log say so, also after a kill."""

import logging
from typing import Any

import pytest

from schemas.base import ErrorRecord, StepWarning
from schemas.commands import SubmitJob
from schemas.facts import AssetReady, JobCompleted
from schemas.jobs import Input, StepSpec
from schemas.step_events import AttemptCompleted, AttemptFailed, Claim
from tests.unit.agents.control.world import Log

STEPS = (StepSpec(name="transcode"), StepSpec(name="thumbnails", optional=True))
SUBMIT = SubmitJob(
    job_id="job_1", asset_id="asset_1", pipeline="video", steps=STEPS, input=Input(object="k"), submitted_at=1.0
)
ABOUT: dict[str, Any] = {"job_id": "job_1", "asset_id": "asset_1", "run": 1, "attempt": 1, "lease_id": "L"}
CLAIM = Claim(executor_id="e", requested_at=1.0, request_partition=0)
ERROR = ErrorRecord(code="output-invalid", message="The pictures cannot be read.")
STORY = (
    SUBMIT,
    AttemptFailed(**ABOUT, step="thumbnails", error=ERROR, claim=CLAIM),
    AttemptCompleted(**ABOUT, step="transcode", outputs={"master": "m"}, claim=CLAIM),
)
WARNING = StepWarning(step="thumbnails", code=ERROR.code, message=ERROR.message)


async def test_the_facts_of_a_job_without_its_pictures_say_so_and_the_log_is_loud(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = Log()
    with caplog.at_level(logging.WARNING):
        await log.send(await log.control(), *STORY)
    assert [fact.warnings for fact in log.all(JobCompleted)] == [(WARNING,)]
    assert [fact.warnings for fact in log.all(AssetReady)] == [(WARNING,)]
    (line,) = [record for record in caplog.records if record.message == "job completed with warnings"]
    assert (line.levelno, line.__dict__["warnings"]) == (logging.WARNING, "thumbnails:output-invalid")


async def test_facts_lost_by_a_kill_have_the_same_warnings_and_a_replay_changes_no_row() -> None:
    log = Log()
    await log.send(await log.control(), *STORY)
    rows, published = (log.jobs["job_1"], log.assets["asset_1"]), dict(log.published)
    log.published.clear()
    await log.replay(await log.control(), range(len(STORY)))
    assert log.published == {event_id: published[event_id] for event_id in log.published}
    assert [fact.warnings for fact in (*log.all(JobCompleted), *log.all(AssetReady))] == [(WARNING,)] * 2
    assert (log.jobs["job_1"].steps, log.assets["asset_1"].missing) == (rows[0].steps, rows[1].missing)
