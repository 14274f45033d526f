"""Thousands of jobs on one asset, and control as a process over a real broker: it decides on, for everybody."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from schemas.commands import SubmitJob
from schemas.facts import DeadLetter
from schemas.jobs import Asset, AssetJob, Input, StepSpec
from schemas.step_events import StepRequested
from streams.kafka.envelope import BATCH_HEADERS, batch, structured
from streams.kafka.partitioner import partition_of
from tests.integration.agents.outside import START_S, Control, Outside

Eventually = Callable[..., Awaitable[Any]]
CREATED_AT = 1_780_000_000.0
#: Where an asset's row with all of its jobs had its bound, which it was checked against before its claim was added.
OLD_BOUND_BYTES = 256 * 1024
CLAIM_BYTES = len(b',"at":{"media.commands":10}')


def job_id(number: int) -> str:
    return f"job_{number:024x}"


def submit(number: int, asset_id: str, filename: str) -> SubmitJob:
    return SubmitJob(
        job_id=job_id(number),
        asset_id=asset_id,
        pipeline="standard",
        steps=(StepSpec(name="noop"),),
        input=Input(object="uploads/none"),
        submitted_at=CREATED_AT,
        filename=filename,
    )


def at_the_bound() -> tuple[int, str]:
    """How many jobs, and which file name, made a row that fitted without its claim and not with it."""
    waiting = AssetJob(status="waiting", pipeline="standard", created_at=CREATED_AT)
    row_bytes = OLD_BOUND_BYTES - CLAIM_BYTES // 2
    count = row_bytes // (len(msgspec.json.encode({job_id(0): waiting})) - 1)
    while True:
        jobs = {job_id(number): waiting for number in range(count)}
        fields: dict[str, Any] = {"status": "UPLOADED", "input": Input(object="uploads/none"), "created_at": CREATED_AT}
        row = Asset(id="asset_full", updated_at=CREATED_AT + 0.123, filename="x", jobs=jobs, **fields)
        spare = row_bytes - len(msgspec.json.encode(row))
        if spare >= 0:
            return count, "x" * (1 + spare)
        count -= 1


async def submit_all(world: Outside, jobs: list[SubmitJob]) -> None:
    partition = partition_of(jobs[0].asset_id, world.settings.partitions)
    for start in range(0, len(jobs), 250):
        events = [
            structured(one, event_id=f"{one.job_id}/submit", source="test", subject=one.asset_id)
            for one in jobs[start : start + 250]
        ]
        send = world._producer.send_and_wait
        await send(world.topics.commands, batch(events), partition=partition, headers=BATCH_HEADERS)


async def test_some_2_500_jobs_on_one_asset_do_not_end_control(
    outside: tuple[Control, Outside], eventually: Eventually
) -> None:
    control, world = outside
    count, filename = at_the_bound()
    jobs = [submit(number, "asset_full", filename) for number in range(count + 200)]
    await submit_all(world, jobs)
    same = partition_of("asset_full", world.settings.partitions)
    neighbour = next(f"asset_{n}" for n in range(99) if partition_of(f"asset_{n}", world.settings.partitions) == same)
    await world.send(submit(999_999, neighbour, "mine.mp4"))
    began = time.monotonic()
    await eventually(lambda: world.all(StepRequested, job_id=job_id(999_999)), START_S)
    assert time.monotonic() - began < START_S
    assert {request.job_id for request in world.all(StepRequested)} >= {job.job_id for job in jobs}
    assert not world.all(DeadLetter)
    await control.kill()  # and what does not fit into the row is known after a restart too
    await world.send(submit(1_000_000, neighbour, "mine.mp4"))
    await eventually(lambda: world.all(StepRequested, job_id=job_id(1_000_000)), START_S)
