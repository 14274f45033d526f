"""Views of executors from their reports. Pure."""

from collections import Counter
from collections.abc import Callable, Sequence

from streams.kafka.envelope import iso_time
from streams.kafka.executor_reports import DatedReport, silent_before
from web.views.models import ExecutorAttempt, ExecutorStatus, ExecutorView


def executor_views(
    reports: Sequence[DatedReport], now: float, version: str, may_see: Callable[[str], bool]
) -> list[ExecutorView]:
    """The executors by name. `version`: of this process; `may_see`: whether the caller may see that job."""
    silent = silent_before(reports, now)
    views = [executor_view(dated, silent, version, may_see) for dated in reports]
    return sorted(views, key=lambda view: view.id)


def executor_view(
    dated: DatedReport, silent_before_s: float, version: str, may_see: Callable[[str], bool]
) -> ExecutorView:
    """The executor of a report; one whose report is not after `silent_before_s` is silent."""
    report, at = dated
    status: ExecutorStatus = "silent" if at <= silent_before_s else "draining" if report.draining else "active"
    return ExecutorView(
        id=report.executor_id,
        lane=report.lane,
        version=report.version,
        outdated=report.version != version,
        status=status,
        reported_at=iso_time(at),
        slots={step: offer.slots for step, offer in report.steps.items()},
        active=dict(Counter(attempt.step for attempt in report.attempts)),
        attempts=[
            ExecutorAttempt(job_id=attempt.job_id, step=attempt.step, attempt=attempt.attempt)
            for attempt in report.attempts
            if may_see(attempt.job_id)
        ],
        cpus=report.cpus,
        sandbox=report.sandbox or None,
    )
