"""The routes of the replaced systems show the same jobs in their own terms."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from typing import Any, get_args

import jwt
import pytest
from msgspec.structs import replace

from schemas.jobs import AssetStatus, Job
from tests.conftest import eventually
from tests.integration.web.control_stand_in import ControlStandIn
from tests.integration.web.logs import Make, control, log, make, site
from tests.integration.web.served import Site, serve
from tests.unit.web.rows import a_job, a_step, an_error
from web.compat.media_admin import STATUSES

__all__ = ["control", "log", "make", "site"]  # fixtures are found by their name in this module

#: Exactly the fields that the replaced systems have.
FIELDS = {
    "media": "mediaId status fileName jobId jobState progress manifestUrl thumbnails",
    "studio": "id jobId queueName status progress type resourceId resourceName fileName canCancel cancelledAt "
    "failedReason createdAt updatedAt completedAt",
    "envelope": "success data meta",
    "queue": "queueName isPaused position waiting active delayed completed failed",
    "state": "id state progress result error createdAt processedAt completedAt",
    "meta": "requestId timestamp operation",
}
ANNA, BERT, VIEWER = "anna-edits", "bert-edits", "anna-views"
STUDIO = "/api/v1/studio/processing-jobs"


def has_fields(found: dict[str, Any], kind: str) -> bool:
    return found.keys() == set(FIELDS[kind].split())


async def submitted(site: Site, control: ControlStandIn, **fields: str) -> dict[str, Any]:
    item = {"input": {"object": "media/clip.mp4"}, "pipeline": "noop", "filename": "Clip.mp4"} | fields
    status, body = await site.ask("POST", "/v1/assets", ANNA, json=item)
    assert status == 202, body
    await site.ask("GET", f"/v1/jobs/{body['data']['job_id']}?after={body['cursor']}", ANNA)
    await eventually(lambda: body["data"]["job_id"] in control.jobs)
    return dict(body["data"])


async def shown(site: Site, path: str, field: str, value: Any) -> dict[str, Any]:
    """The response of the path once `field`, "a.b", is `value`."""

    async def has() -> dict[str, Any]:
        _, body = await site.ask("GET", path, ANNA)
        found: Any = body
        for name in field.split("."):
            found = found.get(name) if isinstance(found, dict) else None
        return dict(body) if found == value else {}

    found: dict[str, Any] = await eventually(has)
    return found


async def test_media_admin_is_told_of_an_asset(site: Site, control: ControlStandIn) -> None:
    ids = await submitted(site, control)
    path = f"/api/admin/media/jobs?mediaId={ids['asset_id']}"
    found = await shown(site, path, "jobState", "waiting")
    assert found["mediaId"] == ids["asset_id"] and has_fields(found, "media")
    assert (found["status"], found["fileName"], found["jobId"]) == ("UPLOADED", "Clip.mp4", ids["job_id"])
    assert (found["progress"], found["manifestUrl"], found["thumbnails"]) == (0, None, [])
    assert isinstance(found["progress"], int)
    assert (await site.ask("GET", path, BERT))[0] == 404
    status, problem = await site.ask("GET", "/api/admin/media/jobs", ANNA)
    assert (status, problem["code"]) == (400, "missing-parameter")


async def made_film(control: ControlStandIn, thumbs: list[str]) -> Job:
    """A completed job with a playlist and pictures."""
    job = a_job(time.time_ns() % 10**9, "completed", owner="anna")
    folder = f"assets/{job.asset_id}/made/1-a"
    made = {
        "transcode": {"master": f"{folder}/master.m3u8"},
        "thumbnails": {"poster": f"{folder}/poster.jpg", "thumbnails": [f"{folder}/{name}" for name in thumbs]},
    }
    steps = tuple(a_step(name, "completed", outputs=outputs) for name, outputs in made.items())
    await control.put(replace(job, steps=steps))
    return job


@pytest.mark.parametrize("thumbs", [[], ["thumb-001.jpg", "thumb-002.jpg"]])
async def test_media_admin_has_addresses_of_all_that_was_made(
    site: Site, control: ControlStandIn, thumbs: list[str]
) -> None:
    job = await made_film(control, thumbs)
    found = await shown(site, f"/api/admin/media/jobs?mediaId={job.asset_id}", "status", "READY")
    assert (found["jobState"], found["progress"]) == ("completed", 100.0)
    for url, name in zip(
        [found["manifestUrl"], *found["thumbnails"]], ["master.m3u8", *(thumbs or ["poster.jpg"])], strict=True
    ):
        assert url.startswith(f"{site.server.make_url('/media/s/')}") and url.endswith(
            f"/{job.asset_id}/made/1-a/{name}"
        )


async def test_a_page_on_another_server_gets_urls_that_work_there(make: Make, control: ControlStandIn) -> None:
    """`manifestUrl` as a path would be looked for on the page's own server; a proxy's prefix would be lost."""
    job = await made_film(control, ["thumb-001.jpg"])
    public = "https://media.example.com/kinolog"
    async with serve(make(KINOLOG_WEB__PUBLIC_URL=f"{public}/")) as site:
        found = await shown(site, f"/api/admin/media/jobs?mediaId={job.asset_id}", "status", "READY")
        _, status = await site.ask("GET", f"/api/jobs/{job.id}/status", ANNA)
        _, asset = await site.ask("GET", f"/v1/assets/{job.asset_id}", ANNA)
        _, listed = await site.ask("GET", "/v1/assets", ANNA)
        _, signed = await site.ask("POST", f"/v1/assets/{job.asset_id}/playback", ANNA)
        urls = [found["manifestUrl"], *found["thumbnails"], status["data"]["result"]["url"], signed["data"]["base_url"]]
        urls += [one[name] for one in (asset["data"], signed["data"]) for name in ("master_url", "poster_url")]
        urls += [one["master_url"] for one in listed["data"] if one["id"] == job.asset_id]
        assert len(urls) == 9 and all(url.startswith(f"{public}/media/") for url in urls)


async def test_urls_are_those_of_a_trusted_proxy(make: Make, control: ControlStandIn) -> None:
    job = await made_film(control, [])
    forwarded = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "media.example.com"}
    for proxies, base in (("1", "https://media.example.com"), ("0", "http://127.0.0.1:")):
        async with serve(make(KINOLOG_WEB__TRUSTED_PROXIES=proxies)) as site:
            path = f"/v1/assets/{job.asset_id}"
            await shown(site, path, "data.status", "READY")
            _, asset = await site.ask("GET", path, ANNA, headers=forwarded)
            assert asset["data"]["master_url"].startswith(base)


async def test_the_component_of_a_job_status_finds_the_result_by_its_url(site: Site, control: ControlStandIn) -> None:
    job = await made_film(control, [])
    found = await shown(site, f"/api/jobs/{job.id}/status", "data.state", "completed")
    result = found["data"]["result"]
    assert result["url"].endswith(f"/{job.asset_id}/made/1-a/master.m3u8")
    assert result.keys() == {"url", "transcode", "thumbnails"}
    assert found["data"]["progress"] == 100 and isinstance(found["data"]["progress"], int)


@pytest.mark.parametrize("status, told", [("PENDING", "UPLOADED"), ("DOWNLOADING", "PROCESSING"), ("CACHED", "READY")])
def test_media_admin_has_words_for_cached_media_too(status: AssetStatus, told: str) -> None:
    assert STATUSES[status] == told and STATUSES.keys() == set(get_args(AssetStatus))


async def test_the_studio_lists_filters_cancels_and_deletes(site: Site, control: ControlStandIn) -> None:
    film = await submitted(site, control, passthrough=json.dumps({"type": "film", "resourceId": 7}))
    said = {"type": "episode", "resourceId": "e1", "resourceName": "Pilot"}
    episode = await submitted(site, control, passthrough=json.dumps(said))
    _, listed = await site.ask("GET", f"{STUDIO}?type=episode&limit=500", ANNA)
    ids = [record["jobId"] for record in listed["data"]]
    assert episode["job_id"] in ids
    assert film["job_id"] not in ids
    (record,) = [record for record in listed["data"] if record["id"] == episode["job_id"]]
    assert has_fields(record, "studio")
    assert (record["type"], record["resourceId"], record["resourceName"]) == ("episode", "e1", "Pilot")
    assert (record["status"], record["canCancel"], record["queueName"]) == ("waiting", True, "noop")
    stats = (await site.ask("GET", "/v1/stats", ANNA))[1]["data"]
    assert listed["statistics"] == {"total": sum(stats["jobs"].values()), **stats["jobs"]}
    assert set(stats["jobs"]) == {"waiting", "active", "completed", "failed", "cancelled"}
    assert isinstance(record["progress"], int)
    _, one = await site.ask("GET", f"{STUDIO}/{episode['job_id']}", ANNA)
    queue = one["data"].pop("queue")
    assert has_fields(one["data"], "studio") and has_fields(queue, "queue")
    assert (queue["queueName"], queue["isPaused"]) == ("noop", False)
    assert queue["waiting"] == stats["steps"]["noop"]["waiting"]
    status, problem = await site.ask("GET", f"{STUDIO}?type=series", ANNA)
    assert (status, problem["code"]) == (400, "invalid-parameter")
    assert (await site.ask("POST", f"{STUDIO}/{episode['job_id']}/cancel", VIEWER))[0] == 403
    assert (await site.ask("POST", f"{STUDIO}/{episode['job_id']}/cancel", BERT))[0] == 404
    assert (await site.ask("POST", f"{STUDIO}/{episode['job_id']}/cancel", ANNA))[0] == 202
    one = await shown(site, f"{STUDIO}/{episode['job_id']}", "data.status", "cancelled")
    assert one["data"]["cancelledAt"] is not None
    assert one["data"]["canCancel"] is False
    assert (await site.ask("POST", f"{STUDIO}/{film['job_id']}/retry", ANNA))[0] == 409
    assert (await site.ask("DELETE", f"{STUDIO}/{film['job_id']}", ANNA))[0] == 409


async def test_the_studios_pages_follow_each_other(site: Site, control: ControlStandIn) -> None:
    made = [(await submitted(site, control, passthrough='{"type": "episode"}'))["job_id"] for _ in range(3)]
    seen: list[str] = []
    cursor = ""
    for _ in range(200):
        _, listed = await site.ask("GET", f"{STUDIO}?type=episode&limit=1{cursor}", ANNA)
        seen += [record["id"] for record in listed["data"]]
        if listed["nextCursor"] is None:
            break
        cursor = f"&cursor={listed['nextCursor']}"
    assert [job_id for job_id in seen if job_id in made] == made[::-1]
    assert len(seen) == len(set(seen))


async def test_an_attachment_is_queued_and_its_steps_are_told(site: Site, control: ControlStandIn) -> None:
    status, queued = await site.ask(
        "POST", "/api/video-processing/upload", ANNA, json={"attachment_id": 4711, "filename": "A.mp4"}
    )
    assert status == 202, queued
    job_id = queued["queue_id"]
    await eventually(lambda: job_id in control.jobs)
    assert control.jobs[job_id].input.object == "attachments/4711"
    path = f"/api/video-processing/status/{job_id}"
    item = await shown(site, path, "status", "pending")
    assert (item["attachment_id"], item["progress_percentage"]) == ("4711", 0)
    assert isinstance(item["progress_percentage"], int)
    assert set(item["steps"]) == {step.spec.name for step in control.jobs[job_id].steps}
    _, queue = await site.ask("GET", "/api/video-processing/queue", ANNA)
    assert job_id in [found["queue_id"] for found in queue["items"]]
    assert (await site.ask("DELETE", path, BERT))[0] == 404
    assert (await site.ask("DELETE", path, ANNA)) == (202, {"success": True, "queue_id": job_id, "action": "cancelled"})
    await shown(site, path, "status", "cancelled")
    # All of a user's jobs are listed, whatever became of them.
    _, queue = await site.ask("GET", "/api/video-processing/queue", ANNA)
    assert ("cancelled", job_id) in [(found["status"], found["queue_id"]) for found in queue["items"]]
    assert queue["cancelled"] >= 1 and queue["failed"] >= 0
    _, queue = await site.ask("GET", "/api/video-processing/queue?status=cancelled,failed", ANNA)
    assert {found["status"] for found in queue["items"]} <= {"cancelled", "failed"}
    status, problem = await site.ask("GET", "/api/video-processing/queue?status=done", ANNA)
    assert (status, problem["code"]) == (400, "invalid-status")


async def test_the_queue_of_video_processing_is_read_page_by_page(site: Site, control: ControlStandIn) -> None:
    made = [(await submitted(site, control))["job_id"] for _ in range(3)]
    seen: list[str] = []
    cursor = ""
    for _ in range(200):
        _, queue = await site.ask("GET", f"/api/video-processing/queue?limit=1{cursor}", ANNA)
        seen += [item["queue_id"] for item in queue["items"]]
        if queue["next_cursor"] is None:
            break
        cursor = f"&cursor={queue['next_cursor']}"
    assert [job_id for job_id in seen if job_id in made] == made[::-1]
    assert len(seen) == len(set(seen))


async def test_a_failed_job_says_why_in_each_systems_words(site: Site, control: ControlStandIn) -> None:
    ids = await submitted(site, control)
    await control.change(ids["job_id"], status="failed", error=an_error(), finished_at=time.time())
    await shown(site, f"/api/jobs/{ids['job_id']}/status", "data.state", "failed")
    _, envelope = await site.ask("GET", f"/api/jobs/{ids['job_id']}/status", ANNA)
    assert (envelope["success"], envelope["data"]["error"]) == (True, "The file ends too early.")
    assert envelope["meta"]["operation"] == "job.status.get"
    for part, kind in ((envelope, "envelope"), (envelope["data"], "state"), (envelope["meta"], "meta")):
        assert has_fields(part, kind)
    _, record = await site.ask("GET", f"{STUDIO}/{ids['job_id']}", ANNA)
    assert record["data"]["failedReason"] == "The file ends too early."
    _, item = await site.ask("GET", f"/api/video-processing/status/{ids['job_id']}", ANNA)
    assert item["error_message"] == "The file ends too early."


async def test_a_refused_submission_is_shown_by_each_system(site: Site, control: ControlStandIn) -> None:
    """It has no steps: control refused it before the first one."""
    number = time.time_ns() % 10**9
    refused = a_job(number, "failed", owner="anna", error=an_error(), finished_at=time.time())
    job = replace(refused, steps=(), pipeline="no-such-step")
    await control.put(job)
    one = await shown(site, f"{STUDIO}/{job.id}", "data.status", "failed")
    assert (one["data"]["queue"]["waiting"], one["data"]["queue"]["position"]) == (0, None)
    item = await shown(site, f"/api/video-processing/status/{job.id}", "status", "failed")
    assert item["steps"] == {}
    state = await shown(site, f"/api/jobs/{job.id}/status", "data.state", "failed")
    assert state["data"]["result"] is None


async def test_an_unknown_job_has_its_code_in_the_envelope(site: Site, control: ControlStandIn) -> None:
    ids = await submitted(site, control)
    for job_id, token in (("job_unknown", ANNA), (ids["job_id"], BERT)):
        status, envelope = await site.ask("GET", f"/api/jobs/{job_id}/status", token)
        assert (status, envelope["success"], envelope["error"]["code"]) == (404, False, "JOB_NOT_FOUND")


NOW, NEXT = "now" * 11, "next" * 8


def signed(key: str, body: bytes, at: float) -> dict[str, str]:
    stamp = str(int(at))
    found = hmac.digest(key.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hex()
    return {"X-Timestamp": stamp, "X-Signature": f"sha256={found}", "Content-Type": "application/json"}


@pytest.mark.parametrize("key, age_s, status", [(NOW, 0, 202), (NEXT, 0, 202), ("old", 0, 401), (NOW, 900, 401)])
async def test_a_schedulers_call_is_taken_with_either_key_and_not_late(
    make: Make, control: ControlStandIn, key: str, age_s: int, status: int
) -> None:
    environ = {"SIGNING_KEY": NOW, "NEXT_SIGNING_KEY": NEXT, "STEP_PIPELINES": '{"compress": "noop"}'}
    async with serve(make(**{f"KINOLOG_COMPAT__{name}": value for name, value in environ.items()})) as site:
        body = b'{"attachment_id": 12}'
        headers = signed(key, body, time.time() - age_s)
        path = "/api/video-processing/steps/compress"
        assert (await site.ask("POST", path, None, data=body, headers=headers))[0] == status
        assert (await site.ask("POST", path, None, data=body + b" ", headers=headers))[0] == 401


@pytest.mark.parametrize(
    "step, last",
    [("compress", "compress"), ("audio-convert", "audio"), ("transcribe", "transcribe"), ("embed", "embed")],
)
async def test_a_schedulers_step_has_its_pipeline_as_shipped(
    make: Make, control: ControlStandIn, step: str, last: str
) -> None:
    async with serve(make(KINOLOG_COMPAT__SIGNING_KEY=NOW)) as site:
        body = json.dumps({"attachment_id": f"{step}-1"}).encode()
        path = f"/api/video-processing/steps/{step}"
        status, queued = await site.ask("POST", path, None, data=body, headers=signed(NOW, body, time.time()))
        assert status == 202, queued
        await eventually(lambda: queued["queue_id"] in control.jobs)
        assert [one.spec.name for one in control.jobs[queued["queue_id"]].steps][-1] == last


async def test_without_a_key_no_signed_call_is_taken(site: Site) -> None:
    body = b'{"attachment_id": 12}'
    path = "/api/video-processing/steps/compress"
    assert (await site.ask("POST", path, None, data=body, headers=signed("", body, time.time())))[0] == 401


SCHEDULERS_KEY = "sig_" + "k" * 32
STEP_PATH = "/api/video-processing/steps/compress"
SCHEDULER = {
    "KINOLOG_COMPAT__SIGNING_KEY": SCHEDULERS_KEY,
    "KINOLOG_COMPAT__STEP_PIPELINES": '{"compress": "noop", "embed": "noop"}',
}


def with_message_id(body: bytes, message_id: str, step: str) -> dict[str, str]:
    stamp = str(int(time.time()))
    found = hmac.digest(SCHEDULERS_KEY.encode(), f"{stamp}.{message_id}.{step}.".encode() + body, hashlib.sha256).hex()
    return {"X-Timestamp": stamp, "X-Signature": f"sha256={found}", "X-Message-Id": message_id}


def of_upstash(body: bytes, ahead_s: float = 0.0, **claims: Any) -> dict[str, str]:
    now = time.time() + ahead_s
    digest = base64.urlsafe_b64encode(hashlib.sha256(body).digest()).decode()
    known = {"iat": int(now), "nbf": int(now), "exp": int(now) + 300, "body": digest}
    known |= {"jti": f"jwt_{time.time_ns()}", "sub": f"https://media.example{STEP_PATH}"}
    return {"Upstash-Signature": jwt.encode({**known, **claims}, SCHEDULERS_KEY, "HS256")}


async def calls(site: Site, body: bytes, *headers: dict[str, str], path: str = STEP_PATH) -> list[Any]:
    """Statuses of refused calls, and jobs of accepted ones."""
    answers = [
        await site.ask("POST", path, None, data=body, headers={"Content-Type": "application/json", **one})
        for one in headers
    ]
    return [answer["queue_id"] if status == 202 else status for status, answer in answers]


@pytest.mark.parametrize("form", ["plain", "with a message id", "of upstash"])
async def test_a_call_that_is_sent_three_times_makes_one_job(make: Make, control: ControlStandIn, form: str) -> None:
    body = json.dumps({"attachment_id": f"{form}-{time.time_ns()}".replace(" ", "-")}).encode()
    headers = {
        "plain": signed(SCHEDULERS_KEY, body, time.time()),
        "with a message id": with_message_id(body, f"m-{time.time_ns()}", "compress"),
        "of upstash": of_upstash(body),
    }[form]
    async with serve(make(**SCHEDULER)) as site:
        await calls_are_known(site)
        jobs = await calls(site, body, headers, headers, {**headers, "Idempotency-Key": "another"})
        assert len(set(jobs)) == 1 and jobs[0] in control.jobs, jobs
        elsewhere = await calls(site, body, headers, path=STEP_PATH.replace("compress", "embed"))
        assert elsewhere in ([jobs[0]], [401]), "a call of one step was taken at another"
        assert elsewhere == [401] or form == "plain"


async def test_a_later_delivery_of_the_same_message_makes_no_second_job(make: Make, control: ControlStandIn) -> None:
    body = json.dumps({"attachment_id": f"later-{time.time_ns()}"}).encode()
    message = {"Upstash-Message-Id": f"msg_{time.time_ns()}"}
    async with serve(make(**SCHEDULER)) as site:
        await calls_are_known(site)
        captured = of_upstash(body)
        jobs = await calls(site, body, {**captured, **message}, {**of_upstash(body), **message})
        assert len(set(jobs)) == 1 and jobs[0] in control.jobs
        assert await calls(site, body, {**captured, "Upstash-Message-Id": "another"}) == [401]


async def test_a_captured_call_makes_no_second_job_at_any_replica(make: Make, control: ControlStandIn) -> None:
    """The message's id is not signed: each replica has to know the tokens that were used at the others."""
    body = json.dumps({"attachment_id": f"captured-{time.time_ns()}"}).encode()
    captured, ids = of_upstash(body), [{"Upstash-Message-Id": f"msg_{time.time_ns()}_{n}"} for n in range(2)]
    async with serve(make(KINOLOG_WEB__REPLICA="calls-a", **SCHEDULER)) as one:
        async with serve(make(KINOLOG_WEB__REPLICA="calls-b", **SCHEDULER)) as two:
            for site in (one, two):
                await calls_are_known(site)
            [job] = await calls(one, body, {**captured, **ids[0]})
            assert job in control.jobs
            assert await calls(two, body, {**captured, **ids[1]}) == [401]
            assert await calls(two, body, {**captured, **ids[0]}) == [job]
            race = of_upstash(body)
            first, second = await asyncio.gather(
                calls(one, body, {**race, **ids[0]}), calls(two, body, {**race, **ids[1]})
            )
            assert sorted([first == [401], second == [401]]) == [False, True]
        async with serve(make(KINOLOG_WEB__REPLICA="calls-c", **SCHEDULER)) as later:
            await calls_are_known(later)
            assert await calls(later, body, {**captured, **ids[1]}) == [401]


async def calls_are_known(site: Site) -> None:
    """The replica has read the calls that were made before it started."""

    async def known() -> bool:
        body = json.dumps({"attachment_id": "known"}).encode()
        return await calls(site, body, of_upstash(body)) != [503]

    await eventually(known, 60)


async def test_a_token_that_is_valid_for_days_is_refused(make: Make, control: ControlStandIn) -> None:
    """Longer than used tokens are remembered."""
    body = json.dumps({"attachment_id": f"days-{time.time_ns()}"}).encode()
    async with serve(make(**SCHEDULER)) as site:
        assert await calls(site, body, of_upstash(body, exp=int(time.time()) + 86_400)) == [401]


async def test_a_scheduler_whose_clock_is_two_seconds_ahead_is_heard(make: Make, control: ControlStandIn) -> None:
    body = json.dumps({"attachment_id": f"ahead-{time.time_ns()}"}).encode()
    async with serve(make(**SCHEDULER)) as site:
        await calls_are_known(site)
        [job] = await calls(site, body, of_upstash(body, ahead_s=2.5))
        assert job in control.jobs
        assert await calls(site, body, of_upstash(body, ahead_s=60)) == [401]
        assert await calls(site, body, of_upstash(body, sub="https://media.example/steps/embed")) == [401]
