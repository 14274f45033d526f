"""Lists, statistics, timelines and bulk commands over a real log, on any replica."""

import asyncio
import csv
import io
import itertools
import re
import shutil
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from msgspec.structs import replace
from yarl import URL

from schemas.base import ErrorRecord
from schemas.jobs import Job, Step, StepSpec
from streams.kafka.envelope import BATCH_HEADERS, iso_time
from streams.kafka.producer import Producer
from streams.kafka.topics import names
from streams.settings import Settings
from tables.rows import decode_job
from tests.conftest import eventually
from tests.integration.streams.kafka.test_executor_reports import report_of
from tests.integration.web.control_stand_in import ControlStandIn
from tests.integration.web.logs import Make, control, log, make, site
from tests.integration.web.served import Site, serve
from tests.unit.web import oracle
from tests.unit.web.readmodel.crowd import crowd
from tests.unit.web.readmodel.test_queries import FILTERS
from web.background.retention import JobRetention
from web.http.cursors import WriteCursor, dump

__all__ = ["control", "log", "make", "site"]  # fixtures are found by their name in this module


async def rows_on_log(settings: Settings) -> dict[str, Job]:
    """The jobs changelog, read from its start and folded here: the last row of each key."""
    topic = names(settings).jobs_changelog
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        parts = [TopicPartition(topic, n) for n in range(settings.partitions)]
        consumer.assign(parts)
        await consumer.seek_to_beginning(*parts)
        ends = await consumer.end_offsets(parts)
        rows: dict[str, bytes | None] = {}
        while any([await consumer.position(part) < ends[part] for part in parts]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                rows |= {record.key.decode(): record.value for record in records if record.key[:1].isalnum()}
        return {key: decode_job(row) for key, row in rows.items() if row is not None}
    finally:
        await consumer.stop()


async def listed(site: Site, query: dict[str, str], token: str) -> list[str]:
    """Ids of all pages."""
    ids: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        status, body = await site.ask("GET", "/v1/jobs", token, params=query | cursor)
        assert status == 200, body
        ids += [job["id"] for job in body["data"]]
        if body["next_cursor"] is None:
            return ids
        cursor = {"cursor": body["next_cursor"]}


async def applied(site: Site, control: ControlStandIn) -> None:
    """Wait until the replica holds what control holds."""

    expected = oracle.statistics(control.jobs.values(), None)["steps"]

    async def same() -> Any:
        _, body = await site.ask("GET", "/v1/stats")
        return body["data"]["steps"] == expected

    await eventually(same, 30)


@pytest.fixture
async def crowded(control: ControlStandIn, site: Site, make: Make) -> dict[str, Job]:
    """Two hundred jobs in mixed states on the log, and nothing else."""
    for job in (await rows_on_log(make())).values():
        control.jobs[job.id] = job
        await control.delete(job.id)
    rows, jobs = mixed_crowd()
    await control.put_all(rows)
    await applied(site, control)
    return jobs


def mixed_crowd() -> tuple[list[Job], dict[str, Job]]:
    """Another crowd each time, in which anna has the jobs that tests retry and clear: one seed in ten has none."""
    for seed in itertools.count(int(time.time())):
        rows, jobs = crowd(200, seed=seed, began=time.time() - 1000)
        hers = [job for job in jobs.values() if job.owner == "anna"]
        retryable = [job for job in hers if job.status == "failed" and job.pipeline == "noop"]
        if retryable and any(job.status == "completed" for job in hers):
            return rows, jobs
    raise AssertionError


async def test_every_replica_answers_every_list_as_brute_force_over_the_log_does(
    site: Site, make: Make, control: ControlStandIn, crowded: dict[str, Job]
) -> None:
    async with serve(make(KINOLOG_WEB__REPLICA="web-2")) as other:
        jobs = await rows_on_log(make())
        assert jobs.keys() == crowded.keys()
        sorts = [sign + sort for sort in oracle.SORTS for sign in ("", "-")]
        asked = itertools.cycle([(site, "admin-token", None), (other, "anna-views", "anna")])
        for n, one in enumerate([*FILTERS, *({"sort": sort} for sort in sorts)]):
            for replica, token, owner in itertools.islice(asked, 2):
                query = {"sort": sorts[n % len(sorts)], "limit": str((9, 60, 500)[n % 3])} | one
                assert await listed(replica, query, token) == oracle.answer(jobs.values(), query, owner), query
        for replica, token, owner in itertools.islice(asked, 2):
            _, body = await replica.ask("GET", "/v1/stats", token)
            expected = oracle.statistics(jobs.values(), owner, replica.parts.pipelines)
            assert {name: body["data"][name] for name in expected} == expected
            _, queues = await replica.ask("GET", "/v1/queues", token)
            for queue in queues["data"]:
                counts = expected["steps"][queue["name"]]
                for status in ("waiting", "queued", "active", "delayed", "completed", "failed", "cancelled", "skipped"):
                    assert queue[status] == counts[status]


async def test_a_replica_that_lost_its_disk_catches_up_and_answers_the_same(
    site: Site, make: Make, control: ControlStandIn, crowded: dict[str, Job]
) -> None:
    settings = make(KINOLOG_WEB__REPLICA="web-4")
    async with serve(settings) as doomed:
        assert await listed(doomed, {"limit": "500"}, "admin-token")
    for path in (settings.data_path / "web").glob("web-4*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    writing = asyncio.create_task(_write_on(site))
    async with serve(settings) as reborn:
        cursor = await writing
        for query in ({"limit": "500"}, {"sort": "-duration", "limit": "70"}, {"status": "failed"}):
            after = query | {"after": cursor}
            assert await listed(reborn, after, "admin-token") == await listed(site, after, "admin-token")
        _, here = await site.ask("GET", f"/v1/stats?after={cursor}")
        _, there = await reborn.ask("GET", f"/v1/stats?after={cursor}")
        assert here == there and here["data"]["jobs"]


async def _write_on(site: Site) -> str:
    """Submit while a replica starts; the cursor of it all."""
    offsets: dict[int, int] = {}
    for n in range(20):
        item = {"input": {"object": f"media/clip-{n}.mp4"}, "pipeline": "noop"}
        _, body = await site.ask("POST", "/v1/assets", "anna-edits", json=item)
        assert "cursor" in body, body
        from web.http.cursors import load

        cursor = load(body["cursor"], WriteCursor)
        offsets |= cursor.offsets
        await asyncio.sleep(0.01)
    return dump(WriteCursor(cursor.log, offsets))


async def submitted(site: Site, token: str = "anna-edits") -> dict[str, Any]:
    item = {"input": {"object": "media/clip.mp4"}, "pipeline": "noop"}
    _, body = await site.ask("POST", "/v1/assets", token, json=item)
    await site.ask("GET", f"/v1/jobs/{body['data']['job_id']}?after={body['cursor']}", token)
    return dict(body["data"])


async def test_a_job_that_runs_cannot_be_deleted_and_one_that_ended_is_gone_everywhere(
    site: Site, make: Make, control: ControlStandIn
) -> None:
    job = await submitted(site)
    path, asset = f"/v1/jobs/{job['job_id']}", f"/v1/assets/{job['asset_id']}"
    for running in (path, asset):
        status, problem = await site.ask("DELETE", running, "anna-edits")
        assert (status, problem["code"]) == (409, "job-running")
    _, body = await site.ask("POST", f"{path}/cancel", "anna-edits")
    await site.ask("GET", f"{path}?after={body['cursor']}", "anna-edits")
    assert (await site.ask("DELETE", path, "bert-edits"))[0] == 404
    assert (await site.ask("DELETE", path, "anna-views"))[0] == 403
    status, body = await site.ask("DELETE", path, "anna-edits")
    assert status == 202
    for gone in (path, asset, f"{path}/events"):
        assert (await site.ask("GET", gone, "anna-edits"))[0] == 404
    assert (await site.ask("DELETE", path, "anna-edits"))[0] == 404
    async with serve(make(KINOLOG_WEB__REPLICA="web-5")) as fresh:
        assert (await fresh.ask("GET", f"{path}?after={body['cursor']}", "anna-edits"))[0] == 404


async def test_an_asset_is_deleted_with_its_jobs(site: Site, control: ControlStandIn) -> None:
    job = await submitted(site)
    _, body = await site.ask("POST", f"/v1/jobs/{job['job_id']}/cancel", "anna-edits")
    await site.ask("GET", f"/v1/jobs/{job['job_id']}?after={body['cursor']}", "anna-edits")
    assert (await site.ask("DELETE", f"/v1/assets/{job['asset_id']}", "anna-edits"))[0] == 202
    assert (await site.ask("GET", f"/v1/jobs/{job['job_id']}", "anna-edits"))[0] == 404
    assert (await site.ask("GET", f"/v1/assets/{job['asset_id']}", "anna-edits"))[0] == 404


async def test_a_ready_asset_and_its_job_say_what_they_lack(site: Site, control: ControlStandIn) -> None:
    submission = await submitted(site)
    job = control.jobs[submission["job_id"]]
    captions = Step(
        spec=StepSpec(name="captions", optional=True),
        status="failed",
        error=ErrorRecord(code="model-failed", message="The model failed."),
        finished_at=time.time(),
    )
    steps = (*(replace(step, status="completed", finished_at=time.time()) for step in job.steps), captions)
    await control.change(job.id, status="completed", steps=steps, finished_at=time.time())
    expected = [{"step": "captions", "code": "model-failed", "message": "The model failed."}]

    async def shown() -> Any:
        _, asset = await site.ask("GET", f"/v1/assets/{job.asset_id}", "anna-edits")
        return asset["data"] if asset["data"]["status"] == "READY" else None

    assert (await eventually(shown))["warnings"] == expected
    _, body = await site.ask("GET", f"/v1/jobs/{job.id}", "anna-edits")
    assert (body["data"]["status"], body["data"]["warnings"]) == ("completed", expected)
    _, text = await site.ask("GET", "/v1/jobs/export", "anna-edits", params={"format": "csv"})
    rows = {row["id"]: row for row in csv.DictReader(io.StringIO(text.decode()))}
    assert rows[job.id]["warnings"] == "captions:model-failed"


async def test_clearing_and_retrying_go_to_ones_own_by_filter_and_say_how_many(
    site: Site, control: ControlStandIn, crowded: dict[str, Job]
) -> None:
    mine = [job for job in crowded.values() if job.owner == "anna"]
    failed = [job.id for job in mine if job.status == "failed" and job.pipeline == "noop"]
    status, body = await site.ask("POST", "/v1/jobs/retry", "anna-edits", json={"pipeline": "noop"})
    assert (status, body["data"]["count"]) == (202, len(failed)) and failed
    _, again = await site.ask("GET", f"/v1/jobs/{failed[0]}", "anna-edits")
    assert (again["data"]["status"], again["data"]["run"]) == ("waiting", control.jobs[failed[0]].run)
    completed = [job.id for job in mine if job.status == "completed"]
    wanted = {"status": "completed", "older_than_s": 10**6}
    assert (await site.ask("POST", "/v1/jobs/clear", "anna-edits", json=wanted))[1]["data"]["count"] == 0
    status, body = await site.ask("POST", "/v1/jobs/clear", "anna-edits", json={"status": "completed"})
    assert (status, body["data"]["count"]) == (202, len(completed)) and completed
    assert await listed(site, {"status": "completed"}, "anna-edits") == []
    assert await listed(site, {"status": "completed", "owner": "bert"}, "admin-token")
    for bad in ({"status": "active"}, {}, {"status": "all", "older_than_s": -1}, {"status": "all", "colour": "red"}):
        assert (await site.ask("POST", "/v1/jobs/clear", json=bad))[0] == 422
    assert (await site.ask("POST", "/v1/jobs/clear", "anna-views", json={"status": "all"}))[0] == 403


async def test_many_jobs_are_cancelled_by_filter_or_by_id_and_only_ones_own(
    site: Site, control: ControlStandIn, crowded: dict[str, Job]
) -> None:
    def running(owner: str) -> list[str]:
        mine = [job for job in control.jobs.values() if job.owner == owner and not job.cancelling]
        return [job.id for job in mine if job.status in ("waiting", "active")]

    hers, his = running("anna"), running("bert")
    assert len(hers) > 3 and his
    chosen = {"ids": [*hers[:2], his[0], "job_gone", next(iter(set(crowded) - set(hers) - set(his)))]}
    status, body = await site.ask("POST", "/v1/jobs/cancel", "anna-edits", json=chosen)
    assert (status, body["data"]["count"]) == (202, 2)
    assert set(running("anna")) == set(hers[2:]) and running("bert") == his
    _, counts = await site.ask("GET", "/v1/jobs/counts", "anna-edits", params={"status": "waiting"})
    status, body = await site.ask("POST", "/v1/jobs/cancel", "anna-edits", json={"status": "waiting"})
    assert (status, body["data"]["count"]) == (202, counts["data"]["jobs"]["waiting"])
    wrong: list[Any] = [{}, {"status": "failed"}, {"ids": []}, {"ids": ["a,b"]}, {"colour": "red"}]
    for bad in wrong:
        assert (await site.ask("POST", "/v1/jobs/cancel", json=bad))[0] == 422
    assert (await site.ask("POST", "/v1/jobs/cancel", "anna-views", json={"status": "all"}))[0] == 403


async def test_a_group_of_failures_is_listed_retried_and_cleared_by_its_code(
    site: Site, control: ControlStandIn, crowded: dict[str, Job]
) -> None:
    _, body = await site.ask("GET", "/v1/jobs/failures", "anna-edits")
    first, *_ = body["data"]
    _, jobs = await site.ask("GET", "/v1/jobs", "anna-edits", params={"error_code": first["code"], "limit": "500"})
    assert {job["error"]["code"] for job in jobs["data"]} == {first["code"]}
    assert len(jobs["data"]) == first["jobs"]
    query = {"error_code": first["code"], "status": "failed"}
    status, body = await site.ask("POST", "/v1/jobs/clear", "anna-edits", json=query)
    assert (status, body["data"]["count"]) == (202, first["jobs"])
    _, body = await site.ask("GET", "/v1/jobs/failures", "anna-edits")
    assert first["code"] not in [group["code"] for group in body["data"]]
    assert any(job.status == "failed" and job.owner == "bert" for job in control.jobs.values()), "of another owner"


async def test_the_caller_is_known_by_name_and_role(site: Site) -> None:
    for token, owner, role in (("anna-views", "anna", "viewer"), ("anna-edits", "anna", "editor")):
        _, body = await site.ask("GET", "/v1/me", token)
        assert (body["data"]["owner"], body["data"]["role"]) == (owner, role)


async def completed(site: Site, control: ControlStandIn, *, without_captions: bool) -> Job:
    """A job that completed, with an optional step that did or did not."""
    submission = await submitted(site)
    job, now = control.jobs[submission["job_id"]], time.time()
    spec = StepSpec(name="captions", optional=True)
    captions = Step(spec=spec, status="completed", outputs={"vtt": "v"}, finished_at=now)
    if without_captions:
        error = ErrorRecord(code="model-failed", message="The model failed.")
        captions = Step(spec=spec, status="failed", error=error, finished_at=now)
    steps = (*(replace(step, status="completed", finished_at=now) for step in job.steps), captions)
    return await control.change(job.id, status="completed", steps=steps, finished_at=now)


async def test_jobs_that_lack_steps_are_retried_and_their_assets_stay_ready(
    site: Site, control: ControlStandIn
) -> None:
    one, two = [await completed(site, control, without_captions=True) for _ in range(2)]
    whole = await completed(site, control, without_captions=False)

    async def refused() -> bool:
        status, problem = await site.ask("POST", f"/v1/jobs/{whole.id}/retry", "anna-edits")
        return status == 409 and "lacks nothing" in problem["detail"]

    async def counted() -> bool:
        _, metrics = await site.ask("GET", "/metrics")
        found = re.search(rb'kinolog_failed_steps{step="captions"} (\d+)', metrics)
        return found is not None and int(found[1]) >= 2  # other tests use the same log

    await eventually(refused)
    await eventually(counted)
    status, body = await site.ask("POST", f"/v1/jobs/{one.id}/retry", "anna-edits")
    assert status == 202
    _, shown = await site.ask("GET", f"/v1/jobs/{one.id}?after={body['cursor']}", "anna-edits")
    assert (shown["data"]["status"], shown["data"]["run"]) == ("waiting", 2)
    _, asset = await site.ask("GET", f"/v1/assets/{one.asset_id}", "anna-edits")
    assert asset["data"]["status"] == "READY"
    for asset_id, count in ((two.asset_id, 1), (whole.asset_id, 0)):
        query = {"status": "completed", "asset_id": asset_id}
        status, body = await site.ask("POST", "/v1/jobs/retry", "anna-edits", json=query)
        assert (status, body["data"]["count"]) == (202, count)


async def test_a_retention_forgets_the_oldest(site: Site, control: ControlStandIn, crowded: dict[str, Job]) -> None:
    from streams.settings.media import Retention

    await site.parts.clock.within(10)
    janitor = JobRetention(Retention(jobs=5, age_s=0), {}, site.parts)
    ended: dict[tuple[str, str], list[Job]] = {}
    for job in crowded.values():
        if job.finished_at is not None:
            ended.setdefault((job.pipeline, job.status), []).append(job)
    expected = {
        job.id for group in ended.values() for job in sorted(group, key=lambda job: (job.updated_at, job.id))[-5:]
    }
    count = await janitor.round()
    assert count == sum(len(group) for group in ended.values()) - len(expected)
    kept = await listed(site, {"status": "completed,failed,cancelled", "limit": "500"}, "admin-token")
    assert set(kept) == expected


async def test_admins_pause_and_resume_a_queue(site: Site, control: ControlStandIn) -> None:
    async def noop() -> dict[str, Any]:
        _, body = await site.ask("GET", "/v1/queues", "anna-views")
        return next(queue for queue in body["data"] if queue["name"] == "noop")

    assert (await site.ask("POST", "/v1/queues/noop/pause", "anna-edits"))[0] == 403
    assert (await site.ask("POST", "/v1/queues/dishes/pause"))[0] == 404
    assert (await site.ask("POST", "/v1/queues/noop/pause"))[0] == 202
    assert (await noop())["paused"] and "paused_at" in await noop()
    assert (await site.ask("POST", "/v1/queues/noop/resume"))[0] == 202
    assert not (await noop())["paused"]


async def test_a_job_in_a_paused_queue_says_so_to_everybody_who_looks(site: Site, control: ControlStandIn) -> None:
    assert (await site.ask("POST", "/v1/queues/noop/pause"))[0] == 202
    job_id = (await submitted(site))["job_id"]

    async def step() -> dict[str, Any]:
        _, body = await site.ask("GET", f"/v1/jobs/{job_id}", "anna-views")
        found: dict[str, Any] = body["data"]["steps"][0]
        return found

    async with asyncio.timeout(60):
        while "queue_position" not in await step():  # control has not reported the queue yet
            await asyncio.sleep(0.05)
    assert (await step())["paused"] is True
    url = site.server.make_url("/")
    headers = {"Authorization": "Bearer anna-views"}
    async with (
        watching(url, job_id) as lines,
        site.session.get(url.join(URL(f"/v1/live/sse?subscribe=job:{job_id}")), headers=headers) as events,
        asyncio.timeout(60),
    ):
        assert (await anext(lines)).startswith("noop           0 %  waiting, queue paused, position ")
        assert (await site.ask("POST", "/v1/queues/noop/resume"))[0] == 202
        assert "paused" not in await step()
        assert "queue paused" not in await anext(lines)
        seen = b""
        while b'"paused":false' not in seen:
            seen += await events.content.readany()
        assert seen.count(b'"type":"job"') == 1, "also for who knows no other frame"


@asynccontextmanager
async def watching(url: URL, job_id: str) -> AsyncIterator[AsyncIterator[str]]:
    """The lines that `kinolog watch` prints."""
    program = str(Path(sys.executable).with_name("kinolog"))
    options = ("--url", str(url).rstrip("/"), "--token", "anna-views")
    running = await asyncio.create_subprocess_exec(program, "watch", job_id, *options, stdout=PIPE)
    assert running.stdout is not None
    try:
        yield (line.decode().rstrip() async for line in running.stdout)
    finally:
        running.terminate()
        await running.wait()


async def test_a_queue_that_no_executor_takes_from_is_shown(site: Site, make: Make, control: ControlStandIn) -> None:
    settings = make()

    async def shown() -> dict[str, int]:
        _, body = await site.ask("GET", "/v1/queues", "anna-views")
        return {queue["name"]: queue.get("executors") for queue in body["data"]}

    assert (await shown())["noop"] == 0
    producer = Producer(settings, "reports")
    await producer.start()

    async def one_takes() -> bool:
        await producer.deliver(names(settings).executors, 0, None, report_of("shown", {"noop"}), BATCH_HEADERS)
        return (await shown())["noop"] == 1

    await eventually(one_takes, 30)
    await producer.stop(5)
    assert (await shown())["probe"] == 0
    _, text = await site.ask("GET", "/metrics")
    assert b'kinolog_queue_executors{step="noop"} 1.0\n' in text
    assert b'kinolog_queue_executors{step="probe"} 0.0\n' in text


async def test_a_timeline_and_the_past_come_from_the_log(site: Site, control: ControlStandIn) -> None:
    job = await submitted(site)
    path = f"/v1/jobs/{job['job_id']}"
    await asyncio.sleep(0.05)  # the log's clock counts milliseconds
    before = iso_time()
    await asyncio.sleep(0.05)
    _, body = await site.ask("POST", f"{path}/cancel", "anna-edits")
    await site.ask("GET", f"{path}?after={body['cursor']}", "anna-edits")

    events: list[dict[str, Any]] = []

    async def told() -> Any:
        _, body = await site.ask("GET", f"{path}/events", "anna-edits")
        events[:] = body["data"]
        return len(events) == 2

    await eventually(told, 10)
    assert [event["type"] for event in events] == ["media.job.submitted.v1", "media.job.cancelled.v1"]
    _, past = await site.ask("GET", path, "anna-edits", params={"as_of": before})
    _, now = await site.ask("GET", path, "anna-edits")
    assert (past["data"]["status"], now["data"]["status"]) == ("waiting", "cancelled")
    assert (await site.ask("GET", path, "anna-edits", params={"as_of": "2020-01-01T00:00:00Z"}))[0] == 404
    assert (await site.ask("GET", path, "anna-edits", params={"as_of": "2999-01-01T00:00:00Z"}))[0] == 400
    assert (await site.ask("GET", f"{path}/events", "bert-edits"))[0] == 404
    _, stats = await site.ask("GET", "/v1/stats", "anna-edits", params={"as_of": before})
    assert stats["data"]["jobs"]["waiting"] >= 1 and stats["data"]["as_of"] == before


async def test_an_export_is_the_whole_list(site: Site, control: ControlStandIn, crowded: dict[str, Job]) -> None:
    query = {"owner": "anna", "sort": "created_at"}
    expected = oracle.answer(crowded.values(), query, None)
    _, body = await site.ask("GET", "/v1/jobs/export", params={"owner": "anna"})
    assert [job["id"] for job in body["data"]] == expected
    _, text = await site.ask("GET", "/v1/jobs/export", "anna-views", params={"format": "csv"})
    rows = list(csv.DictReader(io.StringIO(text.decode())))
    assert [row["id"] for row in rows] == expected
    assert rows[0]["status"] == crowded[expected[0]].status
    assert (await site.ask("GET", "/v1/jobs/export?format=xml"))[0] == 400
