"""The command line. Each command imports what it needs when it runs, so that `kinolog submit` starts at once.

Exit codes: 0 ok, 1 the job failed or the audit has findings, 2 usage or configuration, 3 the service is unreachable.
"""

import asyncio
import os
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import click

from streams.cli.cache import cache, gc
from streams.cli.common import (
    JOB_FAILED,
    OK,
    Commands,
    end,
    json_option,
    reaches_service,
    with_client,
)
from streams.settings import load

if TYPE_CHECKING:
    from streams.client import Client, Submitted
    from streams.supervisor.system import Up


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="kinolog")
def cli() -> None:
    """Media processing on a Kafka log: a file goes in, a playable asset comes out, live."""


cli.add_command(cache)
cli.add_command(gc)


@cli.command()
@json_option
def up(as_json: bool) -> None:
    """Run everything on this machine until Ctrl-C: broker, control, executor, web."""
    settings = load()
    from streams.process import logs
    from streams.supervisor import system

    logs.configure(settings, "up")
    end(asyncio.run(system.run(settings, partial(_announce, as_json))))


async def _announce(as_json: bool, system: "Up") -> None:
    from streams.supervisor.system import print_ready

    print_ready(system, as_json=as_json)
    await system.failure()


@cli.command()
@click.argument("source", metavar="FILE|URL")
@click.option("--watch", is_flag=True, help="Stay until the job has ended, and show how it moves.")
@click.option("--pipeline", help="What to do with it; else the service's default.")
@click.option("--passthrough", help="Text of yours that comes back with the job.")
@json_option
@reaches_service
def submit(
    *,
    source: str,
    watch: bool,
    pipeline: str | None,
    passthrough: str | None,
    as_json: bool,
    url: str | None,
    token: str | None,
) -> None:
    """Upload FILE, or name a URL, and start its job."""
    if "://" not in source and not (Path(source).is_file() and os.access(source, os.R_OK)):
        raise click.BadParameter(f"there is no file {source!r} that can be read", param_hint="FILE")

    async def work(client: "Client") -> int:
        submitted = await _submit(client, source, pipeline, passthrough)
        _show_submitted(submitted, as_json)
        return await _follow(client, submitted.job_id, as_json, after=submitted.cursor) if watch else OK

    with_client(url, token, work)


async def _submit(client: "Client", source: str, pipeline: str | None, passthrough: str | None) -> "Submitted":
    if "://" in source:
        return await client.submit_asset({"url": source}, pipeline=pipeline, passthrough=passthrough)
    return await client.submit_file(Path(source), pipeline=pipeline, passthrough=passthrough)


def _show_submitted(submitted: "Submitted", as_json: bool) -> None:
    from streams.cli.rendering import print_json

    if as_json:
        print_json({"asset_id": submitted.asset_id, "job_id": submitted.job_id})
    else:
        click.echo(f"{submitted.job_id} (asset {submitted.asset_id})")


@cli.command()
@click.argument("job_id", metavar="JOB")
@json_option
@reaches_service
def watch(job_id: str, as_json: bool, url: str | None, token: str | None) -> None:
    """Show how JOB moves until it has ended. Ctrl-C leaves it running."""
    with_client(url, token, lambda client: _follow(client, job_id, as_json))


async def _follow(client: "Client", job_id: str, as_json: bool, *, after: str | None = None) -> int:
    from streams.cli.rendering import outcome, view

    job: dict[str, Any] = {}
    try:
        with view(as_json=as_json) as shown:
            async for job in client.follow(job_id, after=after):
                shown.show(job)
    except asyncio.CancelledError:  # Ctrl-C
        click.echo(f"\n{job_id} goes on; see it again with: kinolog watch {job_id}", err=True)
        raise
    if not as_json:
        click.echo(outcome(job))
    return OK if job["status"] == "completed" else JOB_FAILED


@cli.command()
@click.argument("text")
@click.option(
    "--mode", type=click.Choice(["text", "vector", "hybrid"]), help="By words, by meaning, or both (default)."
)
@click.option("--limit", type=click.IntRange(1, 100), default=10, show_default=True, help="At most so many.")
@json_option
@reaches_service
def search(*, text: str, mode: str | None, limit: int, as_json: bool, url: str | None, token: str | None) -> None:
    """Find what was said: passages with their place in the media."""
    from streams.cli.rendering import passages, print_json

    async def work(client: "Client") -> int:
        found = await client.search(text, mode=mode, limit=limit)
        print_json(found) if as_json else click.echo("\n".join(passages(found)))
        return OK

    with_client(url, token, work)


@cli.command()
@click.argument("job_id", metavar="JOB")
@click.option(
    "--format",
    "wanted",
    type=click.Choice(["txt", "vtt", "srt", "json"]),
    default="txt",
    show_default=True,
    help="Plain text, captions, or everything that is known.",
)
@reaches_service
def transcript(job_id: str, wanted: str, url: str | None, token: str | None) -> None:
    """Print what was said in the media of JOB."""
    with_client(url, token, lambda client: _print_transcript(client, job_id, wanted))


async def _print_transcript(client: "Client", job_id: str, wanted: str) -> int:
    job = await client.job(job_id)
    steps: dict[str, dict[str, Any]] = {step["name"]: step for step in job["steps"]}
    step = steps.get("transcribe", {"status": "not part of it"})
    outputs = step.get("outputs") or {}
    key = outputs.get({"txt": "text", "json": "transcript"}.get(wanted, wanted))
    if step["status"] != "completed" or key is None:
        reason = f" ({step['reason']})" if step.get("reason") else ""
        click.echo(f"kinolog: {job_id} has no transcript: transcribe is {step['status']}{reason}", err=True)
        return JOB_FAILED
    click.echo(await client.file(job["asset_id"], key), nl=False)
    return OK


@cli.group()
def jobs() -> None:
    """List, show, cancel, retry, delete and export jobs."""


@jobs.command("list")
@click.option("--status", help="waiting, active, completed, failed or cancelled.")
@click.option("--pipeline", help="Only jobs of this pipeline.")
@click.option("--asset", "asset_id", help="Only jobs of this asset.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="At most so many.")
@click.option("--cursor", help="Go on where a page ended: its next_cursor.")
@json_option
@reaches_service
def list_jobs(as_json: bool, url: str | None, token: str | None, **filters: str | int | None) -> None:
    """Jobs, newest first."""
    from streams.cli.rendering import print_json, table

    async def work(client: "Client") -> int:
        page = await client.jobs(**filters)
        if as_json:
            print_json(page)
        else:
            click.echo("\n".join(table(page["data"])) or "no jobs")
        return OK

    with_client(url, token, work)


@jobs.command()
@click.argument("job_id", metavar="JOB")
@json_option
@reaches_service
def show(job_id: str, as_json: bool, url: str | None, token: str | None) -> None:
    """One job and its steps."""
    from streams.cli.rendering import details, print_json

    async def work(client: "Client") -> int:
        job = await client.job(job_id)
        print_json(job) if as_json else click.echo("\n".join(details(job)))
        return OK

    with_client(url, token, work)


@jobs.command()
@click.argument("job_id", metavar="JOB")
@json_option
@reaches_service
def cancel(job_id: str, as_json: bool, url: str | None, token: str | None) -> None:
    """Ask for the end of a job."""

    async def work(client: "Client") -> int:
        await client.cancel(job_id)
        return _accepted(job_id, "cancel", as_json)

    with_client(url, token, work)


@jobs.command()
@click.argument("job_id", metavar="JOB")
@json_option
@reaches_service
def retry(job_id: str, as_json: bool, url: str | None, token: str | None) -> None:
    """Resume a failed or cancelled job from the steps that did not complete."""

    async def work(client: "Client") -> int:
        await client.retry(job_id)
        return _accepted(job_id, "retry", as_json)

    with_client(url, token, work)


@jobs.command()
@click.argument("job_id", metavar="JOB")
@json_option
@reaches_service
def delete(job_id: str, as_json: bool, url: str | None, token: str | None) -> None:
    """Delete a job that has ended, and what it published."""

    async def work(client: "Client") -> int:
        await client.delete(job_id)
        return _accepted(job_id, "delete", as_json)

    with_client(url, token, work)


@jobs.command()
@click.argument("status", type=click.Choice(["completed", "failed", "cancelled", "all"]))
@click.option("--older-than", "older_than_s", type=click.FloatRange(min=0), help="Only ended so many seconds ago.")
@click.option("--pipeline", help="Only jobs of this pipeline.")
@click.option("--artifacts", is_flag=True, help="Remove what they published, too; otherwise assets stay playable.")
@json_option
@reaches_service
def clear(*, as_json: bool, url: str | None, token: str | None, **wanted: str | float | bool | None) -> None:
    """Forget ended jobs."""

    async def work(client: "Client") -> int:
        return _counted(await client.clear(**wanted), "forgotten", as_json)

    with_client(url, token, work)


@jobs.command("retry-all")
@click.option("--status", type=click.Choice(["failed", "cancelled", "all"]), default="failed", show_default=True)
@click.option("--pipeline", help="Only jobs of this pipeline.")
@click.option("--step", help="Only jobs with this step; STEP:STATUS for those where it is in that state.")
@click.option("--q", help="Only jobs with this text in their names, ids, passthrough or error.")
@json_option
@reaches_service
def retry_all(as_json: bool, url: str | None, token: str | None, **wanted: str | None) -> None:
    """Retry all failed or cancelled jobs that the filters find."""

    async def work(client: "Client") -> int:
        return _counted(await client.retry_all(**wanted), "retried", as_json)

    with_client(url, token, work)


@jobs.command()
@click.argument("job_id", metavar="JOB")
@json_option
@reaches_service
def events(job_id: str, as_json: bool, url: str | None, token: str | None) -> None:
    """What was said of JOB, in order, from the log."""
    from streams.cli.rendering import event_lines, print_json

    async def work(client: "Client") -> int:
        found = await client.events(job_id)
        if as_json:
            for event in found:
                print_json(event)
        else:
            click.echo("\n".join(event_lines(found)))
        return OK

    with_client(url, token, work)


@jobs.command()
@click.option("--format", type=click.Choice(["csv", "json"]), default="csv", show_default=True)
@click.option("--status", help="Only jobs in these states, separated by commas.")
@click.option("--pipeline", help="Only jobs of this pipeline.")
@click.option("--q", help="Only jobs with this text in their names, ids, passthrough or error.")
@reaches_service
def export(url: str | None, token: str | None, **filters: str | None) -> None:
    """Write all jobs to stdout, the oldest first."""

    async def work(client: "Client") -> int:
        async for chunk in client.export(**filters):
            click.echo(chunk, nl=False)
        return OK

    with_client(url, token, work)


def _counted(count: int, what: str, as_json: bool) -> int:
    from streams.cli.rendering import print_json

    print_json({"count": count}) if as_json else click.echo(f"{count} jobs {what}")
    return OK


def _accepted(job_id: str, what: str, as_json: bool) -> int:
    from streams.cli.rendering import print_json

    print_json({"job_id": job_id, "accepted": what}) if as_json else click.echo(f"{what} of {job_id} accepted")
    return OK


@cli.group()
def queues() -> None:
    """Pause and resume the queues of steps."""


@queues.command()
@click.argument("step")
@json_option
@reaches_service
def pause(step: str, as_json: bool, url: str | None, token: str | None) -> None:
    """Let executors take nothing more of STEP; what runs goes on."""
    _change_queue(step, as_json, url, token, paused=True)


@queues.command()
@click.argument("step")
@json_option
@reaches_service
def resume(step: str, as_json: bool, url: str | None, token: str | None) -> None:
    """Let executors take from the queue of STEP again."""
    _change_queue(step, as_json, url, token, paused=False)


def _change_queue(step: str, as_json: bool, url: str | None, token: str | None, *, paused: bool) -> None:
    from streams.cli.rendering import print_json

    async def work(client: "Client") -> int:
        await client.change_queue(step, paused=paused)
        said = "paused" if paused else "resumed"
        print_json({"name": step, "paused": paused}) if as_json else click.echo(f"{step} {said}")
        return OK

    with_client(url, token, work)


@cli.group()
def topics() -> None:
    """The topics on the log."""


@topics.command()
@json_option
def apply(as_json: bool) -> None:
    """Create the topics that are missing and check the others. Harmless to repeat."""
    settings = load()
    from streams.cli.rendering import print_json
    from streams.kafka.admin import apply_topics
    from streams.process import logs

    logs.configure(settings, "topics")
    report = asdict(asyncio.run(apply_topics(settings)))
    if as_json:
        print_json(report)
    else:
        lines = [f"{what}: {line}" for what, found in report.items() for line in found]
        click.echo("\n".join(lines) or "all topics are as they should be")


@cli.group()
def token() -> None:
    """Make, list and revoke API tokens; takes an admin's token."""


class Duration(click.ParamType):
    """Seconds, or a number with s, m, h or d."""

    name = "duration"
    _UNITS_S: ClassVar = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The seconds."""
        number, unit = (value[:-1], value[-1]) if value[-1:] in self._UNITS_S else (value, "s")
        try:
            return float(number) * self._UNITS_S[unit]
        except ValueError:
            self.fail(f"{value!r} is no duration: write 90s, 15m, 12h or 30d", param, ctx)


@token.command("create")
@click.option("--role", type=click.Choice(["viewer", "editor", "admin"]), required=True, help="What it may do.")
@click.option("--owner", help="Whose things it is for; only an admin's token may have none.")
@click.option("--ttl", "ttl_s", type=Duration(), help="Ends by itself after this, e.g. 12h or 30d; never otherwise.")
@click.option("--label", help="What it is for, in your words.")
@click.option("--rate", "requests_per_s", type=float, help="Most requests per second to one replica.")
@json_option
@reaches_service
def create_token(as_json: bool, url: str | None, token: str | None, **wanted: str | float | None) -> None:
    """Make a token and print it: it is told this once, only its hash is kept."""
    from streams.cli.rendering import print_json

    async def work(client: "Client") -> int:
        made = await client.create_token(**wanted)
        print_json(made) if as_json else click.echo(made["token"])
        return OK

    with_client(url, token, work)


@token.command("list")
@json_option
@reaches_service
def list_tokens(as_json: bool, url: str | None, token: str | None) -> None:
    """Every token that was made, the newest first."""
    from streams.cli.rendering import print_json, token_table

    async def work(client: "Client") -> int:
        found = await client.tokens()
        print_json(found) if as_json else click.echo("\n".join(token_table(found)) or "no tokens")
        return OK

    with_client(url, token, work)


@token.command("revoke")
@click.argument("token_id", metavar="TOKEN_ID")
@json_option
@reaches_service
def revoke_token(token_id: str, as_json: bool, url: str | None, token: str | None) -> None:
    """End a token on every replica."""
    from streams.cli.rendering import print_json

    async def work(client: "Client") -> int:
        ended = await client.revoke_token(token_id)
        print_json(ended) if as_json else click.echo(f"{token_id} is revoked")
        return OK

    with_client(url, token, work)


@cli.command()
@click.option("--rebuild-check", is_flag=True, help="Fold the log anew instead, and compare it with the living table.")
@json_option
def doctor(*, rebuild_check: bool, as_json: bool) -> None:
    """Say whether everything that kinolog needs is here, and what to do where it is not. Changes nothing."""
    settings = load()
    import logging

    if rebuild_check:
        from agents.control.rebuild_check import run

        end(run(settings, as_json=as_json))

    from agents.doctor import CHECKS
    from streams.cli.rendering import print_json
    from streams.doctor.diagnosis import examine, exit_code, lines, plain

    logging.disable()  # what a check meets, it says itself
    examined = asyncio.run(examine(settings, CHECKS))
    print_json(plain(examined)) if as_json else click.echo("\n".join(lines(examined)))
    end(exit_code(examined))


@cli.group()
def audit() -> None:
    """The record of who asked for what."""


@audit.command("verify")
@json_option
def verify_audit(as_json: bool) -> None:
    """Prove on the log itself that no entry was changed or removed; exit code 1 when one was."""
    settings = load()
    from streams.audit import read_all, verify
    from streams.cli.rendering import print_json
    from streams.process import logs

    logs.configure(settings, "audit")
    verdict = verify(asyncio.run(read_all(settings)))
    if as_json:
        print_json(asdict(verdict))
    else:
        heads = [f"{chain} {head}" for chain, head in verdict.heads.items()]
        sentence = f"{verdict.entries} entries, {len(verdict.findings) or 'no'} findings"
        click.echo("\n".join([*verdict.findings, *heads, sentence]))
    end(JOB_FAILED if verdict.findings else OK)


@cli.command()
@click.option("--file", "source", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A file of yours.")
@click.option("--exit", "at_once", is_flag=True, help="End when the job has ended.")
def demo(source: Path | None, at_once: bool) -> None:
    """Make a talking clip, put it through everything, and show the results until Ctrl-C."""
    from streams.cli import demo

    end(demo.run(demo.demo_settings(), source, stay=not at_once))


@cli.command()
def control() -> None:
    """The process that decides."""
    settings = load()
    from agents.control.main import main as run

    end(run(settings))


@cli.command()
@click.option("--lane", default="default", show_default=True, help="Which steps it runs, see KINOLOG_EXECUTOR__LANES.")
def executor(lane: str) -> None:
    """A process that runs steps."""
    settings = load()
    from agents.executor.main import main as run

    end(run(settings, lane))


@cli.command()
def web() -> None:
    """The HTTP interface and the page."""
    settings = load()
    from web.server import main as run

    end(run(settings))


def main() -> None:
    """Entry point of the console script."""
    cli(prog_name="kinolog")
