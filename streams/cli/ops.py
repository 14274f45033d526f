"""Commands of operators: `kinolog up`, `doctor`, `topics`, `audit`, `gc`, and the processes of a deployment."""

import asyncio
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import click

from streams.cli.common import Bulk, NotRunning, Output, Preview, bulk_command, end, finish, local_command
from streams.cli.groups import FAILED, OK, Command
from streams.cli.rendering import columns, counted, size
from streams.settings import Settings, load

if TYPE_CHECKING:
    from streams.client import Client
    from streams.kafka.acls import Role
    from streams.kafka.admin import TopicState
    from streams.supervisor.system import Up

#: As in streams/kafka/acls.py, whose import takes longer than `--help` may.
_ROLES = ("web", "control", "executor", "operator", "backup", "producer", "consumer")
_TOPIC_HEADS = ("TOPIC", "STATUS", "PARTITIONS", "REPLICAS", "RETENTION")


@click.group()
def operations() -> None:
    """Holds the commands of this module; the top group takes them over."""


@local_command(operations, "up", examples=("kinolog up", "KINOLOG_DATA_DIR=/data kinolog up --json"))
def up(*, as_json: bool) -> None:
    """Run everything on this machine, until Ctrl-C.

    That is: broker, control, executor and web.
    """
    settings = load()
    from streams.process import logs
    from streams.supervisor import system

    logs.configure(settings, "up")
    end(asyncio.run(system.run(settings, partial(_announce, as_json))))


async def _announce(as_json: bool, system: "Up") -> None:
    from streams.supervisor.system import print_ready

    print_ready(system, as_json=as_json)
    await system.failure()


@local_command(operations, "doctor", examples=("kinolog doctor", "kinolog doctor --rebuild-check"))
@click.option(
    "--rebuild-check", is_flag=True, help="Rebuild the jobs table from the log, and compare it with the live one."
)
def doctor(*, rebuild_check: bool, as_json: bool) -> None:
    """Check what kinolog needs, and suggest fixes. Changes nothing."""
    settings = load()
    import logging

    if rebuild_check:
        from agents.control.rebuild_check import run

        end(run(settings, as_json=as_json))

    from agents.doctor import CHECKS
    from streams.doctor.diagnosis import examine, exit_code, lines, plain

    logging.disable()  # a check reports what it meets
    examined = asyncio.run(examine(settings, CHECKS))
    finish(Output([plain(examined)], lines(examined), exit_code(examined)), as_json=as_json)


@click.group()
def topics() -> None:
    """Create, check and list the topics on the log."""


operations.add_command(topics)


@local_command(topics, "apply", examples=("kinolog topics apply", "kinolog topics apply --prune"))
@click.option("--prune", is_flag=True, help="Delete topics of earlier versions that no process uses any more.")
def apply(*, prune: bool, as_json: bool) -> None:
    """Create missing topics, and check the others. Safe to repeat."""
    settings = with_running_log(load())
    from streams.kafka.admin import apply_topics
    from streams.kafka.old_topics import prune as prune_old
    from streams.process import logs

    logs.configure(settings, "topics")
    report = asdict(asyncio.run(apply_topics(settings)))
    if prune:
        report |= asyncio.run(prune_old(settings))._asdict()
    found = [f"{kind.replace('_', ' ')}: {line}" for kind, lines in report.items() for line in lines]
    finish(Output([report], found or ["All topics are up to date."]), as_json=as_json)


@local_command(topics, "acls", examples=("kinolog topics acls", "kinolog topics acls --role executor"))
@click.option("--role", "roles", type=click.Choice(_ROLES), multiple=True, help="Only of this role; may be repeated.")
def acls(*, roles: tuple[str, ...], as_json: bool) -> None:
    """Print commands that give each role its rights (ACLs).

    Principals are User:kinolog-<role>: replace them by yours. Nothing is changed.
    """
    settings = load()
    from streams.kafka.acls import ROLES, acls_of, kafka_acls_arguments

    start = ["kafka-acls.sh", "--bootstrap-server", settings.bootstrap, "--command-config", "admin.properties"]
    commands = [
        [*start, *kafka_acls_arguments(f"User:kinolog-{role}", acl)]
        for role in roles or ROLES
        for acl in acls_of(cast("Role", role), settings)
    ]
    finish(
        Output([{"argv": command} for command in commands], [shlex.join(line) for line in commands]), as_json=as_json
    )


@local_command(topics, "list", examples=("kinolog topics list",))
def list_topics(*, as_json: bool) -> None:
    """List the topics that kinolog uses, as they are on the log."""
    settings = with_running_log(load())
    from streams.kafka.admin import topic_states
    from streams.process import logs

    logs.configure(settings, "topics")
    states = asyncio.run(topic_states(settings))
    finish(Output([state._asdict() for state in states], topic_table(states)), as_json=as_json)


@click.group()
def audit() -> None:
    """Check the audit log."""


operations.add_command(audit)


@local_command(audit, "verify", examples=("kinolog audit verify",))
def verify_audit(*, as_json: bool) -> None:
    """Verify on the log that no audit entry was changed or removed. Exit code 1 when one was."""
    settings = with_running_log(load())
    from streams.audit import verify_log
    from streams.process import logs

    logs.configure(settings, "audit")
    verdict = asyncio.run(verify_log(settings))
    heads = [f"{chain} {head}" for chain, head in verdict.heads.items()]
    total = f"{verdict.entries:,} entries, {verdict.faults or 'no'} findings"
    lines = [*verdict.findings, *heads, total]
    finish(Output([asdict(verdict)], lines, FAILED if verdict.faults else OK), as_json=as_json)


@bulk_command(operations, "gc", examples=("kinolog gc --dry-run", "kinolog gc --older-than-days 7 --yes"))
@click.option("--older-than-days", type=click.FloatRange(0), default=1.0, show_default=True, help="Keep what is newer.")
def gc(older_than_days: float) -> Bulk:
    """Remove unreferenced files.

    They are left by killed executors and broken uploads. Needs an admin's token.
    """

    async def preview(client: "Client") -> Preview:
        found = await client.collect_garbage(dry_run=True, older_than_days=older_than_days)
        return Preview(garbage(found), Output([found], garbage_lines(found)))

    async def act(client: "Client") -> Output:
        found = await client.collect_garbage(dry_run=False, older_than_days=older_than_days)
        return Output([found], garbage_lines(found))

    return Bulk("Remove", preview, act)


def garbage(found: Mapping[str, Any]) -> str:
    """What is unreferenced, e.g. "3 files (1.2 MB)"; empty when there is nothing."""
    files = [f"{counted(found['objects'], 'file')} ({size(found['bytes'])})"] if found["objects"] else []
    uploads = found["multipart_uploads"] or 0
    return " and ".join([*files, *([counted(uploads, "unfinished multipart upload")] if uploads else [])])


def garbage_lines(found: Mapping[str, Any]) -> list[str]:
    """What was removed from the store, or would be."""
    if not (things := garbage(found)):
        return ["Nothing to remove."]
    return [
        f"{things} {'would be removed' if found['dry_run'] else 'removed'}",
        *(f"  {prefix}" for prefix in found["prefixes"]),
    ]


def topic_table(states: "Sequence[TopicState]") -> list[str]:
    """A line per topic."""
    rows = [
        (
            state.name,
            "ok" if state.partitions else "missing",
            str(state.partitions or "-"),
            str(state.replicas or "-"),
            "compacted" if state.retention_s is None else _retention(state.retention_s),
        )
        for state in states
    ]
    return columns(_TOPIC_HEADS, rows)


def _retention(seconds: float) -> str:
    if seconds < 0:
        return "unlimited"
    return f"{seconds / 86_400:g} d" if seconds >= 86_400 else f"{seconds / 3600:g} h"


def with_running_log(settings: Settings) -> Settings:
    """Settings with the broker of the `up` over this data dir, where no other is set. Raises NotRunning."""
    from streams.broker.process import running_cluster
    from streams.supervisor import run_dir

    if settings.kafka.bootstrap is not None:
        return settings
    if not run_dir.is_up(settings):
        if settings.kafka.port == 0:
            raise NotRunning(settings)
        return settings
    return settings.with_cluster(running_cluster(settings.data_path / "kafka"))


@operations.command(cls=Command, examples=("kinolog control",))
def control() -> None:
    """Run the process that decides."""
    settings = with_running_log(load())
    from agents.control.main import main as run

    end(run(settings))


@operations.command(cls=Command, examples=("kinolog executor --lane default",))
@click.option("--lane", default="default", show_default=True, help="Its steps, from KINOLOG_EXECUTOR__LANES.")
def executor(lane: str) -> None:
    """Run a process that executes steps."""
    settings = with_running_log(load())
    from agents.executor.main import main as run

    end(run(settings, lane))


@operations.command(cls=Command, examples=("kinolog web",))
def web() -> None:
    """Run the HTTP interface and the page."""
    settings = with_running_log(load())
    from web.server import main as run

    end(run(settings))
