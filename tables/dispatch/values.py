"""Values of dispatch: what goes into a dispatcher, what comes out, and the rules that a deployment may change."""

from functools import lru_cache
from typing import Literal, NamedTuple

import msgspec

from schemas.jobs import Priority

#: A step of a job: job id, step name.
StepKey = tuple[str, str]
#: One attempt of it: job id, run, step name, attempt. The same as an executor knows it by.
AttemptKey = tuple[str, int, str, int]
#: Run and attempt: of two attempts of one step the later one is the greater.
Number = tuple[int, int]
#: Place of an attempt among those of its owner: when its job began to wait, and the job's id.
Entry = tuple[float, str]

#: What an attempt occupies besides a slot of its step: all CPUs of the executor for a while, one CPU, or none.
Turn = Literal["full", "short", ""]
Phase = Literal["loading", "poking", "reading", "giving"]
WaitingReason = Literal["run_at", "paused", "no_executor", "capped", "owner_cap", "queued"]


class Line(NamedTuple):
    """What waits for the same kind of capacity: a step, and whether its attempts are short enough for a short turn."""

    step: str
    short: bool


@lru_cache(1024)
def line_of(step: str, short: bool) -> Line:
    """The same object for each attempt: equal lines are looked up some ten times per attempt."""
    return Line(step, short)


class Capacity(NamedTuple):
    """A kind of capacity: for attempts of a step on a full or a short turn, in a slot, or queued ahead of one."""

    kind: Literal["full", "short", "slot", "ahead"]
    step: str


class ReadyStep(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An attempt of a step whose time has come."""

    job_id: str
    step: str
    run: int
    attempt: int
    #: When the job (or its run) began to wait, seconds since the epoch: within an owner the oldest job goes first.
    since: float
    priority: Priority = "normal"
    owner: str | None = None
    #: Seconds that it will take; unset: from `size` and the history of the step.
    expected_s: float | None = None
    #: What there is to do, in units that compare between jobs (see web/pace.py); unset: not known yet.
    size: float | None = None
    #: Large input by the name that reports use in `cached`; unset: small, or none.
    input_id: str | None = None
    #: Not before, seconds since the epoch.
    run_at: float = 0.0


class Give(NamedTuple):
    """A request to be written: to which session, on which partition, for which attempt."""

    session_id: str
    address: int
    job_id: str
    step: str
    run: int
    attempt: int
    #: Whether it has the executor's CPUs to itself, runs beside on one, or is light.
    turn: Turn


class Poke(NamedTuple):
    """A poke to be written: see schemas.executors.PokeExecutor."""

    session_id: str
    address: int
    number: int


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What a deployment may choose."""

    #: Attempts of higher priority that may overtake a waiting class; then one of its own goes.
    patience: int = 8
    #: Share of each owner relative to the others of its class; 1 for those that are not named.
    weights: dict[str, float] = {}
    #: Attempts of one owner at a time, over all steps and executors; unset: any number.
    owner_cap: int | None = None
    #: The same for single owners.
    owner_caps: dict[str, int] = {}
    #: Attempts of heavy steps that are expected to take no longer may run on a short turn.
    short_s: float = 10.0
    #: Attempts of light steps that are expected to take less may be queued ahead, one per slot.
    brief_s: float = 1.0
    #: Until a given attempt that was not accepted is given elsewhere.
    accept_s: float = 2.0
    #: Without a report until an executor counts as silent: three reports of 2 s.
    silent_s: float = 6.0
    #: Longest that a new dispatcher waits for answers to its pokes.
    poke_s: float = 6.0
    #: Most attempts of an instant step that one session is given at a time.
    batch: int = 256
