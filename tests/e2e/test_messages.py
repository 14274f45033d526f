"""Whatever is said, on any topic and to live clients, is what /asyncapi.json says."""

import asyncio
from pathlib import Path

from streams.settings import load
from streams.topics import names, wanted
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
    settings = load({"KINOLOG_KAFKA__BOOTSTRAP": system.bootstrap})
    rows = {names(settings).tokens, names(settings).jobs_changelog, names(settings).assets_changelog}
    for record in await records(system.bootstrap, *({topic.name for topic in wanted(settings)} - rows)):
        checker.check_record(record)
    assert checker.seen >= SAID
