"""Queues are reported when they change, now and then otherwise, and once more when they are empty."""

from agents.control.dispatch.queue_reporter import changed_reports
from schemas.queues import QueuedAttempt, QueueReported


def a_report(*job_ids: str, wait_s: float = 1.0) -> dict[str, QueueReported]:
    first = tuple(QueuedAttempt(job_id, position, wait_s) for position, job_id in enumerate(job_ids, 1))
    return {"noop": QueueReported(step="noop", dispatcher=1, waiting=len(first), slots=1, first=first)}


def test_only_what_has_changed_is_sent_between_repeats() -> None:
    assert changed_reports({}, a_report("j"), repeats=False) == [*a_report("j").values()]
    assert changed_reports(a_report("j"), a_report("j", wait_s=0.5), repeats=False) == [], "clients count down"
    assert changed_reports(a_report("j"), a_report("k", "j"), repeats=False) == [*a_report("k", "j").values()]
    assert changed_reports(a_report("j"), a_report("j"), repeats=True) == [*a_report("j").values()]


def test_a_queue_in_which_nothing_waits_any_more_is_reported_once() -> None:
    assert changed_reports(a_report("j"), {}, repeats=False) == [QueueReported(step="noop", dispatcher=1)]
    assert changed_reports({}, {}, repeats=True) == []
