"""Whatever is said, on any topic and to live clients, is what /asyncapi.json says."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaProducer

from streams.kafka.topics import names, required_topics
from streams.settings import load, to_environ
from tests.asyncapi import Checker, records
from tests.e2e.system import System

#: Said in the course of the jobs below; what other tests caused is checked beside.
SAID = {
    "media_job_submit_v1",
    "media_job_cancel_v1",
    "media_job_submitted_v1",
    "media_job_completed_v1",
    "media_job_cancelled_v1",
    "media_asset_ready_v1",
    "media_step_requested_v1",
    "media_step_started_v1",
    "media_step_completed_v1",
    "media_audit_recorded_v1",
    "snapshot",
    "job",
}


async def test_every_message_on_the_log_and_every_frame_is_what_the_document_says(system: System, clip: Path) -> None:
    async with system.client() as api:
        async with api.session.get("/asyncapi.json") as answer:
            checker = Checker(await answer.json())
        async with api.session.ws_connect("/v1/live", params={"subscribe": "all"}) as live:
            played, given_up = await api.upload(clip, pipeline="video"), await api.upload(clip, pipeline="video")
            await api.post(f"/v1/jobs/{given_up['job_id']}/cancel")
            ended: set[str] = set()
            async with asyncio.timeout(120):
                while not ended >= {played["job_id"], given_up["job_id"]}:
                    frame = await live.receive_json()
                    checker.check_frame(frame)
                    if frame["type"] == "job" and frame["job"]["finished_at"]:
                        ended.add(frame["job"]["id"])
    settings = load({})
    topics = names(settings)
    # Rows and URLs are no messages; uploads are written by others, invalid ones by other tests.
    others = {
        topics.tokens,
        topics.calls,
        topics.jobs_changelog,
        topics.assets_changelog,
        topics.source_urls,
        topics.uploads,
    }
    for record in await records(system.cluster, *({topic.name for topic in required_topics(settings)} - others)):
        checker.check_record(record)
    assert checker.seen >= SAID


async def test_the_audit_is_proven_on_the_log_until_somebody_changes_it(system: System) -> None:
    async with system.client() as api:
        assert (await api.post("/v1/assets", {"input": {"object": "none"}, "pipeline": "noop"}))[0] == 202
    code, verdict = await verified(system)
    assert (code, verdict["findings"]) == (0, []) and verdict["entries"] >= 2
    *_, last = await records(system.cluster, names(load({})).audit)
    producer = AIOKafkaProducer(**system.cluster.client_options())
    await producer.start()
    try:
        forged = last.value.replace(b'"POST /v1/assets"', b'"GET /v1/assets"')
        await producer.send_and_wait(last.topic, forged, partition=0, headers=list(last.headers))
    finally:
        await producer.stop()
    code, verdict = await verified(system)
    assert code == 1 and str(last.offset + 1) in verdict["findings"][0]


async def verified(system: System) -> tuple[int, dict[str, Any]]:
    """What `kinolog audit verify` says, and its exit code."""
    command = [sys.executable, "-m", "streams.cli", "audit", "verify", "--json"]
    environ = {**os.environ, **to_environ(load({}).with_cluster(system.cluster))}
    done = await asyncio.to_thread(subprocess.run, command, env=environ, capture_output=True, text=True, timeout=60)
    return done.returncode, json.loads(done.stdout)
