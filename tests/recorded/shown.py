"""What an interface shows of a recorded log."""

from pathlib import Path
from typing import Any

from tests.e2e.system import Api

ENVIRON = {
    "KINOLOG_PARTITIONS": "2",
    "KINOLOG_AUTH__SIGNING_SECRET": "a-signing-secret-of-recorded-logs",
    "KINOLOG_PIPELINES_DIR": str(Path(__file__).parent / "pipelines"),
}
#: Fields of views that every version shows, with the same meaning.
_JOB = ("id", "asset_id", "pipeline", "status", "owner", "passthrough", "priority", "created_at", "finished_at")
_STEP = ("name", "status", "attempt", "attempts", "started_at", "finished_at", "outputs")
_ASSET = ("id", "status", "filename", "owner", "passthrough", "created_at", "outputs")


async def shown(api: Api) -> dict[str, Any]:
    """Jobs with their timelines, assets, and queues, by id."""
    jobs, assets = await api.get("/v1/jobs", limit="500"), await api.get("/v1/assets", limit="500")
    return {
        "jobs": {job["id"]: await _job(api, job["id"]) for job in jobs},
        "assets": {asset["id"]: _fields(asset, _ASSET) for asset in assets},
        "queues": {queue["name"]: queue["paused"] for queue in await api.get("/v1/queues")},
    }


async def _job(api: Api, job_id: str) -> dict[str, Any]:
    job = await api.job(job_id)
    events = [event["type"] for event in await api.get(f"/v1/jobs/{job_id}/events")]
    error = job.get("error") or {}
    return {
        **_fields(job, _JOB),
        "code": error.get("code"),
        "steps": [_fields(step, _STEP) for step in job["steps"]],
        "events": events,
    }


def _fields(view: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: view.get(name) for name in names}
