"""Live frames -> the job that a client follows. Pure."""

from typing import Any, cast

from streams.client.errors import NotFound

#: A job as `GET /v1/jobs/{id}` returns it.
Job = dict[str, Any]
#: One frame of the live websocket.
LiveFrame = dict[str, Any]


def folded(job: Job, frame: LiveFrame) -> Job:
    """`job` after `frame`; unchanged when the frame is about another one. Raises NotFound when it was deleted."""
    kind = frame.get("type")
    if kind == "snapshot":
        return next((other for other in frame["jobs"] if other["id"] == job["id"]), job)
    if kind == "job" and frame["job"]["id"] == job["id"]:
        return cast(Job, frame["job"])
    if kind == "progress" and frame["job_id"] == job["id"]:
        return _with_progress(job, frame)
    if kind == "queue":
        return _with_queue(job, frame)
    if kind == "deleted" and job["id"] in (frame.get("id"), frame.get("job_id")):
        raise NotFound(404, "job-deleted", "the job was deleted", job["id"])
    return job


def _with_progress(job: Job, frame: LiveFrame) -> Job:
    moved = {"progress": frame["progress"], "eta_s": frame.get("eta_s")}
    steps = [{**step, **moved} if step["name"] == frame["step"] else step for step in job["steps"]]
    return {**job, "steps": steps, "progress": frame.get("job_progress", job["progress"])}


def _with_queue(job: Job, frame: LiveFrame) -> Job:
    """A frame lists positions of some jobs; `paused` applies to every job that waits in the queue."""
    held = [step for step in job["steps"] if step["name"] == frame["step"] and step["status"] in ("waiting", "delayed")]
    if not held:
        return job
    steps = [_queued(step, frame, job["id"]) if step in held else step for step in job["steps"]]
    return {**job, "steps": steps, **({"eta_s": None} if frame.get("paused") else {})}


def _queued(step: dict[str, Any], frame: LiveFrame, job_id: str) -> dict[str, Any]:
    position = frame["positions"].get(job_id) if step["status"] == "waiting" else None
    moved = {**step, **({"queue_position": position} if position else {})}
    moved.pop("paused", None)
    if frame.get("paused"):
        moved.pop("eta_s", None)
        moved |= {"paused": True} if "queue_position" in moved else {}
    return moved
