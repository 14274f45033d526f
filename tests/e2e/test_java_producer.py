"""The whole system next to a producer on the JVM: every committed event is one job, and nothing else is one.

60 transactions of each codec, some ten seconds; `JAVA_TRANSACTIONS=400` for a minute.
"""

import asyncio
import os
import shutil
from collections import defaultdict
from pathlib import Path
from typing import Any

import aiohttp

from schemas.facts import DeadLetter, JobCompleted, JobSubmitted
from streams.broker.jvm import find_jvm
from streams.kafka.envelope import Entry, read
from tests.conftest import eventually
from tests.e2e.system import System
from tests.e2e.test_faults import whole_topic

#: With each of the five codecs; three events each, every third one is aborted.
TRANSACTIONS = int(os.environ.get("JAVA_TRANSACTIONS", "60"))
#: Between two transactions of a codec.
PAUSE_MS = 125
SOURCE = Path(__file__).with_name("UploadProducer.java")


async def run_producer(system: System, folder: Path) -> dict[str, set[str]]:
    """Assets by what became of their events: kept, aborted."""
    jvm = await find_jvm()
    javac = shutil.which("javac")
    assert javac is not None, "run `make setup`"
    classes = ["-cp", ":".join(jvm.jars)]
    compiling = await asyncio.create_subprocess_exec(javac, *classes, "--release", "17", "-d", str(folder), str(SOURCE))
    assert await compiling.wait() == 0
    arguments = (system.bootstrap, "media.uploads", "8", str(TRANSACTIONS), str(PAUSE_MS))
    running = await asyncio.create_subprocess_exec(
        jvm.java, "-cp", f"{folder}:{':'.join(jvm.jars)}", "UploadProducer", *arguments, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await running.communicate()
    assert running.returncode == 0
    told: dict[str, set[str]] = defaultdict(set)
    for line in output.decode().splitlines():
        kind, asset_id = line.split()
        told[kind].add(asset_id)
    return told


async def unready_times(system: System) -> int:
    """Looks at `/readyz`, five a second until it is cancelled, that did not find the system ready."""
    times = 0
    async with aiohttp.ClientSession() as session:
        try:
            while True:
                async with session.get(f"{system.url}/readyz") as answer:
                    times += answer.status != 200
                await asyncio.sleep(0.2)
        except asyncio.CancelledError:
            return times


async def messages(system: System, topic: str, kind: type[Any]) -> list[Any]:
    """All of a kind, a repeat once."""
    found = {
        entry.event.id: entry.message
        for record in await whole_topic(system, topic)
        for entry in read(record.value, record.headers)
        if isinstance(entry, Entry) and isinstance(entry.message, kind)
    }
    return list(found.values())


async def completed(system: System) -> set[str]:
    """Assets whose job has completed."""
    return {fact.asset_id for fact in await messages(system, "media.events", JobCompleted)}


async def test_every_committed_event_of_a_java_producer_is_one_job_and_nothing_ends(
    fragile: System, tmp_path: Path
) -> None:
    looking = asyncio.create_task(unready_times(fragile))
    told = await run_producer(fragile, tmp_path)
    aborted = TRANSACTIONS // 3
    assert len(told["kept"]) == (TRANSACTIONS - aborted) * 5 * 3
    assert len(told["aborted"]) == aborted * 5 * 3

    async def all_completed() -> bool:
        return told["kept"] <= await completed(fragile)

    await eventually(all_completed, within_s=60, every_s=1.0)
    jobs = await messages(fragile, "media.events", JobSubmitted)
    assert sorted(job.asset_id for job in jobs) == sorted(told["kept"])
    assert await messages(fragile, "media.dead-letters", DeadLetter) == []
    looking.cancel()
    assert await looking == 0
    assert "exit_code" not in fragile.log()
    assert "restarting" not in fragile.log().lower()
