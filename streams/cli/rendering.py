"""Jobs on a terminal: a bar per step for people, plain lines for pipes, JSON lines for machines."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

import click

if TYPE_CHECKING:  # rich is slow to import, and only a terminal needs it
    from rich.progress import Progress, TaskID

Job = dict[str, Any]
#: A step's progress is worth a plain line every so many percent.
_LINE_EVERY = 10
_PALE = {
    "waiting": "dim",
    "skipped": "dim",
    "failed": "red",
    "cancelled": "yellow",
    "completed": "green",
    "delayed": "yellow",
}


class View(Protocol):
    """Something that shows one job as it moves."""

    def show(self, job: Job) -> None:
        """The job as it is now."""


class JsonView:
    """One JSON line per change: the job as `GET /v1/jobs/{id}` gives it."""

    def show(self, job: Job) -> None:
        """Print the job."""
        print_json(job)


class PlainView:
    """One line per step that changed its state, or moved by ten percent."""

    def __init__(self) -> None:
        self._before: Job | None = None

    def show(self, job: Job) -> None:
        """Print what changed since the last time."""
        for line in changes(self._before, job):
            click.echo(line)
        self._before = job


class BarsView:
    """A bar per step, and what went wrong above them."""

    def __init__(self, progress: "Progress") -> None:
        self._progress = progress
        self._bars: dict[str, TaskID] = {}

    def show(self, job: Job) -> None:
        """Move the bars."""
        for step in job["steps"]:
            name = step["name"]
            if name not in self._bars:
                self._bars[name] = self._progress.add_task(name, total=100, remark="")
            self._progress.update(self._bars[name], completed=percent(step), remark=_coloured(step))


@contextmanager
def view(*, as_json: bool, terminal: bool | None = None) -> Iterator[View]:
    """The view that suits: JSON when asked, bars on a terminal, lines otherwise."""
    if as_json:
        yield JsonView()
    elif sys.stdout.isatty() if terminal is None else terminal:
        with _bars() as progress:
            yield BarsView(progress)
    else:
        yield PlainView()


def _bars() -> "Progress":
    from rich.progress import BarColumn, Progress, TextColumn

    return Progress(
        TextColumn("  {task.description:<12}"),
        BarColumn(bar_width=32),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[remark]}"),
        refresh_per_second=8,
    )


def _coloured(step: dict[str, Any]) -> str:
    from rich.markup import escape

    style = "yellow" if step.get("paused") else _PALE.get(step["status"], "default")
    return f"[{style}]{escape(remark(step))}[/]"


def changes(before: Job | None, after: Job) -> list[str]:
    """A line per step that moved enough between two states of a job."""
    known = {step["name"]: step for step in before["steps"]} if before else {}
    moved = [step for step in after["steps"] if _milestone(step) != _milestone(known.get(step["name"]))]
    return [
        f"{step['name']:<12} {percent(step):>3.0f} %  {remark(step)}"
        for step in moved
        if before or step["status"] != "waiting" or step.get("paused")
    ]


def _milestone(step: dict[str, Any] | None) -> tuple[object, ...]:
    if step is None:
        return ()
    return step["status"], step.get("paused"), step.get("attempt"), int(percent(step) // _LINE_EVERY)


def percent(step: dict[str, Any]) -> float:
    """A step's progress, 0-100; what was passed is whole."""
    return 100.0 if step["status"] in ("completed", "skipped") else float(step.get("progress") or 0.0)


def remark(step: dict[str, Any]) -> str:
    """State, tries, time and trouble of a step, in a few words."""
    words = [step["status"]]
    if (step.get("attempt") or 0) > 1:
        words.append(f"try {step['attempt']} of {step.get('attempts', '?')}")
    if step.get("paused"):
        words.append("queue paused")
    if step["status"] == "waiting" and step.get("queue_position"):
        words.append(f"no. {step['queue_position']} in line")
    if step["status"] == "active" and step.get("eta_s") is not None:
        words.append(f"{step['eta_s']:.0f} s to go")
    if (took_s := elapsed_s(step)) is not None:
        words.append(f"{took_s:.1f} s")
    if step.get("reason"):
        words.append(step["reason"])
    if step.get("error") and step["status"] != "completed":
        words.append(problem(step["error"]))
    return ", ".join(words)


def outcome(job: Job) -> str:
    """How a job stands, in one sentence."""
    took_s = elapsed_s(job)
    words = f"{job['id']} {job['status']}" + (f" in {took_s:.1f} s" if took_s is not None else "")
    return f"{words}: {problem(job['error'])}" if job.get("error") else words


def problem(error: dict[str, Any]) -> str:
    """An error's sentence and its code."""
    return f"{error.get('message') or 'it failed'} ({error.get('code') or 'unknown'})"


def elapsed_s(thing: dict[str, Any]) -> float | None:
    """Seconds from start to end of a job or a step, when both are known."""
    started, finished = thing.get("started_at"), thing.get("finished_at")
    if not started or not finished:
        return None
    return (datetime.fromisoformat(finished) - datetime.fromisoformat(started)).total_seconds()


def details(job: Job) -> list[str]:
    """Everything that a person asks about one job."""
    facts = {
        name: job.get(name)
        for name in ("asset_id", "pipeline", "run", "filename", "created_at", "started_at", "finished_at")
    }
    lines = [outcome(job), *[f"  {name:<12} {value}" for name, value in facts.items() if value is not None]]
    return [*lines, "", *changes({"steps": []}, job)]


def table(jobs: list[Job]) -> list[str]:
    """A line per job: id, state, percent, pipeline, when it was created, and what runs or went wrong."""
    return [_row(job).rstrip() for job in jobs]


def event_lines(events: list[dict[str, Any]]) -> list[str]:
    """A line per event of a job's timeline."""
    return [_event_line(event).rstrip() for event in events]


def _event_line(event: dict[str, Any]) -> str:
    what = event["type"].removeprefix("media.").rpartition(".")[0]
    words = [f"try {event['attempt']}"] if event.get("attempt", 1) > 1 else []
    words += [f"{event['elapsed_s']:.1f} s"] if "elapsed_s" in event else []
    words += [event["reason"]] if "reason" in event else []
    words += [problem(event["error"])] if "error" in event else []
    return f"{event['time']}  {what:<16} {event.get('step', ''):<12} {', '.join(words)}"


def token_table(tokens: list[dict[str, Any]]) -> list[str]:
    """A line per token: id, role, whether it is good, owner, when it was made, what it is for."""
    return [
        f"{token['id']:<28} {token['role']:<7} {'good' if token['good'] else 'ended':<6} {token['owner'] or '-':<20} "
        f"{token['created_at']}  {token.get('label', '')}".rstrip()
        for token in tokens
    ]


def _row(job: Job) -> str:
    state = f"{job['id']:<28} {job['status']:<10} {job.get('progress') or 0:>3.0f} %"
    return f"{state}  {job['pipeline']:<12} {job['created_at']}  {_headline(job)}"


def _headline(job: Job) -> str:
    if job.get("error"):
        return problem(job["error"])
    paused = [step["name"] for step in job["steps"] if step.get("paused")]
    words = [job["current_step"]] if job.get("current_step") not in (None, *paused) else []
    return ", ".join([*words, *(f"{name} (queue paused)" for name in paused)])


def passages(found: dict[str, Any]) -> list[str]:
    """A line per passage that was found: when, in which file, what; and what was left out."""
    lines = [
        f"{clock(hit['start_ms'])}-{clock(hit['end_ms'])}  {_where(hit)}\n    {hit['text']}" for hit in found["data"]
    ]
    return [*lines, *(f"(left out: {reason})" for reason in found.get("left_out", ()))] or ["nothing was found"]


def _where(hit: dict[str, Any]) -> str:
    return "  ".join(filter(None, [hit.get("filename") or hit["asset_id"], hit.get("job_id")]))


def clock(at_ms: int) -> str:
    """Milliseconds as h:mm:ss."""
    minutes, seconds = divmod(at_ms // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"


def print_json(value: Any) -> None:
    """One line of JSON on stdout, at once."""
    click.echo(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
