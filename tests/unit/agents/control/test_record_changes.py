"""A rejected entry changes nothing: neither a row without its effects nor an asset that lists a missing job."""

from agents.control.job_tables import JobTables
from agents.control.record_changes import RecordChanges
from schemas.commands import SubmitJob
from schemas.facts import DeadLetter
from schemas.jobs import Asset, Input, Job, Step, StepSpec
from streams.kafka.envelope import BATCH_HEADERS, batch, structured
from tables.assets import LISTED_JOBS
from tables.rows import applied_of, decode_job
from tests.unit.agents.control.world import Log


def submit(number: int) -> SubmitJob:
    return SubmitJob(
        job_id=f"job_{number:03}",
        asset_id="asset_1",
        pipeline="noop",
        steps=(StepSpec(name="noop"),),
        input=Input(object="a"),
        submitted_at=float(number),
    )


async def test_a_rejected_submission_leaves_no_job_that_is_never_requested() -> None:
    """The row of the job that it displaces from the asset's row cannot be read."""
    log = Log()
    await log.send(await log.control(), *(submit(number) for number in range(LISTED_JOBS)))
    log.changelogs["jobs"][b"job_000"] = b"\xff not a row"
    await log.send(await log.control(), submit(LISTED_JOBS))
    assert [letter.error.code for letter in log.all(DeadLetter)] == ["unreadable-row"]
    rejected = f"job_{LISTED_JOBS:03}"
    refused = decode_job(log.changelogs["jobs"][rejected.encode()])
    assert (refused.status, refused.refused, refused.steps) == ("failed", True, ())
    assert rejected not in log.assets["asset_1"].jobs


def job(number: int) -> Job:
    command = submit(number)
    return Job(
        id=command.job_id,
        asset_id=command.asset_id,
        pipeline=command.pipeline,
        status="waiting",
        steps=tuple(Step(spec=spec) for spec in command.steps),
        input=command.input,
        created_at=command.submitted_at,
        updated_at=1.0,
    )


async def test_a_kill_between_the_rows_of_a_record_leaves_none_that_says_it_is_applied() -> None:
    log = Log()
    written: list[tuple[str, bytes]] = []

    def write(name: str, _key: bytes, value: bytes | None) -> None:
        written.append((name, value or b""))

    control = await log.control()
    log.write = write  # type: ignore[method-assign, assignment]  # the changelogs, in the order of their rows
    events = [structured(submit(number), event_id=f"c{number}", source="test", subject="asset_1") for number in (1, 2)]
    await control.handle(log.record(0, batch(events), BATCH_HEADERS))
    await control.write_watermarks()
    jobs = [value for name, value in written if name == "jobs"]
    assert len(jobs) >= 2
    assert [bool(applied_of(row)) for row in jobs] == [False] * (len(jobs) - 1) + [True]


async def test_changes_of_a_record_are_seen_by_its_later_entries_and_by_nothing_else_before_they_are_written() -> None:
    log = Log()
    control = await log.control()
    tables: JobTables = control._tables
    changes = RecordChanges(tables, 0, 1.0, replayed=False)
    for number in range(LISTED_JOBS + 2):
        changes.keep(None, job(number))
    unlisted = changes.unlisted("asset_1")
    assert unlisted is not None and set(unlisted) == {"job_000", "job_001"}
    assert isinstance(changes.asset("asset_1"), Asset)
    assert tables.asset("asset_1") is None and tables.job("job_000") is None and tables.unlisted.of("asset_1") is None
    assert changes.write({"media.commands": 0})
    written = tables.unlisted.of("asset_1")
    assert written is not None and set(written) == {"job_000", "job_001"} and tables.job("job_000") is not None
