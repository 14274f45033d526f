"""What an executor says about itself: how its tools are isolated."""

from typing import Any

from agents.executor.session import ExecutorSession
from processors.tools.limits import Limits
from processors.tools.runner import Runner
from processors.tools.sandbox import Isolation, Sandbox
from schemas.executors import ExecutorReport
from streams.cli.executors import executor_table
from streams.kafka.executor_reports import DatedReport
from streams.settings import Settings
from web.views.executors import executor_view


def _session() -> ExecutorSession:
    unused: Any = None
    return ExecutorSession(
        Settings(), "default", "e1", home="h", runtimes={}, cpus=2, producer=unused, fatal=lambda *_, **__: unused
    )


def _shown(report: ExecutorReport) -> Any:
    return executor_view(DatedReport(report, 1.0), 0.0, "v", lambda _: True)


def test_a_report_names_the_isolation_of_tools_once_it_is_known() -> None:
    session, runner = _session(), Runner(Limits())
    session.isolation = lambda: runner.isolation.value if runner.isolation else ""
    assert session._current().sandbox == ""
    assert _shown(session._current()).sandbox is None
    runner._sandbox = Sandbox(isolation=Isolation.NAMESPACES)
    assert _shown(session._current()).sandbox == "namespaces"


def test_an_executor_that_runs_tools_without_a_sandbox_is_obvious_in_the_list() -> None:
    session = _session()
    session.isolation = lambda: Isolation.BOUNDS.value
    view = _shown(session._current())
    row = {"id": "e1", "lane": "default", "status": "active", "version": "v", "outdated": False, "active": {}}
    assert "NONE" in "\n".join(executor_table([{**row, "slots": {}, "sandbox": view.sandbox}]))
