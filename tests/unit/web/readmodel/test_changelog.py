"""Records of the changelogs: one that cannot be decoded loses nothing of the others."""

from schemas.jobs import Queue, Watermark
from tests.unit.web.rows import NOW, a_job, a_step, record, tombstone
from web.readmodel.changelog import (
    Record,
    deleted_jobs,
    duration_s,
    job_rows,
    job_words,
    parse_records,
    queue_changes,
    step_states,
)

BROKEN = Record(0, 1, 0, b"job_000002", b"{broken")


def test_a_record_that_cannot_be_decoded_is_skipped() -> None:
    parsed = parse_records([record(a_job(1), 0), BROKEN, tombstone("job_000003", 2)], job_rows)
    assert [(change.id, change.row is None) for change in parsed.changes] == [
        ("job_000001", False),
        ("job_000003", True),
    ]


def test_applied_offsets_are_the_highest_of_rows_and_watermarks() -> None:
    rows = [record(Watermark(at={"media.commands": 7}), 0), record(a_job(1, at={"media.commands": 4, "x": 1}), 1)]
    assert parse_records(rows, job_rows).applied_offsets == {("media.commands", 0): 7, ("x", 0): 1}


def test_offsets_of_records_that_the_log_has_lost_are_void() -> None:
    lost = Watermark(at={"media.commands": 2}, lost=("media.commands", "x"))
    rows = [record(a_job(1, at={"media.commands": 7, "x": 3}), 0), record(lost, 1), record(a_job(2, at={"x": 0}), 2)]
    parsed = parse_records(rows, job_rows)
    assert parsed.applied_offsets == {("media.commands", 0): 2, ("x", 0): 0}
    assert parsed.voided == {("media.commands", 0), ("x", 0)}


def test_a_paused_queue_and_a_deleted_job_are_no_rows() -> None:
    deleted = Record(0, 1, 0, b"!job_000001", b"{}")
    records = [record(Queue(step="noop", paused=True, changed_at=NOW), 0), deleted]
    assert parse_records(records, job_rows).changes == []
    assert [(change.id, change.row is not None) for change in queue_changes(records)] == [("noop", True)]
    assert deleted_jobs([*records, tombstone("!job_000002", 2)]) == {"job_000001": True, "job_000002": False}


def test_a_step_that_waits_for_an_executor_is_listed_as_waiting_and_queued() -> None:
    job = a_job(1, steps=(a_step("probe", requested_at=1.0), a_step("transcode")))
    assert step_states(job) == " probe=waiting probe=queued transcode=waiting "


def test_a_search_ignores_case() -> None:
    assert "holiday.mp4" in job_words(a_job(1, filename="HOLIDAY.mp4"))


def test_a_job_that_has_not_ended_has_no_duration() -> None:
    assert duration_s(a_job(1, started_at=NOW)) is None
    assert duration_s(a_job(1, "completed", started_at=NOW, finished_at=NOW + 4)) == 4.0
