"""Texts of jobs and their timelines. Pure: responses of the interface -> lines."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from streams.cli.rendering import Job, age, columns, name_of_source, outcome, page_url, problem, warning_lines
from streams.cli.views import changes, held_text

_HEADS = ("ID", "NAME", "STATUS", "AGE", "STEP", "CODE")
_WIDE_HEADS = ("PROGRESS", "PIPELINE", "OWNER", "PRIORITY", "RUN", "ASSET", "CREATED", "MESSAGE")
#: Shown by `jobs show` where the job has them.
_FIELDS = {
    "pipeline": "pipeline",
    "run": "run",
    "passthrough": "passthrough",
    "created": "created_at",
    "starts": "run_at",
    "started": "started_at",
    "finished": "finished_at",
}


def table(
    jobs: Sequence[Job], *, wide: bool = False, width: int | None = None, now: datetime | None = None
) -> list[str]:
    """A line per job: id, name, status, age, current step and error code; with `wide` the rest too, uncut."""
    heads = (*_HEADS, *_WIDE_HEADS) if wide else _HEADS
    rows = [(*_row(job, now), *(_rest(job) if wide else ())) for job in jobs]
    return columns(heads, rows, None if wide else width, cut="NAME")


def _row(job: Job, now: datetime | None) -> tuple[str, ...]:
    code = (job.get("error") or {}).get("code") or ""
    return job["id"], name_of(job), job["status"], age(job["created_at"], now), current_steps(job), code


def _rest(job: Job) -> tuple[str, ...]:
    return (
        f"{job.get('progress') or 0:.0f} %",
        job["pipeline"],
        job.get("owner") or "-",
        job.get("priority") or "normal",
        str(job.get("run") or 1),
        job["asset_id"],
        job["created_at"],
        (job.get("error") or {}).get("message") or "",
    )


def current_steps(job: Job) -> str:
    """The step that runs, and those held up by a paused queue, or because no executor offers them."""
    if job.get("run_at") and job["status"] == "waiting" and not any(step.get("attempt") for step in job["steps"]):
        return f"starts {job['run_at']}"
    held = {step["name"]: reason for step in job["steps"] if (reason := held_text(step))}
    running = [job["current_step"]] if job.get("current_step") not in (None, *held) else []
    return ", ".join([*running, *(f"{name} ({reason})" for name, reason in held.items())])


def name_of(job: Job) -> str:
    """The job's file name, else the last part of its input's path."""
    source = next(iter((job.get("input") or {}).values()), "")
    return job.get("filename") or name_of_source(source) or "-"


def details(job: Job, url: str) -> list[str]:
    """One job: its fields, steps and outputs, and the link to its page."""
    kind, source = next(iter((job.get("input") or {}).items()), ("", None))
    fields = {
        "name": name_of(job),
        "input": source and f"{source} ({kind})",
        "asset": job["asset_id"],
        "owner": job.get("owner") or "-",
        "priority": job.get("priority") or "normal",
        **{name: job.get(field) for name, field in _FIELDS.items()},
        "page": page_url(url, job["id"]),
    }
    lines = [outcome(job), *(f"  {name:<12} {value}" for name, value in fields.items() if value is not None)]
    lines += ["", "Steps", *(f"  {line}" for line in changes({"steps": []}, job))]
    warnings = warning_lines(job)
    lines += ["", "Warnings", *(f"  {line}" for line in warnings)] if warnings else []
    produced = [line for step in job["steps"] for line in _outputs(step)]
    return [*lines, "", "Outputs", *produced] if produced else lines


def _outputs(step: Mapping[str, Any]) -> Iterator[str]:
    for name, value in (step.get("outputs") or {}).items():
        text = f"{len(value)} entries" if isinstance(value, (list, dict)) else value
        yield f"  {step['name']:<12} {name:<20} {text}"


def event_lines(events: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line per event of a job's timeline."""
    return [_event_line(event).rstrip() for event in events]


def _event_line(event: Mapping[str, Any]) -> str:
    kind = event["type"].removeprefix("media.").rpartition(".")[0]
    words = [f"attempt {event['attempt']}"] if event.get("attempt", 1) > 1 else []
    words += [f"{event['elapsed_s']:.1f} s"] if "elapsed_s" in event else []
    words += [event["reason"]] if "reason" in event else []
    words += [problem(event["error"])] if "error" in event else []
    return f"{event['time']}  {kind:<16} {event.get('step', ''):<12} {', '.join(words)}"
