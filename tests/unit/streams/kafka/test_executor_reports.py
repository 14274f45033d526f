"""Executors are counted by the steps that they offer in their reports, while they report."""

from schemas.executors import ExecutorReport, StepSlots
from schemas.steps import step_kinds
from streams.kafka.executor_reports import DatedReport, count_by_step, unserved_steps


def dated(name: str, at: float, *steps: str, draining: bool = False) -> DatedReport:
    offers = {step: StepSlots(slots=1) for step in steps}
    report = ExecutorReport(
        executor_id=name,
        session_id=f"{name}-1",
        address=0,
        lane="default",
        version="1",
        seq=1,
        steps=offers,
        draining=draining,
    )
    return DatedReport(report, at)


def test_executors_count_by_their_latest_report_while_they_are_alive_and_stay() -> None:
    reports = [
        dated("a", 100.0, "probe"),
        dated("a", 107.0, "noop"),
        dated("b", 106.0, "noop", "probe"),
        dated("silent", 100.5, "noop"),
        dated("leaving", 107.0, "noop", draining=True),
    ]
    counted = count_by_step(reports, 110.0)
    assert {step: count for step, count in counted.items() if count} == {"noop": 2, "probe": 1}
    assert set(unserved_steps(counted)) == step_kinds().keys() - {"noop", "probe"}


def test_executors_that_reported_a_while_ago_do_not_count() -> None:
    reports = [dated("a", 100.0, "noop")]
    assert count_by_step(reports, 110.0)["noop"] == 1
    assert count_by_step(reports, 120.0)["noop"] == 0


def test_without_reports_no_step_has_an_executor() -> None:
    assert set(unserved_steps(count_by_step([], 110.0))) == step_kinds().keys()
