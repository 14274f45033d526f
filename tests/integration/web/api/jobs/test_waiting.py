"""What a job that waits says over REST: when it starts, or why it does not."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.conftest import eventually
from tests.integration.web.control_stand_in import ControlStandIn
from tests.integration.web.logs import control, log, make, site
from tests.integration.web.served import Site

__all__ = ["control", "log", "make", "site"]  # fixtures are found by their name in this module


def in_s(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


async def submit(site: Site, **options: Any) -> tuple[int, dict[str, Any]]:
    item = {"input": {"object": "media/clip.mp4"}, "pipeline": "noop", **options}
    status, body = await site.ask("POST", "/v1/assets", "anna-edits", json=item)
    return status, body


async def job_of(site: Site, body: dict[str, Any]) -> dict[str, Any]:
    path = f"/v1/jobs/{body['data']['job_id']}?after={body['cursor']}"
    _, found = await site.ask("GET", path, "anna-edits")
    return dict(found["data"])


async def test_a_job_for_later_waits_is_listed_and_can_be_cancelled(site: Site, control: ControlStandIn) -> None:
    at = in_s(3600.0)
    status, body = await submit(site, run_at=at)
    assert status == 202
    job = await job_of(site, body)
    assert (job["status"], job["eta_s"]) == ("waiting", None)
    assert abs((datetime.fromisoformat(job["run_at"]) - datetime.fromisoformat(at)).total_seconds()) < 0.01
    assert "waiting_reason" not in job["steps"][0] and "queue_position" not in job["steps"][0]
    _, listed = await site.ask("GET", "/v1/jobs?status=waiting", "anna-edits")
    assert job["id"] in {other["id"] for other in listed["data"] if "run_at" in other}
    _, cancelled = await site.ask("POST", f"/v1/jobs/{job['id']}/cancel", "anna-edits")
    _, after = await site.ask("GET", f"/v1/jobs/{job['id']}?after={cancelled['cursor']}", "anna-edits")
    assert after["data"]["status"] == "cancelled"


async def test_a_time_that_cannot_be_is_refused_before_anything_is_stored(site: Site, control: ControlStandIn) -> None:
    for run_at in (in_s(-3600.0), in_s(400 * 86_400.0), "tomorrow", "2026-01-31T12:00:00"):
        status, body = await submit(site, run_at=run_at)
        assert (status, body["code"]) == (422, "invalid-run-at")
        params = {"filename": "a.mp4", "run_at": run_at}
        status, body = await site.ask("POST", "/v1/uploads", "anna-edits", params=params, data=b"x" * 99)
        assert (status, body["code"]) == (422, "invalid-run-at")
    status, body = await submit(site, run_at=7)
    assert status == 422


async def test_an_upload_for_later_waits_too(site: Site, control: ControlStandIn) -> None:
    params = {"filename": "a.mp4", "pipeline": "noop", "run_at": in_s(3600.0)}
    status, body = await site.ask("POST", "/v1/uploads", "anna-edits", params=params, data=b"x" * 99)
    assert status == 201
    assert "run_at" in await job_of(site, body)


async def test_a_step_that_no_executor_offers_says_so_and_so_do_its_queue_and_the_metrics(
    site: Site, control: ControlStandIn
) -> None:
    control.reason = "no_executor"
    _, body = await submit(site)
    job = await job_of(site, body)

    async def step() -> dict[str, Any]:
        _, found = await site.ask("GET", f"/v1/jobs/{job['id']}", "anna-edits")
        return dict(found["data"]["steps"][0]) | {"job_eta_s": found["data"]["eta_s"]}

    async def is_unserved() -> bool:
        return (await step()).get("no_executor") is True

    await eventually(is_unserved, 30)
    shown = await step()
    assert (shown["waiting_reason"], shown["job_eta_s"]) == ("no_executor", None) and "eta_s" not in shown
    _, queues = await site.ask("GET", "/v1/queues", "anna-views")
    assert next(queue["reason"] for queue in queues["data"] if queue["name"] == "noop") == "no_executor"
    _, text = await site.ask("GET", "/metrics")
    assert b'kinolog_queue_waiting{reason="no_executor",step="noop"}' in text
    control.reason = ""

    async def is_served() -> bool:
        return bool((await step())["waiting_reason"] == "queued")

    await eventually(is_served, 30)
    assert "no_executor" not in await step()
