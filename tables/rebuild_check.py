"""Comparison of the jobs table with a fold of the log: every row must follow from its messages. Pure.

Control reads two topics, and the log does not record in which order it applied a command and a step event of the same
time. Within each topic the order is known; a row is explained if some merge of the two results in it.
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
from tables.refused_jobs import refused_job
from tables.rows import DELETED_TTL_S, RowTooLarge, encode_checked

#: Most reducer calls per row. A job with many retries and cancels needs some hundred.
_MOST_TRIES = 50_000


class LogMessage(NamedTuple):
    """A message of the log."""

    #: The record's timestamp.
    at: float
    message: Message


@dataclass
class JobHistory:
    """All messages about one job, in the order of each topic."""

    commands: list[LogMessage] = field(default_factory=list)
    events: list[LogMessage] = field(default_factory=list)
    #: Whether the submission may have been rejected: another owner submitted for the same asset, or the asset had too
    #: many jobs.
    contested: bool = False


class PartitionLog(NamedTuple):
    """One partition of the two topics, up to the applied offsets of its rows."""

    commands: Sequence[LogMessage]
    events: Sequence[LogMessage]
    #: Time from which all messages are there; 0: none is missing.
    complete_from: float


class Comparison(NamedTuple):
    """The result for one partition of the table."""

    jobs: int
    #: Jobs that were submitted before the log begins.
    unchecked: int
    #: One sentence per row that does not follow from the log.
    differing: list[str]
    #: sha256 of all checked rows, by the log and in the table.
    log_checksum: str
    table_checksum: str


def compare(rows: Mapping[str, Job | DeletedJob], log: PartitionLog) -> Comparison:
    """Fold the log and compare. `rows`: by job id, all of one partition at one moment."""
    histories, differing, folded, live = histories_of(log), list[str](), dict[str, State](), dict[str, State]()
    checked, unchecked = _checkable(rows, histories, log.complete_from)
    newest = max((entry.at for entry in (*log.commands[-1:], *log.events[-1:])), default=0.0)
    for job_id in checked:
        row, history = rows.get(job_id), histories.get(job_id, JobHistory())
        live[job_id] = folded[job_id] = row
        if not is_explained(row, history, newest):
            folded[job_id] = _in_order(history)
            differing.append(f"{job_id}: {_differences(folded[job_id], row)}")
    return Comparison(len(checked), unchecked, differing, checksum(folded), checksum(live))


def histories_of(log: PartitionLog) -> dict[str, JobHistory]:
    """The messages, by job id."""
    histories: dict[str, JobHistory] = defaultdict(JobHistory)
    of_asset: dict[str, set[str]] = defaultdict(set)
    owners: dict[str, set[str | None]] = defaultdict(set)
    for entry in log.commands:
        message = entry.message
        if isinstance(message, DeleteAsset):
            for job_id in of_asset[message.asset_id]:
                histories[job_id].commands.append(entry)
            continue
        histories[message.job_id].commands.append(entry)  # type: ignore[attr-defined]  # the reader of the log ensures it
        if isinstance(message, SubmitJob):
            of_asset[message.asset_id].add(message.job_id)
            owners[message.asset_id].add(message.owner)
    for entry in log.events:
        histories[entry.message.job_id].events.append(entry)  # type: ignore[attr-defined]  # likewise
    for asset_id, job_ids in of_asset.items():
        for job_id in job_ids:
            histories[job_id].contested = len(owners[asset_id]) > 1 or len(job_ids) > MAX_ASSET_JOBS
    return dict(histories)


def _checkable(
    rows: Mapping[str, Job | DeletedJob], histories: Mapping[str, JobHistory], complete_from: float
) -> tuple[list[str], int]:
    """Ids of the jobs that can be checked, and the number of jobs that were submitted before the log begins."""
    checked, unchecked = list[str](), 0
    for job_id in sorted(rows.keys() | histories.keys()):
        submitted = [
            entry.at for entry in histories.get(job_id, JobHistory()).commands if isinstance(entry.message, SubmitJob)
        ]
        if submitted and submitted[0] >= complete_from:
            checked.append(job_id)
        elif job_id in rows:
            # The log has no submission: an error only if the log is complete.
            checked += [job_id] if not complete_from else []
            unchecked += bool(complete_from)
    return checked, unchecked


def is_explained(row: State, history: JobHistory, newest: float) -> bool:
    """Whether some merge of the two topics results in `row`. `newest`: timestamp of the log's end."""
    expected = _canonical(row)
    if _matches(_in_order(history), expected, newest):
        return True
    return any(_matches(state, expected, newest) for state in _in_any_order(history))


def _matches(state: State, expected: bytes, newest: float) -> bool:
    if _canonical(state) == expected:
        return True
    return not expected and isinstance(state, DeletedJob) and state.deleted_at + DELETED_TTL_S <= newest


def _in_order(history: JobHistory) -> State:
    """The fold in the order of timestamps: the most likely one."""
    state: State = None
    for entry in sorted((*history.commands, *history.events), key=lambda entry: entry.at):
        state = _outcomes(state, entry, contested=False)[-1]
    return state


def _in_any_order(history: JobHistory) -> Iterator[State]:
    """The results of all merges of the two topics; stops early when there are too many."""
    reached: dict[tuple[int, int], dict[bytes, State]] = defaultdict(dict)
    reached[0, 0] = {b"": None}
    tries = 0
    for i in range(len(history.commands) + 1):
        for j in range(len(history.events) + 1):
            states = list(reached.pop((i, j), {}).values())
            nexts = [(i + 1, j, history.commands[i])] if i < len(history.commands) else []
            nexts += [(i, j + 1, history.events[j])] if j < len(history.events) else []
            if not nexts:
                yield from states
            for at_i, at_j, entry in nexts:
                outcomes = [after for state in states for after in _outcomes(state, entry, contested=history.contested)]
                reached[at_i, at_j] |= {_canonical(after): after for after in outcomes}
                tries += len(states)
            if tries > _MOST_TRIES:
                return


def _outcomes(state: State, entry: LogMessage, *, contested: bool) -> list[State]:
    """The possible results of a message; the most likely last."""
    message = entry.message
    if isinstance(message, DeleteAsset):
        # Whether it is applied depends on the asset's other jobs.
        if not isinstance(state, Job) or state.status not in JOB_ENDED:
            return [state]
        command = DeleteJob(job_id=state.id, asset_id=state.asset_id, artifacts=False)
        return [state, advance(state, command, entry.at)[0]]
    applied = _applied(state, entry)
    if state is not None or not isinstance(message, SubmitJob) or not (contested or applied is None):
        return [applied]
    # The oldest of many refused jobs have no row.
    refused = refused_job(message, ErrorRecord(code="refused", message=""), entry.at)
    return [None, refused, applied] if contested else [None, refused]


def _applied(state: State, entry: LogMessage) -> State:
    """The result as in control: a rejected message changes nothing."""
    try:
        if state is None and isinstance(entry.message, SubmitJob):
            require_resolved(entry.message.pipeline, entry.message.steps)
        require_bounded(entry.message)
        after, _ = advance(state, entry.message, entry.at)
        if after is not None:
            encode_checked(after, *([MAX_SUBMITTED_BYTES] if state is None else []))
    except (InvalidPipeline, OutOfBounds, RowTooLarge):
        return state
    return after


_encode = msgspec.json.Encoder(order="deterministic").encode


def _canonical(state: State) -> bytes:
    """The row without its applied offsets, which depend on how it was written.

    Errors are cut: rows of versions without bounds have longer ones.
    """
    if isinstance(state, DeletedJob):  # those of earlier versions have no `body_hash`
        return _encode(replace(state, at={}, body_hash=None))
    if state is None:
        return b""
    if state.refused:  # the reason depends on other jobs of the asset
        return _encode(replace(state, at={}, error=None))
    steps = tuple(replace(step, error=_bounded(step.error)) for step in state.steps)
    return _encode(replace(state, at={}, error=_bounded(state.error), steps=steps))


def _bounded(error: ErrorRecord | None) -> ErrorRecord | None:
    return None if error is None else bounded_error(error)


def checksum(rows: Mapping[str, State]) -> str:
    """sha256 of all rows, hexadecimal."""
    digest = hashlib.sha256()
    for job_id in sorted(rows):
        digest.update(job_id.encode() + b"\x00" + _canonical(rows[job_id]) + b"\n")
    return digest.hexdigest()


def _differences(folded: State, row: State) -> str:
    if row is None or folded is None or type(row) is not type(folded):
        return f"by the log {_named(folded)}, in the table {_named(row)}"
    by_log, in_table = msgspec.to_builtins(replace(folded, at={})), msgspec.to_builtins(replace(row, at={}))
    differences = [
        f"{name} is {_short(by_log.get(name))} by the log and {_short(in_table.get(name))} in the table"
        for name in sorted(by_log.keys() | in_table.keys())
        if by_log.get(name) != in_table.get(name)
    ]
    return "; ".join(differences)


def _named(state: State) -> str:
    match state:
        case Job():
            return f"a {state.status} job"
        case DeletedJob():
            return "a deleted job"
    return "nothing"


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) < 200 else text[:200] + "…"
