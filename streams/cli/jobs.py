"""`kinolog jobs …`: list, show, control and export jobs."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import click

from streams.cli.common import Bulk, Duration, Output, Preview, bulk_command, client_command, streaming_command
from streams.cli.groups import OK
from streams.cli.rendering import counted, next_page, terminal_width

if TYPE_CHECKING:
    from streams.client import Client

#: Most jobs in a page. Source: web/readmodel/list_query.py, MAX_LIMIT; a test compares them.
MAX_LIMIT = 500
ENDED = "cancelled,completed,failed"

Command = TypeVar("Command", bound=Callable[..., Any])

_job = click.argument("job_id", metavar="JOB")


@click.group()
def jobs() -> None:
    """List, show, cancel, retry, remove and export jobs."""


def filters(command: Command) -> Command:
    """Add the filters that lists and exports share."""
    for option in (
        click.option("--q", metavar="TEXT", help="Only with this text in names, ids, passthrough or error."),
        click.option("--owner", help="Only jobs of this owner (for admins)."),
        click.option("--step", metavar="STEP[:STATUS]", help="Only with this step, e.g. transcode:failed."),
        click.option("--pipeline", help="Only jobs of this pipeline."),
        click.option(
            "--status", help="Only in these states: waiting, active, completed, failed, cancelled; comma-separated."
        ),
    ):
        command = option(command)
    return command


@client_command(
    jobs,
    "list",
    examples=("kinolog jobs list", "kinolog jobs list --status failed --wide", "kinolog jobs list --sort -duration"),
)
@filters
@click.option("--asset", "asset_id", metavar="ASSET", help="Only jobs of this asset.")
@click.option(
    "--sort",
    metavar="FIELD",
    help="Order: created, updated, duration or progress; with - in front descending. Default: -created.",
)
@click.option("--wide", is_flag=True, help="Show all columns, uncut.")
@click.option(
    "--limit", type=click.IntRange(1, MAX_LIMIT), default=20, show_default=True, help="Maximum number of jobs."
)
@click.option("--cursor", help="Continue after a page: its next_cursor.")
async def list_jobs(client: "Client", *, wide: bool, **query: str | int | None) -> Output:
    """List jobs, newest first."""
    from streams.cli.job_rendering import table

    page = await client.jobs(**query)
    lines = table(page["data"], wide=wide, width=terminal_width()) or ["No jobs."]
    return Output([page], [*lines, *next_page(page, "kinolog jobs list")])


@client_command(jobs, "show", examples=("kinolog jobs show JOB",))
@_job
async def show(client: "Client", job_id: str) -> Output:
    """Show a job: input, owner, priority, steps and outputs."""
    from streams.cli.job_rendering import details

    job = await client.job(job_id)
    return Output([job], details(job, client.url))


@client_command(jobs, "events", examples=("kinolog jobs events JOB",))
@_job
async def events(client: "Client", job_id: str) -> Output:
    """Show the timeline of a job, from the log."""
    from streams.cli.job_rendering import event_lines

    timeline = await client.events(job_id)
    return Output(timeline, event_lines(timeline))


@client_command(jobs, "cancel", examples=("kinolog jobs cancel JOB",))
@_job
async def cancel(client: "Client", job_id: str) -> Output:
    """Cancel a job."""
    await client.cancel(job_id)
    return _accepted(job_id, "cancel", f"Cancelling {job_id}.")


@client_command(jobs, "retry", examples=("kinolog jobs retry JOB",))
@_job
async def retry(client: "Client", job_id: str) -> Output:
    """Resume a job that failed, was cancelled or lacks steps.

    Completed steps are not repeated.
    """
    await client.retry(job_id)
    return _accepted(job_id, "retry", f"Retrying {job_id}. Follow it with: kinolog watch {job_id}")


@client_command(jobs, "delete", examples=("kinolog jobs delete JOB",))
@_job
async def delete(client: "Client", job_id: str) -> Output:
    """Delete an ended job and its files."""
    await client.delete(job_id)
    return _accepted(job_id, "delete", f"Deleted {job_id}.")


def _accepted(job_id: str, command: str, line: str) -> Output:
    return Output([{"job_id": job_id, "accepted": command}], [line])


@bulk_command(
    jobs,
    "clear",
    examples=("kinolog jobs clear completed --older-than 7d", "kinolog jobs clear failed --dry-run"),
)
@click.argument("status", type=click.Choice(["completed", "failed", "cancelled", "all"]))
@click.option("--older-than", "older_than_s", type=Duration(), help="Only jobs that ended so long ago, e.g. 12h or 7d.")
@click.option("--pipeline", help="Only jobs of this pipeline.")
@click.option("--artifacts", is_flag=True, help="Remove their files too; otherwise assets stay playable.")
def clear(*, status: str, older_than_s: float | None, pipeline: str | None, artifacts: bool) -> Bulk:
    """Remove ended jobs."""
    before = None if older_than_s is None else _iso(max(time.time() - older_than_s, 0))
    matching = {"status": ENDED if status == "all" else status, "pipeline": pipeline, "updated_before": before}

    async def act(client: "Client") -> Output:
        count = await client.clear(status=status, older_than_s=older_than_s, pipeline=pipeline, artifacts=artifacts)
        return done(count, "removed")

    return Bulk("Remove", lambda client: preview(client, "removed", matching), act)


@bulk_command(
    jobs,
    "retry-all",
    examples=("kinolog jobs retry-all --step transcode:failed", "kinolog jobs retry-all --status all --dry-run"),
)
@click.option(
    "--status",
    type=click.Choice(["failed", "cancelled", "completed", "all"]),
    default="failed",
    show_default=True,
    help="Which jobs to retry; completed: those that lack steps, all: failed and cancelled.",
)
@click.option("--pipeline", help="Only jobs of this pipeline.")
@click.option("--step", metavar="STEP[:STATUS]", help="Only with this step, e.g. transcode:failed.")
@click.option("--q", metavar="TEXT", help="Only with this text in names, ids, passthrough or error.")
def retry_all(*, status: str, **query: str | None) -> Bulk:
    """Retry jobs that failed, were cancelled or lack steps."""
    matching = {**query, "status": "cancelled,failed" if status == "all" else status}

    async def act(client: "Client") -> Output:
        return done(await client.retry_all(status=status, **query), "retried")

    return Bulk("Retry", lambda client: preview(client, "retried", matching), act)


async def preview(client: "Client", verb: str, matching: Mapping[str, str | None], thing: str = "job") -> Preview:
    """The number of jobs that match; `verb`: what would be done to them, as a past participle."""
    count, cursor = 0, None
    while True:
        page = await client.jobs(**matching, limit=MAX_LIMIT, cursor=cursor)
        count, cursor = count + len(page["data"]), page["next_cursor"]
        if cursor is None:
            break
    return would(count, thing, verb)


def would(count: int, thing: str, verb: str) -> Preview:
    """What a dry run reports."""
    things = counted(count, thing)
    output = Output([{"count": count, "dry_run": True}], [f"{things} would be {verb}"])
    return Preview(things if count else "", output)


def done(count: int, verb: str, thing: str = "job") -> Output:
    """What a bulk command reports."""
    return Output([{"count": count}], [f"{counted(count, thing)} {verb}"])


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()


@streaming_command(
    jobs, "export", examples=("kinolog jobs export > jobs.csv", "kinolog jobs export --json --status failed")
)
@filters
@click.option(
    "--format",
    "format_name",
    type=click.Choice(["csv", "json"]),
    default="csv",
    show_default=True,
    help="Format; --json is short for json.",
)
async def export(client: "Client", *, as_json: bool, format_name: str, **query: str | None) -> int:
    """Write all jobs to stdout, oldest first."""
    async for chunk in client.export(**query, format="json" if as_json else format_name):
        click.echo(chunk, nl=False)
    return OK
