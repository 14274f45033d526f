"""Rows and records as control writes them, for tests of the web side."""

import time
from typing import Any

import msgspec

from schemas.base import ErrorRecord
from schemas.jobs import Asset, Input, Job, Lease, Queue, RetryPolicy, Step, StepSpec, Watermark
from web.readmodel.changelog import Record

#: Some moment of 2026, seconds since the epoch.
NOW = 1_780_000_000.0


def a_step(
    name: str = "transcode", status: Any = "waiting", weight: float = 1.0, attempts: int = 3, **more: Any
) -> Step:
    """A step; one that runs is owned by the lease `lease-<name>`."""
    spec = StepSpec(name=name, weight=weight, retry=RetryPolicy(attempts=attempts))
    if status == "active":
        more = {"attempt": 1, "lease": Lease(id=f"lease-{name}", executor_id="e1", accepted_at=NOW)} | more
    return Step(spec=spec, status=status, **more)


def a_job(number: int = 1, status: Any = "waiting", steps: tuple[Step, ...] | None = None, **more: Any) -> Job:
    """A job; a higher number is newer."""
    ended = {"finished_at": NOW + number + 9} if status in ("completed", "failed", "cancelled") else {}
    fields: dict[str, Any] = {
        "id": f"job_{number:06}",
        "asset_id": f"asset_{number:06}",
        "pipeline": "standard",
        "status": status,
        "steps": steps if steps is not None else (a_step("probe"), a_step("transcode")),
        "input": Input(object=f"uploads/asset_{number:06}/source"),
        "created_at": NOW + number,
        "updated_at": NOW + number,
    }
    return Job(**fields | ended | more)


def an_asset(number: int = 1, status: Any = "UPLOADED", **more: Any) -> Asset:
    """An asset; a higher number is newer."""
    fields: dict[str, Any] = {
        "id": f"asset_{number:06}",
        "status": status,
        "input": Input(object=f"uploads/asset_{number:06}/source"),
        "created_at": NOW + number,
        "updated_at": NOW + number,
    }
    return Asset(**fields | more)


def an_error(code: str = "corrupt-media", message: str = "The file ends too early.") -> ErrorRecord:
    """An error as data."""
    return ErrorRecord(code=code, message=message)


def record(row: Job | Asset | Watermark | Queue, offset: int, partition: int = 0) -> Record:
    """The changelog record of a row."""
    return Record(partition, offset, int(time.time() * 1000), _key(row, partition).encode(), msgspec.json.encode(row))


def _key(row: Job | Asset | Watermark | Queue, partition: int) -> str:
    if isinstance(row, Watermark):
        return f"@{partition}"
    return f"~{row.step}" if isinstance(row, Queue) else row.id


def tombstone(an_id: str, offset: int, partition: int = 0) -> Record:
    """The changelog record of a deletion."""
    return Record(partition, offset, int(time.time() * 1000), an_id.encode(), None)


def as_json(shown: msgspec.Struct) -> dict[str, Any]:
    """What a client gets to see."""
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(shown))
    return found
