"""Live clients that follow executors see each of them, what changes, and no other owner's jobs."""

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from schemas.executors import HeldAttempt
from streams.kafka.executor_reports import DatedReport
from tests.unit.streams.kafka.test_executor_reports import dated
from tests.unit.web.replica import Listener, Replica, replica_below
from tests.unit.web.rows import a_job, a_step
from web.live.executor_changes import ExecutorChanges
from web.readmodel.executors import Executors
from web.readmodel.subscriptions import parse


@pytest.fixture
async def replica(tmp_path: Path) -> AsyncIterator[Replica]:
    async with replica_below(tmp_path) as found:
        yield found


def busy(name: str, *job_numbers: int, age_s: float = 0.0) -> DatedReport:
    report, at = dated(name, time.time() - age_s, "noop")
    held = [HeldAttempt(job_id=f"job_{n:06}", run=1, step="noop", attempt=1) for n in job_numbers]
    return DatedReport(replace(report, attempts=tuple(held)), at)


def started(replica: Replica, *reports: DatedReport) -> tuple[Executors, ExecutorChanges]:
    executors = Executors(replica.settings)
    executors._known.set()
    executors.take(reports)
    return executors, ExecutorChanges(executors, replica.hub, replica.progress)


async def read(listener: Listener) -> dict[str, dict[str, Any]]:
    """Executors in the frames that have come since."""
    seen = len(listener.frames)
    while listener.client._executor_frames:
        listener.client._progress_due = 0.0
        for frame in await listener.client.next_frames():
            listener.take(frame)
    return {found["id"]: found for frame in listener.frames[seen:] for found in [json.loads(frame.text)["executor"]]}


async def test_a_viewer_sees_the_executors_and_no_other_owners_jobs(replica: Replica) -> None:
    await replica.write(
        *(a_job(n, "active", (a_step("noop", "active"),), owner=o) for n, o in ((1, "anna"), (2, "bert")))
    )
    _, changes = started(replica, busy("a", 1, 2))
    admin, anna = [await replica.listen(subscription=parse("executors", owner)) for owner in (None, "anna")]
    changes.publish()
    shown = {who: (await read(listener))["a"] for who, listener in (("admin", admin), ("anna", anna))}
    assert [attempt["job_id"] for attempt in shown["admin"]["attempts"]] == ["job_000001", "job_000002"]
    assert [attempt["job_id"] for attempt in shown["anna"]["attempts"]] == ["job_000001"]
    assert shown["anna"]["active"] == {"noop": 2}, "how busy it is concerns everybody who waits"


async def test_only_changes_are_sent_and_all_executors_to_who_joins(replica: Replica) -> None:
    executors, changes = started(replica, busy("a", 1), busy("b"))
    first = await replica.listen(subscription=parse("executors", None))
    changes.publish()
    assert set(await read(first)) == {"a", "b"}
    executors.take([busy("a", 1, age_s=-2.0), busy("b", 2, age_s=-2.0)])
    changes.publish()
    assert set(await read(first)) == {"b"}, "a has only reported again"
    second = await replica.listen(subscription=parse("executors", None))
    changes.publish()
    assert (set(await read(first)), set(await read(second))) == (set(), {"a", "b"})


async def test_an_executor_that_died_is_silent_and_then_gone_rather_than_shown_for_ever(replica: Replica) -> None:
    executors, changes = started(replica, busy("a", 1, age_s=50.0), busy("b"))
    listener = await replica.listen(subscription=parse("executors", None))
    changes.publish()
    assert {name: found["status"] for name, found in (await read(listener)).items()} == {"a": "silent", "b": "active"}
    executors._latest.pop("a")
    changes.publish()
    assert {name: found["status"] for name, found in (await read(listener)).items()} == {"a": "gone"}
    changes.publish()
    assert await read(listener) == {} and list(changes._sent[None]) == ["b"]


async def test_a_client_that_did_not_ask_for_executors_gets_none(replica: Replica) -> None:
    _, changes = started(replica, busy("a"))
    listener = await replica.listen()
    changes.publish()
    assert await read(listener) == {}


async def test_an_executor_that_is_idle_or_back_is_shown_so(replica: Replica) -> None:
    """Source: mher/flower#457: an empty list of tasks did not replace the last one; #760: it stayed offline."""
    executors, changes = started(replica, busy("a", 1, age_s=30.0), busy("b"))
    listener = await replica.listen(subscription=parse("executors", None))
    changes.publish()
    assert (await read(listener))["a"]["status"] == "silent"
    executors.take([busy("a")])
    changes.publish()
    again = (await read(listener))["a"]
    assert (again["status"], again["active"], again["attempts"]) == ("active", {}, [])
