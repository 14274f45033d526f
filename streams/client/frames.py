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
    """A frame lists positions of some jobs; `paused` and `reason` apply to every job that waits in the queue."""
    held = [step for step in job["steps"] if step["name"] == frame["step"] and step["status"] in ("waiting", "delayed")]
    if not held:
        return job
    steps = [_queued(step, frame, job["id"]) if step in held else step for step in job["steps"]]
    return {**job, "steps": steps, **({"eta_s": None} if _is_held(frame) else {})}


def _queued(step: dict[str, Any], frame: LiveFrame, job_id: str) -> dict[str, Any]:
    reason = _reason(frame)
    moved = {name: value for name, value in step.items() if name not in ("paused", "no_executor")}
    if step["status"] == "waiting" and job_id in frame["positions"]:
        moved |= {"queue_position": frame["positions"][job_id], "eta_s": frame.get("eta_s", {}).get(job_id)}
    if "waiting_reason" in moved:
        moved["waiting_reason"] = reason or ("owner_cap" if step["waiting_reason"] == "owner_cap" else "queued")
    if _is_held(frame) and ("waiting_reason" in moved or "queue_position" in moved):
        moved[reason] = True
    if _is_held(frame) or moved.get("eta_s") is None:
        moved.pop("eta_s", None)
    return moved


def _reason(frame: LiveFrame) -> str:
    """Why nothing of the queue starts; empty when it does."""
    return frame.get("reason") or ("paused" if frame.get("paused") else "")


def _is_held(frame: LiveFrame) -> bool:
    """Whether nobody knows when the queue goes on."""
    return _reason(frame) in ("paused", "no_executor")
