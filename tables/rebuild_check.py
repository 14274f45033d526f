"""The proof that the table is a fold of the log: every row must be what the state machine makes of its messages. Pure.

Control reads two topics, and the log does not say in which order it took a command and a step event that came at the
same time. Within each topic the order is the log's; a row is explained when some order of the two together ends in it.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from schemas.base import ErrorRecord, Message
from schemas.commands import DeleteAsset, DeleteJob, SubmitJob
from schemas.jobs import JOB_ENDED, DeletedJob, Job
from tables.assets import MAX_ASSET_JOBS
from tables.bounds import MAX_SUBMITTED_BYTES, OutOfBounds, bounded_error, require_bounded
from tables.pipelines import InvalidPipeline, require_resolved
from tables.reducer import State, advance
from tables.rows import GRAVE_S, RowTooLarge, encode_checked

#: Applications of a message that are tried for one row; some hundred suffice for a job of many retries and cancels.
_MOST_TRIES = 50_000


class Told(NamedTuple):
    """One message, as control was told it."""

    #: The record's date.
    at: float
    message: Message


@dataclass
class Story:
    """All that was said about one job, in the order of each topic."""

    commands: list[Told] = field(default_factory=list)
    events: list[Told] = field(default_factory=list)
    #: Whether somebody else's job has the same asset, or too many have, so that this one may have been refused.
    contested: bool = False


class PartitionLog(NamedTuple):
    """One partition of the two topics, up to what its rows vouch for."""

    commands: Sequence[Told]
    events: Sequence[Told]
    #: What was said before this date is not all there any more; 0: everything is there.
    complete_from: float


class Compared(NamedTuple):
    """One partition of the table beside what the log makes of it."""

    jobs: int
    #: Jobs that were submitted before the log begins.
    unchecked: int
    #: One sentence per row that is not what the log makes of it.
    differing: list[str]
    #: sha256 over all checked rows, as the log has them and as the table has them.
    log_checksum: str
    table_checksum: str


def compare(rows: Mapping[str, Job | DeletedJob], log: PartitionLog) -> Compared:
    """Fold the log and compare. `rows`: by job id, all of one partition at one moment."""
    stories, differing, folded, live = stories_of(log), list[str](), dict[str, State](), dict[str, State]()
    checked, unchecked = _checkable(rows, stories, log.complete_from)
    newest = max((told.at for told in (*log.commands[-1:], *log.events[-1:])), default=0.0)
    for job_id in checked:
        row, story = rows.get(job_id), stories.get(job_id, Story())
        live[job_id] = folded[job_id] = row
        if not is_explained(row, story, newest):
            folded[job_id] = _in_order(story)
            differing.append(f"{job_id}: {_differences(folded[job_id], row)}")
    return Compared(len(checked), unchecked, differing, checksum(folded), checksum(live))


def stories_of(log: PartitionLog) -> dict[str, Story]:
    """What was said, by job id."""
    stories: dict[str, Story] = defaultdict(Story)
    of_asset: dict[str, set[str]] = defaultdict(set)
    owners: dict[str, set[str | None]] = defaultdict(set)
    for told in log.commands:
        message = told.message
        if isinstance(message, DeleteAsset):
            for job_id in of_asset[message.asset_id]:
                stories[job_id].commands.append(told)
            continue
        stories[message.job_id].commands.append(told)  # type: ignore[attr-defined]  # whoever reads the log sees to it
        if isinstance(message, SubmitJob):
            of_asset[message.asset_id].add(message.job_id)
            owners[message.asset_id].add(message.owner)
    for told in log.events:
        stories[told.message.job_id].events.append(told)  # type: ignore[attr-defined]  # likewise
    for asset_id, job_ids in of_asset.items():
        for job_id in job_ids:
            stories[job_id].contested = len(owners[asset_id]) > 1 or len(job_ids) > MAX_ASSET_JOBS
    return dict(stories)


def _checkable(
    rows: Mapping[str, Job | DeletedJob], stories: Mapping[str, Story], complete_from: float
) -> tuple[list[str], int]:
    """Job ids that the log has from their submission on, or ought to have; and how many it has no longer."""
    checked, unchecked = list[str](), 0
    for job_id in sorted(rows.keys() | stories.keys()):
        submitted = [told.at for told in stories.get(job_id, Story()).commands if isinstance(told.message, SubmitJob)]
        if submitted and submitted[0] >= complete_from:
            checked.append(job_id)
        elif job_id in rows:
            # Nobody submitted it, as far as the log goes: a fault only where it goes back to the beginning.
            checked += [job_id] if not complete_from else []
            unchecked += bool(complete_from)
    return checked, unchecked


def is_explained(row: State, story: Story, newest: float) -> bool:
    """Whether some order of the two topics ends in `row`. `newest`: date of the log's end, by which graves go."""
    wanted = _canonical(row)
    if _is_as_wanted(_in_order(story), wanted, newest):
        return True
    return any(_is_as_wanted(state, wanted, newest) for state in _in_any_order(story))


def _is_as_wanted(state: State, wanted: bytes, newest: float) -> bool:
    if _canonical(state) == wanted:
        return True
    return not wanted and isinstance(state, DeletedJob) and state.deleted_at + GRAVE_S <= newest


def _in_order(story: Story) -> State:
    """The fold by date: what it most probably was."""
    state: State = None
    for told in sorted((*story.commands, *story.events), key=lambda told: told.at):
        state = _outcomes(state, told, contested=False)[-1]
    return state


def _in_any_order(story: Story) -> Iterator[State]:
    """What can come of all orders of the two topics; ends without all of them when there are too many."""
    reached: dict[tuple[int, int], dict[bytes, State]] = defaultdict(dict)
    reached[0, 0] = {b"": None}
    tries = 0
    for i in range(len(story.commands) + 1):
        for j in range(len(story.events) + 1):
            states = list(reached.pop((i, j), {}).values())
            nexts = [(i + 1, j, story.commands[i])] if i < len(story.commands) else []
            nexts += [(i, j + 1, story.events[j])] if j < len(story.events) else []
            if not nexts:
                yield from states
            for at_i, at_j, told in nexts:
                outcomes = [after for state in states for after in _outcomes(state, told, contested=story.contested)]
                reached[at_i, at_j] |= {_canonical(after): after for after in outcomes}
                tries += len(states)
            if tries > _MOST_TRIES:
                return


def _outcomes(state: State, told: Told, *, contested: bool) -> list[State]:
    """What may come of a message; the likeliest last."""
    message = told.message
    if isinstance(message, DeleteAsset):
        # Whether it is carried out depends on the asset's other jobs.
        if not isinstance(state, Job) or state.status not in JOB_ENDED:
            return [state]
        order = DeleteJob(job_id=state.id, asset_id=state.asset_id, artifacts=False)
        return [state, advance(state, order, told.at)[0]]
    refused = [state] if contested and isinstance(message, SubmitJob) and state is None else []
    return [*refused, _applied(state, told)]


def _applied(state: State, told: Told) -> State:
    """As control does it: what cannot be applied changes nothing."""
    try:
        if state is None and isinstance(told.message, SubmitJob):
            require_resolved(told.message.pipeline, told.message.steps)
        require_bounded(told.message)
        after, _ = advance(state, told.message, told.at)
        if after is not None:
            encode_checked(after, *([MAX_SUBMITTED_BYTES] if state is None else []))
    except (InvalidPipeline, OutOfBounds, RowTooLarge):
        return state
    return after


_encode = msgspec.json.Encoder(order="deterministic").encode


def _canonical(state: State) -> bytes:
    """The row without what it vouches for: that says how it was written, not what it is.

    Errors are cut here too: rows from before they were bounded hold longer ones.
    """
    if not isinstance(state, Job):
        return b"" if state is None else _encode(replace(state, at={}))
    steps = tuple(replace(step, error=_bounded(step.error)) for step in state.steps)
    return _encode(replace(state, at={}, error=_bounded(state.error), steps=steps))


def _bounded(error: ErrorRecord | None) -> ErrorRecord | None:
    return None if error is None else bounded_error(error)


def checksum(rows: Mapping[str, State]) -> str:
    """sha256 over all rows, hex."""
    digest = hashlib.sha256()
    for job_id in sorted(rows):
        digest.update(job_id.encode() + b"\x00" + _canonical(rows[job_id]) + b"\n")
    return digest.hexdigest()


def _differences(folded: State, row: State) -> str:
    """In words."""
    if row is None or folded is None or type(row) is not type(folded):
        return f"the log makes {_named(folded)} of it, the table has {_named(row)}"
    ours, theirs = msgspec.to_builtins(replace(folded, at={})), msgspec.to_builtins(replace(row, at={}))
    told = [
        f"{name} is {_short(ours.get(name))} by the log and {_short(theirs.get(name))} in the table"
        for name in sorted(ours.keys() | theirs.keys())
        if ours.get(name) != theirs.get(name)
    ]
    return "; ".join(told)


def _named(state: State) -> str:
    match state:
        case Job():
            return f"a job that is {state.status}"
        case DeletedJob():
            return "a deleted job"
    return "nothing"


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) < 200 else text[:200] + "…"
