"""The loss run: commands arrive without pause while control is killed again and again; then every job is counted.

By hand, with the guards off: `python -m tests.chaos.lossrun --jobs 8000 --per-s 400 --faults stock,no-guard`.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from schemas.commands import SubmitJob
from schemas.jobs import Input, StepSpec
from streams.broker.process import Broker
from streams.kafka.admin import apply_topics
from streams.kafka.envelope import BATCH_HEADERS, batch, structured
from streams.kafka.partitioner import partition_of
from streams.kafka.topics import names
from streams.process.exit import EX_HOLE
from streams.settings import Settings, load

_STEPS = (StepSpec(name="probe"),)
#: A stretch of life between two kills: from before the first assignment to well after recovery.
_LIFE_S = (1.0, 6.0)


@dataclass
class Loss:
    """What a run did and found."""

    jobs: int = 0
    lost: list[str] = field(default_factory=list)
    kills: int = 0
    #: Ends because of a hole that the continuity check found.
    holes: int = 0
    #: Records that the fault `drop` lost, as "topic partition offset".
    dropped: int = 0
    elapsed_s: float = 0.0


class Victim:
    """Control, as a process that is started again whenever it ends."""

    def __init__(self, environ: dict[str, str], faults: list[str], log: Path) -> None:
        self._command = [sys.executable, "-m", "tests.chaos.faulty_control", *faults]
        self._environ, self._log = environ, log
        self.ends: list[int] = []
        self._start()

    def _start(self) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(self._command, env={**os.environ, **self._environ}, stderr=log, stdout=log)

    def kill(self) -> None:
        """SIGKILL, and a new start."""
        self.process.kill()
        self.process.wait()
        self._start()

    def revive(self) -> None:
        """Start again when it has ended by itself."""
        if (code := self.process.poll()) is not None:
            self.ends.append(code)
            self._start()

    def stop(self) -> None:
        """SIGTERM and wait."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


async def loss_run(
    broker: Broker,
    folder: Path,
    *,
    jobs: int,
    per_s: float,
    faults: list[str],
    seed: int,
    patience_s: float = 60.0,
    transaction: int = 0,
) -> Loss:
    """Submit `jobs` at `per_s` while control is killed at random; count the jobs that the table does not know.

    `transaction`: how many of them are committed at a time, a marker on the log behind them; 0: no transactions.
    """
    environ = {"KINOLOG_DATA_DIR": str(folder / "data"), "KINOLOG_KAFKA__BOOTSTRAP": broker.bootstrap}
    settings = load({**environ, "KINOLOG_PARTITIONS": "4", "KINOLOG_KAFKA__SESSION_TIMEOUT_S": "2"})
    environ |= {"KINOLOG_PARTITIONS": "4", "KINOLOG_KAFKA__SESSION_TIMEOUT_S": "2"}
    await apply_topics(settings)
    victim, began = Victim(environ, faults, folder / "control.log"), time.monotonic()
    loss, killer = Loss(), random.Random(seed)
    try:
        killing = asyncio.create_task(_keep_killing(victim, loss, killer))
        submitted = await _submit(settings, jobs, per_s, transaction)
        killing.cancel()
        known = await _wait_known(settings, victim, submitted, within_s=patience_s)
    finally:
        victim.stop()
    loss.jobs, loss.lost = len(submitted), sorted(set(submitted) - known)
    loss.holes = victim.ends.count(EX_HOLE)
    loss.dropped = (folder / "control.log").read_text(errors="replace").count("DROPPED ")
    loss.elapsed_s = time.monotonic() - began
    return loss


async def _keep_killing(victim: Victim, loss: Loss, killer: random.Random) -> None:
    while True:
        next_kill = time.monotonic() + killer.uniform(*_LIFE_S)
        while time.monotonic() < next_kill:
            victim.revive()
            await asyncio.sleep(0.1)
        victim.kill()
        loss.kills += 1


async def _submit(settings: Settings, jobs: int, per_s: float, transaction: int) -> list[str]:
    name = "lossrun" if transaction else None
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap, acks="all", transactional_id=name)
    await producer.start()
    began, submitted, delivered = time.monotonic(), list[str](), list[asyncio.Future[Any]]()
    try:
        for number in range(jobs):
            await asyncio.sleep(max(0.0, began + number / per_s - time.monotonic()))
            if transaction and number % transaction == 0:
                await _next_transaction(producer, first=number == 0)
            job_id, asset_id = f"job_{number}", f"asset_{number}"
            command = SubmitJob(
                job_id=job_id,
                asset_id=asset_id,
                pipeline="p",
                steps=_STEPS,
                input=Input(object="k"),
                submitted_at=time.time(),
            )
            event = structured(command, event_id=job_id, source="test", subject=asset_id)
            partition = partition_of(asset_id, settings.partitions)
            topic = names(settings).commands
            delivered.append(await producer.send(topic, batch([event]), partition=partition, headers=BATCH_HEADERS))
            submitted.append(job_id)
        await asyncio.gather(*delivered)
        if transaction:
            await producer.commit_transaction()
    finally:
        await producer.stop()
    return submitted


async def _next_transaction(producer: Any, *, first: bool) -> None:
    if not first:
        await producer.commit_transaction()
    await producer.begin_transaction()


async def _wait_known(settings: Settings, victim: Victim, submitted: list[str], within_s: float) -> set[str]:
    """Job ids of the rows on the changelog, once all are there or control has had its time."""
    consumer: Any = AIOKafkaConsumer(
        bootstrap_servers=settings.bootstrap, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    await consumer.start()
    topic, known = names(settings).jobs_changelog, set[str]()
    try:
        consumer.assign([TopicPartition(topic, p) for p in range(settings.partitions)])
        deadline = time.monotonic() + within_s
        while not known.issuperset(submitted) and time.monotonic() < deadline:
            victim.revive()
            for records in (await consumer.getmany(timeout_ms=200)).values():
                known.update(record.key.decode() for record in records)
    finally:
        await consumer.stop()
    return known


async def _by_hand(arguments: argparse.Namespace) -> Loss:
    with tempfile.TemporaryDirectory() as folder:
        broker = Broker(
            load({"KINOLOG_DATA_DIR": folder, "KINOLOG_KAFKA__PORT": "0", "KINOLOG_KAFKA__ANONYMOUS": "all"})
        )
        await broker.start()
        await broker.wait_ready()
        try:
            faults = [fault for fault in arguments.faults.split(",") if fault]
            return await loss_run(
                broker,
                Path(folder),
                jobs=arguments.jobs,
                per_s=arguments.per_s,
                faults=faults,
                seed=arguments.seed,
                patience_s=arguments.patience_s,
                transaction=arguments.transaction,
            )
        finally:
            await broker.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--per-s", type=float, default=50.0)
    parser.add_argument("--faults", default="")
    parser.add_argument("--patience-s", type=float, default=60.0, help="for the last job to appear")
    parser.add_argument("--transaction", type=int, default=0, help="jobs that are committed at a time; 0: without")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    found = asyncio.run(_by_hand(parser.parse_args()))
    print(json.dumps(vars(found) | {"lost": len(found.lost), "first_lost": found.lost[:5]}))
