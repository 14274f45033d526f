"""What an executor says about itself: how its tools are isolated."""

import asyncio
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agents.executor.capacity import Slots
from agents.executor.session import ExecutorSession
from agents.executor.store_presence import StorePresence
from processors.storage.object_store import open_store
from processors.storage.owner_mark import Installation, mark
from processors.tools.limits import Limits
from processors.tools.runner import Runner
from processors.tools.sandbox import Isolation, Sandbox
from schemas.executors import MAX_CACHED, ExecutorReport
from schemas.steps import step_kinds
from streams.cli.executors import executor_table
from streams.kafka.executor_reports import DatedReport
from streams.process.folders import remember_store, store_mark
from streams.settings import Settings, load
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


@pytest.mark.parametrize("restarts", [False, True])
async def test_without_its_store_an_executor_offers_no_slots(tmp_path: Path, restarts: bool) -> None:
    settings = load({"KINOLOG_DATA_DIR": str(tmp_path)})
    folder = tmp_path / "store"

    def started() -> tuple[ExecutorSession, StorePresence]:
        session, store = _session(), open_store(settings.store_url, mark=store_mark(settings))
        runtime: Any = SimpleNamespace(kind=step_kinds()["probe"], slots=Slots(2), processor=object())
        session._runtimes = {"probe": runtime}
        return session, StorePresence(store, session, partial(asyncio.to_thread, remember_store, settings))

    session, presence = started()

    async def offered() -> int:
        await presence.look()
        return session._current().steps["probe"].slots

    assert await offered() == 2  # of a new installation, before web has marked it
    await mark(open_store(settings.store_url), Installation(cluster_id="c", topic_prefix="media."))
    assert await offered() == 2
    folder.rename(tmp_path / "away")
    folder.mkdir()
    if restarts:
        session, presence = started()
    assert await offered() == 0
    assert not session._current().steps["probe"].short
    folder.rmdir()
    (tmp_path / "away").rename(folder)
    assert await offered() == 2


def test_a_report_names_the_large_sources_here_and_no_more_than_it_may() -> None:
    session = _session()
    assert session._current().cached == ()
    session.cached = lambda most: tuple(f"asset_{number}" for number in range(1000))[:most]
    assert len(session._current().cached) == MAX_CACHED


def test_a_step_whose_gpu_is_away_is_not_offered_and_others_are() -> None:
    # Reports: discoproject/disco#98, cooperative-computing-lab/cctools#2684 (work goes to a node whose GPU died).
    session, processor = _session(), SimpleNamespace(is_able=False)
    kinds, others = step_kinds(), object()
    runtimes: Any = {
        "transcribe": SimpleNamespace(kind=kinds["transcribe"], slots=Slots(1), processor=processor),
        "probe": SimpleNamespace(kind=kinds["probe"], slots=Slots(2), processor=others),
    }
    session._runtimes = runtimes
    away = session._current().steps
    assert (away["transcribe"].slots, away["transcribe"].short, away["probe"].slots) == (0, False, 2)
    processor.is_able = True
    back = session._current().steps["transcribe"]
    assert (back.slots, back.short) == (1, True)


def test_an_executor_that_runs_tools_without_a_sandbox_is_obvious_in_the_list() -> None:
    session = _session()
    session.isolation = lambda: Isolation.BOUNDS.value
    view = _shown(session._current())
    row = {"id": "e1", "lane": "default", "status": "active", "version": "v", "outdated": False, "active": {}}
    assert "NONE" in "\n".join(executor_table([{**row, "slots": {}, "sandbox": view.sandbox}]))
