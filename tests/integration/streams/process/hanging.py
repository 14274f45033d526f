"""Runs control or an executor with a hang put in.

`python -m tests.integration.streams.process.hanging HANG control|executor`

The product has no such switches. Each process is a system of its own: its groups and changelogs have a name of theirs.
"""

import asyncio
import sys
import time
from typing import Any

from aiokafka import AIOKafkaProducer

from streams.kafka import topics
from streams.kafka.admin import apply_topics
from streams.settings import Settings, load
from streams.worker import app


async def for_ever(*_: Any, **__: Any) -> None:
    """Never return."""
    await asyncio.Event().wait()


def hang(owner: Any, name: str, function: Any = for_ever) -> None:
    """Let `owner` do something else under that name."""
    setattr(owner, name, function)


def block_the_loop() -> None:
    """One second after the app has started, nothing of the loop runs any more."""
    stock = app.KinologApp.start

    async def start(self: Any) -> None:
        await stock(self)
        asyncio.get_running_loop().call_later(1.0, time.sleep, 3600)

    hang(app.KinologApp, "start", start)


def never_join() -> None:
    """The group's coordinator never comes to an end with the first rebalance."""
    from aiokafka.consumer.group_coordinator import GroupCoordinator

    hang(GroupCoordinator, "ensure_active_group")


def never_end_a_rebalance() -> None:
    """What was assigned is never taken over."""
    from faust.app.base import App

    hang(App, "_on_partitions_assigned")


def never_recover() -> None:
    """The first rows of a changelog never come."""
    from streams.worker import patch_table_recovery

    hang(patch_table_recovery, "_read")


def never_take() -> None:
    """The agent takes a record and does not come back."""
    from agents.control.control import Control

    hang(Control, "handle")


def never_commit() -> None:
    """A commit waits for a delivery that never comes."""
    hang(app.KinologApp, "before_commit")


HANGS = {
    "loop": block_the_loop,
    "join": never_join,
    "rebalance": never_end_a_rebalance,
    "recovery": never_recover,
    "take": never_take,
    "commit": never_commit,
}


async def lay_out(settings: Settings) -> None:
    """The topics, a row to recover, records to take."""
    await apply_topics(settings)
    found = topics.names(settings)
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap)
    await producer.start()
    for topic in (found.commands, found.removals):
        await producer.send_and_wait(topic, b"{}", partition=0)
    await producer.send_and_wait(found.jobs_changelog, b'{"at":{}}', key=b"@0", partition=0)
    await producer.stop()


def main(name: str, role: str) -> int:
    """Run the process with the hang in it."""
    settings = load()
    from agents.control import main as control
    from agents.executor import main as executor

    asyncio.run(lay_out(settings))
    HANGS[name]()
    return control.main(settings) if role == "control" else executor.main(settings, settings.topic_prefix)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
