"""The jobs that a dispatcher can be asked for, of its own partitions and of those of other control processes."""

from types import SimpleNamespace
from typing import Any

from msgspec.structs import replace

from agents.control.dispatch.open_jobs import OpenJobs
from schemas.commands import CancelJob
from schemas.jobs import Job, Queue
from streams.kafka.partitioner import partition_of
from tables.rows import encode_row, encode_with_offsets, watermark_row
from tests.unit.tables.example_job import apply, submitted

PARTITIONS = 8


def job(number: int) -> Job:
    return replace(submitted()[0], id=f"job_{number}", asset_id=f"asset_{number}")


def table(**rows: bytes) -> Any:
    items = dict(rows)
    jobs = SimpleNamespace(items_to_act_on=lambda _owned: list(items.items()), get=items.get)
    return SimpleNamespace(jobs=jobs, partitions=PARTITIONS)


def record(key: str, value: bytes | None, partition: int = 3) -> Any:
    return SimpleNamespace(key=key.encode(), value=value, partition=partition, headers=())


def ended(running: Job) -> Job:
    return apply(running, CancelJob(job_id=running.id, asset_id=running.asset_id))[0]


async def test_open_jobs_of_its_own_partitions_are_found_whatever_else_is_in_the_table() -> None:
    mine, other, over = job(1), job(2), ended(job(3))
    own = {partition_of(found.asset_id, PARTITIONS) for found in (mine, over)} - {
        partition_of(other.asset_id, PARTITIONS)
    }
    rows = {found.id: encode_row(found) for found in (mine, other, over)}
    queue = encode_row(Queue(step="noop", paused=True, changed_at=1.0))
    jobs = OpenJobs(table(**rows, **{"~noop": queue, "broken": b"\xff", "deep": b"[" * 20_000, "@1": b"{}"}), own)
    assert [found.id async for found in jobs.own()] == ["job_1"]
    assert jobs.get("job_1") == mine and jobs.get("broken") is None and jobs.get("unknown") is None


def test_jobs_of_other_processes_are_kept_while_they_are_open() -> None:
    jobs, theirs = OpenJobs(table(), set()), job(1)
    assert jobs.note_remote(record("job_1", encode_row(theirs))) == theirs
    assert jobs.get("job_1") == theirs
    assert jobs.note_remote(record("job_1", encode_row(ended(theirs)))) == ended(theirs)
    assert jobs.get("job_1") is None
    jobs.note_remote(record("job_1", encode_row(theirs)))
    assert jobs.note_remote(record("job_1", None)) is None
    assert jobs.get("job_1") is None


def test_how_far_other_processes_have_read_is_known_from_their_rows() -> None:
    jobs = OpenJobs(table(), set())
    jobs.note_remote(record("job_1", encode_with_offsets(job(1), {"events": 7})))
    jobs.note_remote(record("@3", watermark_row(3, {"events": 9, "commands": 4})[1]))
    jobs.note_remote(record("job_1", encode_with_offsets(job(1), {"events": 8})))
    jobs.note_remote(record("job_2", b"\xff"))
    jobs.note_remote(SimpleNamespace(key=None, value=b"{}", partition=3, headers=()))
    assert jobs.applied == {("events", 3): 9, ("commands", 3): 4}
