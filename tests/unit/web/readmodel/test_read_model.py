"""The read model: rows, history, applied offsets, and damaged files."""

import asyncio
import re
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from schemas.jobs import Watermark
from tests.conftest import eventually
from tests.unit.web.replica import PARTITIONS, Replica, replica_below
from tests.unit.web.rows import a_job, a_step, an_asset, an_error, record, tombstone
from web.api.jobs.listing import JOBS
from web.api.stats import stats
from web.http.cursors import PageCursor, WriteCursor, dump
from web.http.fair_semaphore import CALLER
from web.readmodel import database_file, live_queries, queries
from web.readmodel.changelog import Record, job_rows
from web.readmodel.list_query import parse
from web.readmodel.read_model import Damaged, ReadModel, ReplicaInUse


@pytest.fixture
async def replica(tmp_path: Path) -> AsyncIterator[Replica]:
    async with replica_below(tmp_path) as found:
        yield found


async def ids(replica: Replica, owner: str | None = None, **query: str) -> list[str]:
    listing = parse(query, JOBS, owner)
    return await replica.model.read(
        lambda db: [row[0] for row in db.execute(listing.sql(), listing.args)][: listing.limit]
    )


def present(counts: dict[str, int]) -> dict[str, int]:
    """Those that are not zero."""
    return {name: count for name, count in counts.items() if count}


async def test_the_last_row_of_a_job_is_the_job(replica: Replica) -> None:
    await replica.write(a_job(1), a_job(1, "active"))
    await replica.write(a_job(1, "failed", error=an_error()))
    job = await replica.model.read(queries.job, "job_000001")
    assert job is not None and job.status == "failed"
    assert present(stats(await replica.model.read(queries.counts, None), ()).jobs) == {"failed": 1}


async def test_a_deleted_job_is_removed_everywhere(replica: Replica) -> None:
    await replica.write(a_job(1), a_job(2))
    await replica.write("job_000001", "job_of_nobody")
    assert await replica.model.read(queries.job, "job_000001") is None
    assert await ids(replica) == ["job_000002"]


async def test_a_deleted_jobs_id_is_known_for_as_long_as_control_remembers_it(replica: Replica) -> None:
    left = Record(0, 0, 1_000, b"!job_000001", b'{"id":"job_000001"}')
    await replica.take({"jobs": [left], "assets": []})
    assert await replica.model.read(queries.is_deleted, "job_000001")
    assert not await replica.model.read(queries.is_deleted, "job_000002")
    await replica.take({"jobs": [left._replace(offset=1, value=None)], "assets": []})
    assert not await replica.model.read(queries.is_deleted, "job_000001")


async def test_filters_combine_and_owners_see_their_own(replica: Replica) -> None:
    await replica.write(
        a_job(1, "failed", owner="anna", filename="Holiday in RÖM.mp4", error=an_error("corrupt-media")),
        a_job(2, "failed", owner="bert", passthrough="order 66"),
        a_job(3, "active", owner="anna", pipeline="noop"),
    )
    assert await ids(replica, "anna") == ["job_000003", "job_000001"]
    assert await ids(replica, status="failed", q="röm") == ["job_000001"]
    assert await ids(replica, q="corrupt-media") == ["job_000001"]
    assert await ids(replica, q="ORDER 66") == ["job_000002"]
    assert await ids(replica, "anna", q="order 66") == []
    assert await ids(replica, status="failed,active", sort="created_at") == ["job_000001", "job_000002", "job_000003"]
    assert await ids(replica, pipeline="noop") == ["job_000003"]
    assert await ids(replica, asset_id="asset_000002") == ["job_000002"]
    assert await ids(replica, created_after="2026-05-28T20:26:41.500Z", created_before="2026-05-28T20:26:42.500Z") == [
        "job_000002"
    ]


async def test_pages_neither_repeat_nor_miss_a_job_while_jobs_change(replica: Replica) -> None:
    same_moment = a_job(0).created_at
    await replica.write(*(a_job(n, created_at=same_moment + n // 3) for n in range(10)))
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while page := await ids(replica, limit="3", **cursor):
        seen += page
        last = int(page[-1].removeprefix("job_"))
        cursor = {"cursor": dump(PageCursor("-created_at", same_moment + last // 3, page[-1]))}
        await replica.write(a_job(last, "active", created_at=same_moment + last // 3), a_job(last + 1000))
    assert seen == [f"job_{n:06}" for n in reversed(range(10))]


async def test_applied_offsets_come_from_rows_and_watermarks(replica: Replica) -> None:
    mark = "a mark"
    await replica.write(Watermark(at={"media.commands": 7}))
    assert replica.position.has_applied("jobs", WriteCursor(mark, {0: 7}))
    assert not replica.position.has_applied("jobs", WriteCursor(mark, {0: 8}))
    assert not replica.position.has_applied("assets", WriteCursor(mark, {0: 7}))
    await replica.write(a_job(1, at={"media.commands": 3}), an_asset(1, at={"media.commands": 9}))
    assert replica.position.has_applied("assets", WriteCursor(mark, {0: 9}))
    assert (await replica.model.read(queries.applied_offsets))["assets"] == {("media.commands", 0): 9}


async def test_a_write_is_waited_for_again_once_the_log_has_lost_what_was_applied(replica: Replica) -> None:
    await replica.write(Watermark(at={"media.commands": 7}))
    await replica.write(Watermark(at={"media.commands": 2}, lost=("media.commands",)))
    assert replica.position.has_applied("jobs", WriteCursor("a mark", {0: 2}))
    assert not replica.position.has_applied("jobs", WriteCursor("a mark", {0: 3}))
    assert (await replica.model.read(queries.applied_offsets))["jobs"] == {("media.commands", 0): 2}


async def test_records_that_are_known_already_change_nothing(replica: Replica) -> None:
    first = record(a_job(1), 0)
    await replica.take({"jobs": [first, record(a_job(1, "active"), 1)]})
    await replica.take({"jobs": [first]})
    job = await replica.model.read(queries.job, "job_000001")
    assert job is not None and job.status == "active"


async def test_a_record_that_cannot_be_read_is_passed_over(replica: Replica) -> None:
    broken = record(a_job(1), 0)._replace(value=b"{not json")
    foreign = record(a_job(1), 1)._replace(key=b"\xff\xfe")
    await replica.take({"jobs": [broken, foreign, record(a_job(2), 2)]})
    assert await ids(replica) == ["job_000002"]
    saved = await replica.model.saved()
    assert saved is not None and saved.positions[("jobs", 0)].next_offset == 3


async def test_it_goes_on_where_it_was_after_a_restart(tmp_path: Path) -> None:
    async with replica_below(tmp_path) as before:
        await before.write(a_job(1, at={"media.commands": 5}))
        positions = (await before.model.saved() or pytest.fail("nothing saved")).positions
    with closing(ReadModel(tmp_path / "web-1.sqlite3", 100)) as model:
        saved = await model.saved()
        assert saved is not None and saved.cluster == "a cluster" and saved.positions == positions
        assert await model.read(queries.job, "job_000001") is not None


@pytest.mark.parametrize("damage", ["noise", "empty", "version", "middle"])
async def test_a_damaged_file_is_replaced_not_trusted(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "web-1.sqlite3"
    async with replica_below(tmp_path) as replica:
        await replica.write(*(a_job(n) for n in range(200)))
    content = path.read_bytes()
    if damage == "version":
        with sqlite3.connect(path) as db:
            db.execute("PRAGMA user_version = 99")
        db.close()
    else:
        middle = content[:8192] + b"\xa5" * (len(content) - 12288) + content[-4096:]
        path.write_bytes({"noise": b"no database" * 1000, "empty": b"", "middle": middle}[damage])
    with closing(ReadModel(path, 100)) as model:
        assert await model.saved() is None
        assert await model.read(queries.counts, None) == ([], {})


async def test_nothing_of_a_file_in_use_is_mapped_to_be_written(replica: Replica, tmp_path: Path) -> None:
    """On a full disk, a write to a mapped file ends the process."""
    await replica.write(a_job(1))
    await ids(replica)
    assert {path.name for path in tmp_path.glob("web-1.*")} == {"web-1.lock", "web-1.sqlite3", "web-1.sqlite3-wal"}


async def test_two_processes_cannot_share_one_replica(replica: Replica, tmp_path: Path) -> None:
    with pytest.raises(ReplicaInUse, match="KINOLOG_WEB__REPLICA"):
        ReadModel(tmp_path / "web-1.sqlite3", 100)


async def test_readers_go_on_with_the_new_file_after_a_rebuild(replica: Replica) -> None:
    await replica.write(a_job(1))
    assert await ids(replica) == ["job_000001"]
    await replica.model.rebuild("another cluster", PARTITIONS)
    assert await ids(replica) == []
    await replica.take({"jobs": [record(a_job(2), 0)]})
    assert await ids(replica) == ["job_000002"]


async def test_the_history_is_bounded_and_its_start_is_known(tmp_path: Path) -> None:
    async with replica_below(tmp_path, live_history=20) as replica:
        for n in range(100):
            await replica.write(a_job(2 * n))
        count = await replica.model.read(lambda db: db.execute("SELECT count(*) FROM changes").fetchone()[0])
        saved = await replica.model.saved()
        assert saved is not None
        floors = tuple(saved.positions.get(("jobs", p)) for p in range(PARTITIONS))
        assert 20 <= count <= 22
        for partition, place in enumerate(floors):
            if place is not None:
                behind = tuple(place.floor - 1 if p == partition else 10**9 for p in range(PARTITIONS))
                assert await replica.model.read(live_queries.resume_seq, behind) is None


async def test_a_hole_that_compaction_left_ends_the_history(replica: Replica) -> None:
    await replica.take({"jobs": [record(a_job(1), 0), record(a_job(1, "active"), 1)]})
    assert await replica.model.read(live_queries.resume_seq, (1, 0)) == 1
    await replica.take({"jobs": [record(a_job(1, "completed"), 5)]})
    assert await replica.model.read(live_queries.resume_seq, (1, 0)) is None
    assert await replica.model.read(live_queries.resume_seq, (5, 0)) == 2


async def test_of_a_job_created_and_deleted_in_one_batch_only_the_deletion_is_kept(replica: Replica) -> None:
    await replica.take({"jobs": [record(a_job(1, owner="anna"), 0), tombstone("job_000001", 1)]})
    assert await ids(replica) == []
    changes = await replica.model.read(live_queries.changes_after, 0, 10)
    assert [(change.job is None, change.audience.owner) for change in changes] == [(True, "anna")]


async def history(replica: Replica) -> list[tuple[str, bytes | None]]:
    return await replica.model.read(lambda db: db.execute("SELECT job_id, row FROM changes ORDER BY seq").fetchall())


async def test_the_rows_of_a_deleted_job_leave_the_history_and_its_deletion_stays(replica: Replica) -> None:
    await replica.write(a_job(1, filename="planted.mp4"), a_job(3))
    await replica.write(a_job(1, "active", filename="planted.mp4"))
    await replica.write(a_job(1, "failed", filename="planted.mp4"), "job_000001", a_job(3, "active"))
    kept = await history(replica)
    assert [job_id for job_id, _ in kept] == ["job_000003", "job_000001", "job_000003"]
    assert [row for job_id, row in kept if job_id == "job_000001"] == [None]


async def test_a_client_that_resumes_before_a_job_was_deleted_gets_its_deletion(replica: Replica) -> None:
    clients = [await replica.listen()]
    for status in ("waiting", "active", "failed"):
        await replica.write(a_job(1, status), a_job(2, status))
        clients.append(await replica.listen())
    await replica.write("job_000001")
    for client in clients:
        resumed = await replica.listen(client.cursor)
        assert "snapshot" not in resumed.kinds
        assert ("job_000001", "gone") in resumed.changes
        for frame in resumed.frames:
            client.take(frame)
        assert client.jobs.keys() == {"job_000002"}
        assert client.jobs["job_000002"]["status"] == "failed"


async def test_a_trim_after_a_deletion_still_ends_in_deletions_for_all_who_resume(tmp_path: Path) -> None:
    async with replica_below(tmp_path, live_history=20) as replica:
        first = await replica.listen()
        await replica.write(*(a_job(1, status) for status in ("waiting", "active", "failed")))
        second = await replica.listen()
        await replica.write("job_000001")
        await replica.write(*(a_job(3, "active", updated_at=float(n)) for n in range(100)))
        for client in (first, second):
            for frame in (await replica.listen(client.cursor)).frames:
                client.take(frame)
            assert client.jobs.keys() == {"job_000003"}


async def test_nothing_of_a_deleted_job_can_be_read_in_the_file(replica: Replica, tmp_path: Path) -> None:
    for status in ("waiting", "active", "failed"):
        named = (a_job(n, status, filename=f"planted{n:04}.mp4", passthrough="x" * 40 * n) for n in range(1, 60))
        await replica.write(*named, an_asset(1, filename="planted0001.mp4"))
    assert replica.model.needs_erasure.is_set(), "the last process may have died before it was done"
    await replica.write(*(f"job_{n:06}" for n in range(1, 60, 2)))
    await replica.take({"jobs": [], "assets": [tombstone("asset_000001", 3)]})
    while not await replica.model.erase():
        pass
    content = b"".join(file.read_bytes() for file in tmp_path.glob("web-1.sqlite3*"))
    assert {int(n) for n in re.findall(rb"planted(\d{4})", content)} == set(range(2, 60, 2))


async def test_an_asset_created_again_has_nothing_of_the_deleted_one(replica: Replica) -> None:
    await replica.take({"jobs": [], "assets": [record(an_asset(1, owner="anna"), 0)]})
    again = an_asset(1, owner="bert", created_at=5.0)
    await replica.take({"jobs": [], "assets": [tombstone("asset_000001", 1), record(again, 2)]})
    assert await replica.model.read(queries.asset_owner, "asset_000001") == ("bert",)
    await replica.take({"jobs": [record(a_job(1, owner="anna"), 0)]})
    await replica.take({"jobs": [tombstone("job_000001", 1), record(a_job(1, owner="bert"), 2)]})
    assert (await ids(replica, "anna"), await ids(replica, "bert")) == ([], ["job_000001"])
    assert present(stats(await replica.model.read(queries.counts, None), ()).jobs) == {"waiting": 1}


async def test_open_and_latest_completed_jobs_are_found_for_progress_and_estimates(replica: Replica) -> None:
    await replica.write(a_job(1, "active", (a_step("transcode", "active"),)), a_job(2))
    await replica.write(a_job(3, "completed"), a_job(4, "completed"), a_job(5, "failed"))
    assert [job.id for job in await replica.model.read(queries.open_jobs)] == ["job_000001", "job_000002"]
    assert [job.id for job in await replica.model.read(queries.latest_completed, 1)] == ["job_000004"]


def test_rows_are_kept_as_encoded_in_the_log() -> None:
    row = record(a_job(1), 0)
    assert row.value is not None and job_rows.decode(row.value) == a_job(1)


async def test_a_rebuild_that_fails_on_a_full_disk_succeeds_later(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    await replica.write(a_job(1))

    def full(_: Path) -> sqlite3.Connection:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as disk:
        disk.setattr(database_file, "connect", full)
        with pytest.raises(Damaged):
            await replica.model.rebuild("a cluster", PARTITIONS)
        with pytest.raises(Damaged):
            await ids(replica)
    assert replica.model.damaged.is_set()
    await replica.model.rebuild("a cluster", PARTITIONS)
    assert not replica.model.damaged.is_set()
    await replica.take({"jobs": [record(a_job(2), 0)]})
    assert await ids(replica) == ["job_000002"]


async def test_one_callers_slow_queries_do_not_keep_anothers_from_reading(replica: Replica) -> None:
    end = threading.Event()
    began: list[str] = []

    def wait(_: sqlite3.Connection, caller: str) -> None:
        began.append(caller)
        end.wait(60)

    async def ask(caller: str) -> None:
        CALLER.set(caller)
        await replica.model.read(wait, caller)

    asking = [asyncio.create_task(ask("anna")) for _ in range(50)]
    await eventually(lambda: len(began) == 3, 30)
    asking.append(asyncio.create_task(ask("bert")))
    await eventually(lambda: len(began) == 4, 30)
    end.set()
    await asyncio.gather(*asking)
    assert began[:4] == ["anna"] * 3 + ["bert"]
