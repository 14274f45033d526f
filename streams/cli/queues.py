"""`kinolog queues …`: the queues of the steps; and the counts of `kinolog stats`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from streams.cli.common import Output, client_command
from streams.cli.rendering import columns

if TYPE_CHECKING:
    from streams.client import Client

_HEADS = (
    "QUEUE",
    "STATE",
    "EXECUTORS",
    "SLOTS",
    "LIMIT",
    "QUEUED",
    "ACTIVE",
    "DELAYED",
    "COMPLETED",
    "FAILED",
    "SKIPPED",
)


@click.group()
def queues() -> None:
    """List, pause, resume and limit the queues of the steps."""


@client_command(queues, "list", examples=("kinolog queues list",))
async def list_queues(client: "Client") -> Output:
    """List the queues: executors, and jobs by the state of the step."""
    found = await client.queues()
    return Output(found, queue_table(found))


@client_command(queues, "pause", examples=("kinolog queues pause transcode",))
@click.argument("step")
async def pause(client: "Client", step: str) -> Output:
    """Pause the queue of STEP. Running work continues."""
    await client.change_queue(step, paused=True)
    return Output([{"name": step, "paused": True}], [f"Paused {step}. Resume it with: kinolog queues resume {step}"])


@client_command(queues, "resume", examples=("kinolog queues resume transcode",))
@click.argument("step")
async def resume(client: "Client", step: str) -> Output:
    """Resume the queue of STEP."""
    await client.change_queue(step, paused=False)
    return Output([{"name": step, "paused": False}], [f"Resumed {step}."])


@client_command(queues, "limit", examples=("kinolog queues limit transcode 2", "kinolog queues limit transcode none"))
@click.argument("step")
@click.argument("max_active", metavar="N|none")
async def limit(client: "Client", step: str, max_active: str) -> Output:
    """Run at most N attempts of STEP at a time. Running work continues."""
    if not (max_active.isdecimal() or max_active == "none"):
        raise click.BadParameter("must be a number, or none", param_hint="N|none")
    count = None if max_active == "none" else int(max_active)
    await client.limit_queue(step, count)
    text = f"Lifted the limit of {step}." if count is None else f"Limited {step} to {count} at a time."
    return Output([{"name": step, "max_active": count}], [text])


def queue_table(found: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line per queue."""
    rows = [
        (
            queue["name"],
            _state(queue),
            str(queue.get("executors", "?")),
            str(queue.get("slots", "?")),
            "-" if queue["max_active"] is None else str(queue["max_active"]),
            *(str(queue[name.lower()]) for name in _HEADS[5:]),
        )
        for queue in found
    ]
    return columns(_HEADS, rows)


def _state(queue: Mapping[str, Any]) -> str:
    """Paused, open, or why nothing starts."""
    if queue["paused"]:
        return "paused"
    return {"no_executor": "no executor", "capped": "at its limit"}.get(queue.get("reason", ""), "open")


def stats_lines(counts: Mapping[str, Any]) -> list[str]:
    """Jobs of each pipeline and in total by status; assets by status."""
    statuses = list(counts["jobs"])
    by_pipeline = {**counts["pipeline_status"], "total": counts["jobs"]}
    rows = [(name, *(str(found[status]) for status in statuses)) for name, found in by_pipeline.items()]
    assets = ", ".join(f"{count} {status}" for status, count in counts["assets"].items() if count) or "none"
    return [*columns(("PIPELINE", *map(str.upper, statuses)), rows), "", f"Assets: {assets}"]
