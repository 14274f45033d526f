"""Live views of one job: a bar per step on a terminal, plain lines in pipes, JSON lines for machines."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from streams.cli.rendering import Job, elapsed_s, print_json, print_line, printable, problem

if TYPE_CHECKING:  # rich is slow to import, and only a terminal needs it
    from rich.progress import Progress, TaskID

#: A step's progress is printed as a plain line every so many percent.
_LINE_EVERY = 10
_STYLES = {
    "waiting": "dim",
    "skipped": "dim",
    "failed": "red",
    "cancelled": "yellow",
    "completed": "green",
    "delayed": "yellow",
}


class View(Protocol):
    """Shows one job as it changes."""

    def show(self, job: Job) -> None:
        """Show the job as it is now."""


class JsonView:
    """One JSON line per change: the job as `GET /v1/jobs/{id}` returns it."""

    def show(self, job: Job) -> None:
        """Print the job."""
        print_json(job)


class PlainView:
    """One line per step whose state changed, or whose progress grew by ten percent."""

    def __init__(self) -> None:
        self._before: Job | None = None

    def show(self, job: Job) -> None:
        """Print what changed since the last time."""
        for line in changes(self._before, job):
            print_line(line)
        self._before = job


class BarsView:
    """A progress bar per step, with its state."""

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
    """The view for this output: JSON if requested, bars on a terminal, plain lines otherwise."""
    if as_json:
        yield JsonView()
    elif sys.stdout.isatty() if terminal is None else terminal:
        with _bars() as progress:
            yield BarsView(progress)
    else:
        yield PlainView()


@contextmanager
def upload_bar(name: str, size_bytes: int) -> Iterator[Callable[[int], None]]:
    """A bar on stderr for an upload, on a terminal; it is called with the number of bytes sent so far."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    columns = (TextColumn("  Uploading {task.description}", markup=False), BarColumn(bar_width=32), DownloadColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(printable(name), total=size_bytes)
        yield lambda sent_bytes: progress.update(bar, completed=sent_bytes)


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

    style = "yellow" if held_text(step) else _STYLES.get(step["status"], "default")
    return f"[{style}]{escape(printable(remark(step)))}[/]"


def changes(before: Job | None, after: Job) -> list[str]:
    """A line per step that changed enough between two states of a job."""
    known = {step["name"]: step for step in before["steps"]} if before else {}
    changed = [step for step in after["steps"] if _milestone(step) != _milestone(known.get(step["name"]))]
    return [
        f"{step['name']:<12} {percent(step):>3.0f} %  {remark(step)}"
        for step in changed
        if before or step["status"] != "waiting" or held_text(step)
    ]


def _milestone(step: dict[str, Any] | None) -> tuple[object, ...]:
    if step is None:
        return ()
    return step["status"], held_text(step), step.get("attempt"), int(percent(step) // _LINE_EVERY)


def percent(step: dict[str, Any]) -> float:
    """A step's progress, 0-100; 100 when it is completed or skipped."""
    return 100.0 if step["status"] in ("completed", "skipped") else float(step.get("progress") or 0.0)


def held_text(step: dict[str, Any]) -> str:
    """Why a step cannot start before somebody does something; empty for any other."""
    if step.get("paused"):
        return "queue paused"
    return "no executor" if step.get("no_executor") else ""


def remark(step: dict[str, Any]) -> str:
    """State, attempts, time and error of a step, in a few words."""
    words = [step["status"]]
    if (step.get("attempt") or 0) > 1:
        words.append(f"attempt {step['attempt']} of {step.get('attempts', '?')}")
    if held := held_text(step):
        words.append(held)
    if step["status"] == "waiting" and step.get("queue_position"):
        words.append(f"position {step['queue_position']} in the queue")
    if (step["status"] == "active" or step.get("queue_position")) and step.get("eta_s") is not None:
        words.append(f"{step['eta_s']:.0f} s left")
    if (took_s := elapsed_s(step)) is not None:
        words.append(f"{took_s:.1f} s")
    if step.get("reason"):
        words.append(step["reason"])
    if step.get("error") and step["status"] != "completed":
        words.append(problem(step["error"]))
    return ", ".join(words)
