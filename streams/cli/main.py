"""The command line: the top group, and the commands on media. Each imports what it needs when it runs.

Exit codes: 0 ok, 1 the job failed or the audit has findings, 2 usage or configuration, 3 the service is unreachable.
"""

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from streams.cli.backup import backups
from streams.cli.cache import cache
from streams.cli.common import JSON, Output, client_command, end, streaming_command
from streams.cli.executors import executor_table
from streams.cli.groups import FAILED, OK, Command, Commands, print_error
from streams.cli.jobs import jobs
from streams.cli.keys import keys
from streams.cli.ops import operations
from streams.cli.queues import queues, stats_lines
from streams.cli.rendering import name_of_source, outcome, page_url, passages, print_json, print_line, warning_lines
from streams.cli.store import store
from streams.cli.tokens import token
from streams.process.init_process import leave_process_1

if TYPE_CHECKING:
    from streams.client import Client, Submitted

#: Output of the step `transcribe` by format.
_OUTPUTS = {"txt": "text", "vtt": "vtt", "srt": "srt", "json": "transcript"}
SECTIONS = {
    "Start": ("demo", "up", "doctor"),
    "Media": ("submit", "watch", "jobs", "search", "transcript", "cache"),
    "Operation": (
        "stats",
        "queues",
        "executors",
        "topics",
        "token",
        "keys",
        "audit",
        "store",
        "gc",
        "backup",
        "restore",
    ),
    "Processes": ("control", "executor", "web"),
}


@click.group(cls=Commands, sections=SECTIONS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="kinolog")
def cli() -> None:
    """Media processing on a Kafka log: a file goes in, a playable asset comes out, live."""


for _group in (cache, jobs, keys, queues, store, token, *operations.commands.values(), *backups.commands.values()):
    cli.add_command(_group)


@streaming_command(
    cli,
    "submit",
    examples=(
        "kinolog submit talk.mp4 --watch",
        "kinolog submit *.mp4 --pipeline video",
        "kinolog submit https://example.org/a.mp4 --passthrough order-17",
        "kinolog submit talk.mp4 --at 2026-12-24T22:00:00+01:00",
    ),
)
@click.argument("sources", nargs=-1, required=True, metavar="FILE|URL…")
@click.option("--watch", is_flag=True, help="Follow the jobs until they end.")
@click.option("--pipeline", help="Pipeline to run. Default: the service's.")
@click.option("--priority", type=click.Choice(["high", "normal", "low"]), help="Priority of the jobs' steps.")
@click.option("--passthrough", metavar="TEXT", help="Your own text, returned with the job.")
@click.option("--at", "run_at", metavar="TIME", help="Start then, ISO 8601 with a zone; at most 366 days ahead.")
async def submit(client: "Client", *, sources: Sequence[str], watch: bool, as_json: bool, **options: str | None) -> int:
    """Upload files, or name URLs, and start a job for each."""
    from streams.client import Rejected

    require_readable(sources)
    submitted, code = [], OK
    for source in sources:
        try:
            job = await _submit(client, source, options)
        except (Rejected, OSError) as error:
            print_error(f"{source}: {error}")
            code = code or getattr(error, "exit_code", FAILED)
            continue
        submitted.append(job)
        _show_submitted(client, source, job, as_json=as_json)
    for job in submitted if watch else ():
        code = await _follow(client, job.job_id, as_json, after=job.cursor) or code
    return code


def require_readable(sources: Sequence[str]) -> None:
    """Raises BadParameter for the first source that is neither a URL nor a readable file."""
    for source in sources:
        if "://" not in source and not (Path(source).is_file() and os.access(source, os.R_OK)):
            raise click.BadParameter(f"{source!r} is not a readable file", param_hint="FILE")


async def _submit(client: "Client", source: str, options: dict[str, Any]) -> "Submitted":
    from streams.cli.views import upload_bar

    if "://" in source:
        return await client.submit_asset({"url": source}, **options)
    path = Path(source)
    with upload_bar(path.name, (await asyncio.to_thread(path.stat)).st_size) as on_sent:
        return await client.submit_file(path, on_sent=on_sent, **options)


def _show_submitted(client: "Client", source: str, job: "Submitted", *, as_json: bool) -> None:
    page = page_url(client.url, job.job_id)
    if as_json:
        print_json({"asset_id": job.asset_id, "job_id": job.job_id, "page_url": page})
    else:
        print_line(f"{job.job_id}  {name_of_source(source)}  {page}")


@streaming_command(cli, "watch", examples=("kinolog watch JOB",))
@click.argument("job_id", metavar="JOB")
async def watch(client: "Client", *, job_id: str, as_json: bool) -> int:
    """Follow JOB until it ends. Ctrl-C leaves it running."""
    return await _follow(client, job_id, as_json)


async def _follow(client: "Client", job_id: str, as_json: bool, *, after: str | None = None) -> int:
    from streams.cli.views import view

    job: dict[str, Any] = {}
    try:
        with view(as_json=as_json) as shown:
            async for job in client.follow(job_id, after=after):
                shown.show(job)
    except asyncio.CancelledError:  # Ctrl-C
        click.echo(f"\n{job_id} is still running. Follow it again with: kinolog watch {job_id}", err=True)
        raise
    if not as_json:
        for line in (outcome(job), *warning_lines(job)):
            print_line(line)
        await _show_player(client, job)
    return OK if job["status"] == "completed" else FAILED


async def _show_player(client: "Client", job: dict[str, Any]) -> None:
    """Print where a completed job's asset plays, if it does."""
    signed = await client.playback(job["asset_id"]) if job["status"] == "completed" else {}
    if signed.get("master_url"):
        print_line(f"Play it (for an hour, without a token): {signed['master_url']}")


@client_command(cli, "search", examples=('kinolog search "ask what you can do"', "kinolog search country --mode text"))
@click.argument("text")
@click.option(
    "--mode",
    type=click.Choice(["text", "vector", "hybrid"]),
    default="hybrid",
    show_default=True,
    help="By words, by meaning, or both.",
)
@click.option("--limit", type=click.IntRange(1, 100), default=10, show_default=True, help="Maximum number of results.")
async def search(client: "Client", *, text: str, mode: str, limit: int) -> Output:
    """Search what was spoken, and show where in the media."""
    found = await client.search(text, mode=mode, limit=limit)
    return Output([found], passages(found))


@streaming_command(
    cli, "transcript", examples=("kinolog transcript JOB", "kinolog transcript JOB --format vtt > talk.vtt")
)
@click.argument("job_id", metavar="JOB")
@click.option(
    "--format",
    "format_name",
    type=click.Choice(["txt", "vtt", "srt", "json"]),
    default="txt",
    show_default=True,
    help="Plain text, captions, or JSON with the time of every word; --json is short for json.",
)
async def transcript(client: "Client", *, job_id: str, format_name: str, as_json: bool) -> int:
    """Print the transcript of JOB."""
    job = await client.job(job_id)
    steps: dict[str, dict[str, Any]] = {step["name"]: step for step in job["steps"]}
    step = steps.get("transcribe", {"status": "not part of it"})
    key = (step.get("outputs") or {}).get(_OUTPUTS["json" if as_json else format_name])
    if step["status"] != "completed" or key is None:
        reason = f" ({step['reason']})" if step.get("reason") else ""
        print_error(f"{job_id} has no transcript: the step transcribe is {step['status']}{reason}")
        return FAILED
    click.echo(await client.file(job["asset_id"], key), nl=False)
    return OK


@client_command(cli, "stats", examples=("kinolog stats", "kinolog stats --as-of 2026-01-31T12:00:00Z"))
@click.option("--as-of", metavar="TIME", help="Counts at this time, ISO 8601 with a zone.")
async def stats(client: "Client", as_of: str | None) -> Output:
    """Count jobs by pipeline and status, and assets by status."""
    counts = await client.stats(as_of=as_of)
    return Output([counts], stats_lines(counts))


@client_command(cli, "executors", examples=("kinolog executors",))
async def executors(client: "Client") -> Output:
    """List the executors, and what each of them runs."""
    found = await client.executors()
    return Output(found, executor_table(found))


@cli.command("demo", cls=Command, examples=("kinolog demo", "kinolog demo --file talk.mp4 --exit"))
@click.option(
    "--file", "source", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Use this file instead."
)
@click.option("--exit", "at_once", is_flag=True, help="Exit when the job has ended.")
@click.option("--json", "as_json", is_flag=True, help=JSON.help)
def demo(source: Path | None, *, at_once: bool, as_json: bool) -> None:
    """Make a talking clip, process it, and show the results.

    Uses the `kinolog up` that runs over this data dir; without one, starts everything, until Ctrl-C.
    """
    from streams.cli import demo

    end(demo.run(source, stay=not at_once, as_json=as_json))


def main() -> None:
    """Entry point of the console script."""
    leave_process_1()
    cli(prog_name="kinolog")
