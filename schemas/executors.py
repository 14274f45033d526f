"""Reports of executors on `media.executors` (key: executor id), and pokes on the partitions that they read."""

from typing import Annotated, ClassVar

import msgspec

from schemas.base import Message

#: Names and ids of an executor.
_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
_StepName = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=4096)]
_Number = Annotated[int, msgspec.Meta(ge=0)]
#: Attempts and inputs that one report lists at most: a report stays below 100 KB.
MAX_LISTED = 256
MAX_CACHED = 64


class StepSlots(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How many attempts of one step an executor runs at a time."""

    slots: _Count
    #: Whether short attempts of it may run on a short turn, without a slot.
    short: bool = True


class HeldAttempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An attempt that an executor has accepted and not yet ended."""

    job_id: _Id
    run: _Number
    step: _StepName
    attempt: _Number
    #: Which CPU turn it has or waits for: "full", "short", or "" for none (light steps; heavy ones that only publish).
    turn: Annotated[str, msgspec.Meta(max_length=8)] = ""


class ExecutorReport(Message, frozen=True, kw_only=True):
    """What an executor can run and what it runs. Sent on change (at least 50 ms apart), else every 2 s.

    It leaves after the step events that caused it are acknowledged. The record's timestamp is its age.
    """

    TYPE: ClassVar[str] = "media.executor.reported.v1"

    executor_id: _Id
    #: Fresh at each start of the process: the name that requests carry in `to`.
    session_id: _Id
    #: Fresh for each name and data folder: two processes that report under one name from two homes are both alive.
    home: Annotated[str, msgspec.Meta(max_length=100)] = ""
    #: Partition of the lane's request topic that it reads.
    address: _Number
    lane: _Id
    #: Version of the program.
    version: Annotated[str, msgspec.Meta(max_length=64)]
    #: Counts the session's reports, from 1.
    seq: _Number
    #: By step name.
    steps: Annotated[dict[_StepName, StepSlots], msgspec.Meta(max_length=64)] = {}
    #: Attempts that run or wait inside the executor; those of instant steps are left out.
    attempts: Annotated[tuple[HeldAttempt, ...], msgspec.Meta(max_length=MAX_LISTED)] = ()
    #: CPUs that heavy attempts share.
    cpus: _Count = 1
    #: Heavy attempts that have the CPUs at a time.
    full_turns: _Count = 1
    #: Short heavy attempts that run beside them at a time, on one CPU and at a lower priority; 0: none.
    short_turns: _Count = 1
    #: Isolation of the tools that it runs: "bubblewrap", "namespaces", or "bounds" (no sandbox); empty: it runs none.
    sandbox: Annotated[str, msgspec.Meta(max_length=16)] = ""
    #: The process is stopping and takes nothing more.
    draining: bool = False
    #: Number of the last poke that reached it; 0: none.
    poke: _Number = 0
    #: Attempts that it was given lately and had no slot for.
    refused: Annotated[tuple[HeldAttempt, ...], msgspec.Meta(max_length=MAX_LISTED)] = ()
    #: Ids of assets whose large source is on its disk, the latest first.
    cached: Annotated[tuple[_Id, ...], msgspec.Meta(max_length=MAX_CACHED)] = ()


class PokeExecutor(Message, frozen=True, kw_only=True):
    """On an executor's request partition, from a dispatcher that starts: report at once, with this poke's number.

    Every earlier request lies before it on the partition, so the report that answers knows all of them. Requests of a
    dispatcher with a lower number that come after it are ignored.
    """

    TYPE: ClassVar[str] = "media.executor.poke.v1"

    #: Session id of the executor.
    to: _Id
    #: The dispatcher's number; a later dispatcher has a higher one.
    poke: _Number
