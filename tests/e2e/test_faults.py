"""Parts are killed while they work: nothing is lost, nothing runs on, nothing is published twice."""

import asyncio
import contextlib
import time
from pathlib import Path
from typing import Any

import aiohttp
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from streams.kafka.envelope import read
from streams.kafka.topics import names, required_topics
from streams.settings import load
from tests.conftest import eventually
from tests.e2e.system import Api, System, is_transcoding, step_of


async def test_a_killed_executor_is_replaced_and_its_attempt_done_again(fragile: System, long_clip: Path) -> None:
    async with fragile.client() as api:
        accepted = await api.upload(long_clip, pipeline="video")
        await api.wait(accepted["job_id"], is_transcoding, 120)
        assert fragile.tools()
        fragile.kill("executor")
        await eventually(lambda: not fragile.tools(), within_s=2.0)  # long before its lease ends
        job = await api.ended(accepted["job_id"], 300)
    assert job["status"] == "completed"
    assert step_of(job, "transcode")["attempt"] == 2
    done = [step["name"] for step in job["steps"] if step["status"] == "completed"]
    assert {"probe", "transcode", "thumbnails"} <= set(done)
    assert await completions(fragile, accepted["job_id"]) == dict.fromkeys(done, 1)
    assert fragile.tools() == []


async def completions(system: System, job_id: str) -> dict[str, int]:
    """How many different completions of each step of the job the world was told."""
    seen: dict[str, set[str]] = {}
    for record in await whole_topic(system, "media.events"):
        for entry in read(record.value, record.headers):
            event = entry.event  # type: ignore[union-attr]  # an unreadable fact fails the test, as it should
            if event.type == "media.step.completed.v1" and event.correlationid == job_id:
                seen.setdefault(entry.message.step, set()).add(event.id)  # type: ignore[union-attr]
    return {step: len(ids) for step, ids in seen.items()}


async def whole_topic(system: System, topic: str) -> list[Any]:
    """Every record of a topic."""
    consumer = AIOKafkaConsumer(
        **system.cluster.client_options(), enable_auto_commit=False, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        places = [TopicPartition(topic, number) for number in range(8)]
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        records: list[Any] = []
        while any([await consumer.position(place) < end for place, end in ends.items()]):
            for fetched in (await consumer.getmany(timeout_ms=500)).values():
                records += fetched
        return records
    finally:
        await consumer.stop()


async def test_killed_control_and_broker_come_back_and_everything_goes_on(fragile: System, clip: Path) -> None:
    async with fragile.client() as api:
        for part in ("control", "broker"):
            jobs = [await api.upload(clip, pipeline="video") for _ in range(2)]
            fragile.kill(part)
            for accepted in jobs:
                assert (await api.ended(accepted["job_id"], 300))["status"] == "completed"


async def test_a_cancelled_transcode_is_dead_within_two_seconds_and_a_retry_completes_it(
    fragile: System, long_clip: Path
) -> None:
    async with fragile.client() as api:
        accepted = await api.upload(long_clip, pipeline="video")
        path = f"/v1/jobs/{accepted['job_id']}"
        await api.wait(accepted["job_id"], is_transcoding, 120)
        assert (await api.post(f"{path}/cancel"))[0] == 202
        await eventually(lambda: not fragile.tools(), within_s=2.0)
        job = await api.ended(accepted["job_id"], 10)
        assert job["status"] == "cancelled"
        status, problem = await api.post(f"{path}/cancel")
        assert (status, problem["code"]) == (409, "job-ended")
        assert (await api.post(f"{path}/retry"))[0] == 202
        job = await api.wait(accepted["job_id"], lambda j: j["status"] == "completed", 300)
    assert job["run"] == 2
    assert step_of(job, "probe")["attempt"] == 1


async def test_garbage_on_every_topic_becomes_dead_letters_and_stops_nothing(fragile: System, clip: Path) -> None:
    topics = names(load({}))
    inputs = [t.name for t in required_topics(load({})) if not t.name.endswith("-changelog")]
    inputs = [name for name in inputs if name not in (topics.events, topics.dead_letters)]
    garbage = [b"\x00\xff\xfe", b"[1, {}, null]", b"{", b"", None, b"[]", b'{"type": 3}', b"x" * 900_000]
    producer = AIOKafkaProducer(**fragile.cluster.client_options(), max_request_size=1_048_576)
    await producer.start()
    for topic in inputs:
        for value in garbage:
            await producer.send_and_wait(topic, value, key=b"k", partition=0)
    await producer.stop()
    async with fragile.client() as api:
        accepted = await api.upload(clip, pipeline="video")
        assert (await api.ended(accepted["job_id"]))["status"] == "completed"
    # Every process reads these for itself: each would bury the same record again at every start.
    # A source's URL is read by its offset, and nobody looks at the records between.
    # Partition 0 of the requests may be no executor's address.
    alone = {topics.progress, topics.control, topics.tokens, topics.calls, topics.audit, topics.source_urls}
    needed = set(inputs) - alone - {topics.executors, topics.step_requests}

    missing = set(needed)
    deadline = time.monotonic() + 30
    while missing and time.monotonic() < deadline:
        letters = await whole_topic(fragile, topics.dead_letters)
        missing = needed - {entry.message.topic for r in letters for entry in read(r.value, r.headers)}  # type: ignore[union-attr]
    assert not missing
    assert "restarting" not in fragile.log().lower()


async def test_a_producer_may_compress_and_use_transactions_on_any_topic_and_nobody_stops_reading(
    fragile: System, clip: Path
) -> None:
    """One lz4 batch ended its reader at every start, and so did the marker of one transaction."""
    topics = [topic.name for topic in required_topics(load({}))]
    for codec in ("gzip", "snappy", "lz4", "zstd"):
        kafka = AIOKafkaProducer(
            **fragile.cluster.client_options(), compression_type=codec, transactional_id=f"other-{codec}"
        )
        await kafka.start()
        for ends in (kafka.commit_transaction, kafka.abort_transaction, kafka.commit_transaction):
            await kafka.begin_transaction()
            for topic in topics:  # a tombstone of nothing does no harm to a changelog either
                await kafka.send(topic, None, key=b"nothing of ours", partition=0)
            await ends()
        await kafka.stop()
    async with fragile.client() as api:
        for part in ("control", "executor", "web"):
            job = await api.ended((await api.upload(clip, pipeline="noop"))["job_id"])
            assert job["status"] == "completed"
            fragile.kill(part)  # what it read has to be read again, or lies behind it
        job = await api.ended((await again(api, clip))["job_id"])
        assert job["status"] == "completed"
        await eventually(lambda: is_ready(fragile), within_s=30)
    assert "exit_code" not in fragile.log()


async def again(api: Api, clip: Path) -> dict[str, str]:
    """An upload, once web is back."""
    for _ in range(100):
        with contextlib.suppress(aiohttp.ClientError, AssertionError):
            return await api.upload(clip, pipeline="noop")
        await asyncio.sleep(0.2)
    raise AssertionError("web does not come back")


async def is_ready(system: System) -> bool:
    """Whether `/readyz` says so."""
    async with aiohttp.ClientSession() as session, session.get(f"{system.url}/readyz") as answer:
        return answer.status == 200
