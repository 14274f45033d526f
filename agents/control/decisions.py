"""The shell around the state machine: entries of a record in, rows and what must be said out."""

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import Any, TypeVar

from msgspec.structs import replace

from agents.control.effects import SOURCE, EffectPublisher
from schemas.base import ErrorRecord, Message
from schemas.commands import CancelJob, DeleteAsset, DeleteJob, PauseQueue, ResumeQueue, RetryJob, SubmitJob
from schemas.jobs import JOB_ENDED, Asset, DeletedJob, Job, Queue
from schemas.processes import ControlReported
from schemas.registry import message_types
from schemas.step_events import AttemptAccepted, AttemptEnded, AttemptHeartbeat, StepEvent
from schemas.steps import step_kinds
from streams.ids import new_id
from streams.kafka.envelope import UNDECODABLE, Entry, Unreadable, fault_of, read, structured
from streams.kafka.partitioner import partition_of
from streams.kafka.topics import names
from streams.settings import Settings
from streams.worker.app import KinologApp
from streams.worker.quarantine import LIMIT, Strikes, place_of, quarantined
from tables.assets import (
    LISTED_JOBS,
    MAX_ASSET_JOBS,
    asset_gone,
    asset_news,
    asset_outstanding,
    fold_asset,
    forget_job,
    known_of,
)
from tables.bounds import MAX_SUBMITTED_BYTES, OutOfBounds, require_bounded
from tables.changelog_table import ChangelogTable
from tables.deadlines import Clock
from tables.effects import outstanding
from tables.log_clock import LogTime
from tables.pipelines import InvalidPipeline, require_resolved
from tables.queues import advance_queue, queue_key, queue_standing
from tables.reducer import State, advance
from tables.rows import (
    GRAVE_S,
    MAX_AT_BYTES,
    MAX_ROW_BYTES,
    QUEUE_PREFIX,
    RowTooLarge,
    claims_of,
    decode_asset,
    decode_grave,
    decode_job,
    decode_queue,
    encode_checked,
    encode_claim,
    grave_key,
    split_rows,
    watermark_row,
)
from tables.unlisted import Unlisted

log = logging.getLogger(__name__)
R = TypeVar("R")

#: Between repeats of what is paused: executors that start read what `media.control` has, and that is a day.
_SAY_PAUSED_S = 6 * 3600.0
#: Events that one tick of the clock may cause; the rest waits for the next one.
_MAX_DUE = 5_000
#: Seconds after which the log counts as away when it has not taken what the clock said.
_UNHEARD_S = 2.0

#: What control is told, by type: to ask `isinstance` of one after the other takes as long as to decide.
_ABOUT_QUEUES = frozenset({PauseQueue, ResumeQueue})
_ABOUT_MEDIA = frozenset(
    kind
    for kind in message_types().values()
    if issubclass(kind, (SubmitJob, CancelJob, RetryJob, DeleteJob, DeleteAsset, StepEvent))
)
_ENDINGS = frozenset(kind for kind in _ABOUT_MEDIA if issubclass(kind, AttemptEnded))


class Rejected(Exception):
    """An entry cannot be applied: it becomes a dead letter."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass
class RecordChanges:
    """What one record has changed so far, and what must be said because of it."""

    partition: int
    #: The record's date.
    now: float
    replayed: bool
    jobs: dict[str, tuple[Job | DeletedJob, bytes]] = field(default_factory=dict)
    #: None: the asset goes.
    assets: dict[str, tuple[Asset, bytes] | None] = field(default_factory=dict)
    queues: dict[str, tuple[Queue, bytes]] = field(default_factory=dict)
    #: Jobs that changed, for the clock: what only stood in between is not waited for.
    changed: dict[str, Job] = field(default_factory=dict)
    effects: list[Message] = field(default_factory=list)

    def copy(self) -> "RecordChanges":
        """The same, to be changed by itself."""
        copied = {name: type(known)(known) for name, known in vars(self).items() if isinstance(known, (dict, list))}
        return RecordChanges(**{**vars(self), **copied})


class Control:
    """Applies the records of the partitions that this process owns."""

    def __init__(self, app: KinologApp, settings: Settings, jobs: ChangelogTable, assets: ChangelogTable) -> None:
        self._app, self._jobs, self._assets = app, jobs, assets
        self._topics, self._partitions = names(settings), settings.partitions
        self._speaker = EffectPublisher(app, settings)
        #: Jobs that are too many for their asset's row.
        self._unlisted = Unlisted()
        self._time = LogTime()
        self._clock = Clock(settings.lease, settings.dispatch, self._speaker.line)
        #: The last thing that the clock said, until the broker has it; when that was; whether it is late.
        self._reminder: asyncio.Future[Any] | None = None
        self._reminded_at, self._unheard = 0.0, False
        #: The last report of this process, until the broker has it.
        self._report_sent: asyncio.Future[Any] | None = None
        self._unmarked: set[int] = set()
        #: (when it was deleted, job id, partition), oldest first.
        self._graves: deque[tuple[float, str, int]] = deque()
        #: Paused queues that this process owns, by step, and when that is said again.
        self._paused: dict[str, Queue] = {}
        self._say_paused_at = 0.0

    async def take(self, message: Any) -> None:
        """Apply every entry of a Kafka record. Never raises: what cannot be applied becomes a dead letter, and what
        cannot be said ends the process. A record that has ended it before is applied entry by entry, and in the end
        not at all.
        """
        place = place_of(message)
        strikes = self._app.quarantine.strikes(place)
        try:
            if strikes.times:  # or an upload event would be read again, and become another such record, at each start
                await self._app.commit_all()
            if strikes.times >= LIMIT:
                self._pass_over(message, strikes)
            else:
                with self._app.quarantine.handling(place):
                    self._handle(message, self._try_entry if strikes.times == LIMIT - 1 else self._apply_entry)
            await self._app.departures.depart()
        except Exception as error:  # whatever it is: rows or effects may be half said, and only a replay repairs that
            log.exception("a record could not be carried through")
            await self._app.end_over(message, error)

    def _handle(self, message: Any, apply: Callable[[RecordChanges, Any, Entry | Unreadable], RecordChanges]) -> None:
        replayed = message.offset <= self._app.continuity.claimed(message.topic, message.partition)
        dated = fault_of(message.headers or ()) is None
        if dated and self._time.saw(message.timestamp):
            self._clock.grant_grace(self._time.now())
        turn = RecordChanges(message.partition, message.timestamp if dated else self._time.now(), replayed)
        for entry in read(message.value, message.headers or ()):
            turn = apply(turn, message, entry)
        for job in turn.changed.values():
            self._clock.watch(job)
        self._write(turn, message.topic, message.offset)
        self._speaker.say(turn.effects, turn.now)

    def _apply_entry(self, turn: RecordChanges, message: Any, entry: Entry | Unreadable) -> RecordChanges:
        try:
            if isinstance(entry, Unreadable):
                raise Rejected(entry.code, entry.reason)
            self._apply(turn, entry.message)
        except Rejected as rejected:
            self._speaker.bury(message, entry.content, ErrorRecord(code=rejected.code, message=str(rejected)))
        return turn

    def _try_entry(self, turn: RecordChanges, message: Any, entry: Entry | Unreadable) -> RecordChanges:
        """As if it were not there when it cannot be applied: one of them has ended the process before."""
        try:
            return self._apply_entry(turn.copy(), message, entry)
        except Exception as error:
            log.exception("an entry could not be applied")
            record = ErrorRecord(code="internal-error", message=f"control failed: {error!r}")
            self._speaker.bury(message, entry.content, record)
            return turn

    def _pass_over(self, message: Any, strikes: Strikes) -> None:
        """Count a record as applied without looking at it."""
        self._speaker.bury(message, message.value or b"", quarantined(strikes))
        self._write(RecordChanges(message.partition, self._time.now(), replayed=True), message.topic, message.offset)

    async def recovered(self) -> None:
        """The tables hold other partitions now: rebuild what is derived from them."""
        owned = self._owned()
        rows = [(partition, row, at) for partition, row, at in self._readable_rows() if partition in owned]
        self._time.saw(max((_date(row) for _, row, _ in rows), default=0.0))
        self._clock.restart(self._time.now())
        self._unmarked.clear()
        claims, graves, paused = [], [], dict[str, Queue]()
        for partition, row, at in rows:
            claims.append((partition, at))
            if isinstance(row, DeletedJob):
                graves.append((row.deleted_at, row.id, partition))
            elif isinstance(row, Queue):
                paused |= {row.step: row} if row.paused else {}
            elif row is not None:
                self._clock.watch(row)
        self._paused, self._say_paused_at = paused, 0.0
        self._graves = deque(sorted(graves))
        self._unlisted.rebuild([row for _, row, _ in rows if isinstance(row, Job)], LISTED_JOBS, self._listed)
        self._app.continuity.reclaim(claims_of(claims))
        log.info("tables recovered", extra={"partitions": len(owned), "rows": len(claims), "waiting": len(self._clock)})

    def _readable_rows(self) -> Iterator[tuple[int, Job | DeletedJob | Queue | None, dict[str, int]]]:
        """Partition, row and claims of each. One that control did not write must not end it at each start."""
        for key, encoded in self._jobs.items():
            try:
                [(_, row, at)] = split_rows([(key, encoded)])
                yield self._partition_of_row(key, row), row, at
            except (*UNDECODABLE, ValueError, IndexError) as error:
                log.error("a row cannot be read", extra={"row": key[:100], "reason": str(error)})  # noqa: TRY400  that says it all

    def _partition_of_row(self, key: str, row: Job | DeletedJob | Queue | None) -> int:
        if row is None:
            return int(key[1:])
        return partition_of(queue_key(row.step) if isinstance(row, Queue) else row.asset_id, self._partitions)

    async def tick(self) -> None:
        """Say what is due, and write down how far the log is applied where no row said so."""
        now = self._time.now()
        if self._is_heard(now):
            self._remind_all(now)
        self._unmarked.update(tp.partition for tp in self._app.pass_skipped())
        self._mark_all()
        self._level_graves(now)
        if now >= self._say_paused_at:
            self._say_paused_at = now + _SAY_PAUSED_S
            self._speaker.say([effect for queue in self._paused.values() for effect in queue_standing(queue)], now)
        await self._app.departures.depart()
        self._report()

    async def write_claims(self) -> None:
        """Write down how far the log is applied where no row says so; returns when aiokafka has it."""
        self._mark_all()
        await self._app.departures.depart()

    def _mark_all(self) -> None:
        for partition in sorted(self._unmarked):
            self._mark(partition)
        self._unmarked.clear()

    def _report(self) -> None:
        """Let web know that these partitions are decided; the next one says it again."""
        if self._report_sent is not None and not self._report_sent.done():
            return  # no broker: one that waits is enough
        partitions = self._owned()
        if self._app.is_reading and partitions:
            report = ControlReported(control=self._app.conf.broker_client_id, partitions=tuple(sorted(partitions)))
            encoded = structured(report, event_id=new_id("report"), source=SOURCE, subject=report.control)
            self._report_sent = self._app.outbox.put(self._topics.progress, 0, encoded)

    def _owned(self) -> set[int]:
        return {tp.partition for tp in self._app.consumer.assignment() if tp.topic == self._topics.commands}

    def mark_later(self, partition: int) -> None:
        """An offset of `partition` was applied and no row says so: the next tick writes it down."""
        self._unmarked.add(partition)

    def _level_graves(self, now: float) -> None:
        """Forget deleted jobs that nothing on the log can bring back any more."""
        for _ in range(_MAX_DUE):
            if not self._graves or self._graves[0][0] + GRAVE_S > now:
                return
            _, job_id, partition = self._graves.popleft()
            self._jobs.delete(grave_key(job_id), partition)

    def _is_heard(self, now: float) -> bool:
        """Whether the log takes what the clock says. While it did not, nobody could renew a lease: all get a grace."""
        if self._reminder is not None and not self._reminder.done():
            self._unheard = self._unheard or now - self._reminded_at > _UNHEARD_S
            return not self._unheard
        if self._unheard:
            self._unheard = False
            self._clock.grant_grace(now)
        return True

    def _remind_all(self, now: float) -> None:
        for _ in range(_MAX_DUE):
            place = self._clock.next_due(now)
            if place is None:
                return
            self._remind(place, now)

    def _remind(self, place: tuple[str, str], now: float) -> None:
        row = self._jobs.get(place[0])
        event = self._clock.event_for(decode_job(row), place[1], now) if row is not None else None
        if event is not None:
            event_id = f"{event.job_id}/{event.run}/{event.step}/{event.attempt}/{event.TYPE}"
            encoded = structured(
                event, event_id=event_id, source=SOURCE, subject=event.asset_id, correlation_id=event.job_id
            )
            partition = partition_of(event.asset_id, self._partitions)
            self._reminder = self._app.outbox.put(self._topics.step_events, partition, encoded)
            self._reminded_at = now

    # One entry

    def _apply(self, turn: RecordChanges, message: Any) -> None:
        kind = type(message)
        if kind in _ABOUT_QUEUES:
            self._change_queue(turn, message)
            return
        if kind not in _ABOUT_MEDIA:
            raise Rejected("unexpected-type", f"{message.TYPE} is nothing that control is told")
        if partition_of(message.asset_id, self._partitions) != turn.partition:
            raise Rejected("wrong-partition", f"{message.asset_id} does not belong to partition {turn.partition}")
        if kind is DeleteAsset:
            self._delete_asset(turn, message)
            return
        before = self._job(turn, message.job_id)
        if before is None and isinstance(message, SubmitJob):
            self._require_free_asset(turn, message)
        after, effects = self._decide(turn, before, message)
        if isinstance(after, DeletedJob):
            turn.effects += effects + self._bury_job(turn, before, after, message)
        elif after is None or isinstance(before, DeletedJob):
            turn.effects += effects
        else:
            self._carry_on(turn, before, after, message, effects)

    def _decide(self, turn: RecordChanges, before: State, message: Message) -> tuple[State, list[Message]]:
        """A cancel names no run: read again after a restart, it must not end the one that a retry began since."""
        if turn.replayed and isinstance(before, Job) and isinstance(message, CancelJob):
            return before, outstanding(before)
        return self._advance(before, message, turn.now)

    def _carry_on(
        self, turn: RecordChanges, before: Job | None, after: Job, message: Any, effects: list[Message]
    ) -> None:
        """Keep what became of a job that is there."""
        if turn.replayed and after is before:
            effects = effects or outstanding(after)
        if after is not before or turn.replayed:
            effects += self._keep(turn, before, after)
        turn.effects += effects
        if after is not before:
            turn.changed[after.id] = after
        self._tell_clock(message, effects, turn.now)

    def _change_queue(self, turn: RecordChanges, message: PauseQueue | ResumeQueue) -> None:
        if message.step not in step_kinds():
            raise Rejected("unknown-step", f"there is no step {message.step!r}")
        if partition_of(queue_key(message.step), self._partitions) != turn.partition:
            raise Rejected("wrong-partition", f"the queue of {message.step} does not belong to {turn.partition}")
        key = QUEUE_PREFIX + message.step
        row = self._jobs.get(key)
        known = turn.queues[key][0] if key in turn.queues else decode_queue(row) if row is not None else None
        if turn.replayed:  # of a pause and its end, neither may be acted on again
            turn.effects += queue_standing(known) if known is not None else []
            return
        after, effects = advance_queue(known, message, turn.now)
        turn.effects += effects
        turn.queues[key] = (after, self._encode(after))
        self._paused.pop(after.step, None)
        if after.paused:
            self._paused[after.step] = after

    # Deletion

    def _bury_job(
        self, turn: RecordChanges, before: Job | DeletedJob | None, grave: DeletedJob, message: Message
    ) -> list[Message]:
        """Note that a job is gone, and what that makes of its asset. Returns what must be said about the asset."""
        asset = self._asset(turn, grave.asset_id)
        if not isinstance(before, Job):
            again = turn.replayed and asset is None and isinstance(message, DeleteJob)
            return asset_gone(grave.asset_id, grave.owner, grave.deleted_at) if again else []
        self._dig(turn, grave)
        if asset is None:
            self._unlisted.drop(grave.asset_id, grave.id)
            return []
        artifacts = isinstance(message, DeleteJob) and message.artifacts
        unlisted, others = self._unlisted.of(asset.id), self._last_to_end(turn, asset)
        left = forget_job(asset, before, others, artifacts=artifacts, unlisted=unlisted)
        for job_id in (grave.id, *(left.jobs if left is not None else ())):
            self._unlisted.drop(asset.id, job_id)
        if left is None:
            turn.assets[asset.id] = None
            return asset_gone(asset.id, asset.owner, grave.deleted_at)
        left = replace(left, updated_at=turn.now)
        turn.assets[asset.id] = (left, self._encode(left))
        return []

    def _dig(self, turn: RecordChanges, grave: DeletedJob) -> None:
        turn.jobs[grave.id] = (grave, self._encode(grave))
        self._graves.append((grave.deleted_at, grave.id, turn.partition))

    def _jobs_of(self, turn: RecordChanges, asset: Asset) -> list[Job]:
        ids = (*asset.jobs, *(self._unlisted.of(asset.id) or ()))
        return [job for job_id in ids if isinstance(job := self._job(turn, job_id), Job)]

    def _last_to_end(self, turn: RecordChanges, asset: Asset) -> Iterator[Job]:
        """The asset's jobs, those that have not ended first, then the last to end first; read one by one."""
        listed = (self._job(turn, job_id) for job_id in asset.jobs)
        ends = [(job.finished_at, job.id) for job in listed if isinstance(job, Job)]
        unlisted = self._unlisted.of(asset.id)
        ends += unlisted.ends() if unlisted is not None else []
        for _, job_id in sorted(((math.inf if at is None else at, job_id) for at, job_id in ends), reverse=True):
            if isinstance(job := self._job(turn, job_id), Job):
                yield job

    def _listed(self, asset_id: str) -> Collection[str]:
        row = self._assets.get(asset_id)
        return decode_asset(row).jobs if row is not None else ()

    def _delete_asset(self, turn: RecordChanges, message: DeleteAsset) -> None:
        """Delete all of its jobs, when all have ended, and it. Again on a replay: what is said may have been lost."""
        asset = self._asset(turn, message.asset_id)
        if asset is None:
            turn.effects += asset_gone(message.asset_id, None, turn.now) if turn.replayed else []
            return
        jobs = self._jobs_of(turn, asset)
        if any(job.status not in JOB_ENDED for job in jobs) or (turn.replayed and jobs):
            return  # a job was submitted meanwhile; whoever asked sees that the asset is still there
        for job in jobs:
            order = DeleteJob(job_id=job.id, asset_id=asset.id, artifacts=False, requested_by=message.requested_by)
            grave, effects = self._advance(job, order, turn.now)
            if isinstance(grave, DeletedJob):
                self._dig(turn, grave)
                self._unlisted.drop(asset.id, job.id)
                turn.effects += effects
        turn.assets[asset.id] = None
        turn.effects += asset_gone(asset.id, asset.owner, turn.now)

    def _require_free_asset(self, turn: RecordChanges, message: SubmitJob) -> None:
        """Refuse a job on somebody else's asset, or one too many. Web checks this too; its read model may be behind."""
        asset = self._asset(turn, message.asset_id)
        if asset is not None and message.owner is not None and asset.owner != message.owner:
            raise Rejected("asset-of-another-owner", f"{message.asset_id} does not belong to {message.owner}")
        if asset is not None and len(asset.jobs) + len(self._unlisted.of(asset.id) or ()) >= MAX_ASSET_JOBS:
            raise Rejected("too-many-jobs", f"{asset.id} has {MAX_ASSET_JOBS} jobs: delete some of them first")

    def _advance(self, before: State, message: Message, now: float) -> tuple[State, list[Message]]:
        try:
            if before is None and isinstance(message, SubmitJob):
                require_resolved(message.pipeline, message.steps)
            require_bounded(message)
            return advance(before, message, now)
        except OutOfBounds as error:
            raise Rejected(error.code, str(error)) from error
        except InvalidPipeline as error:
            raise Rejected("invalid-pipeline", str(error)) from error
        except Exception as error:  # a bug of ours: to exit would loop; the job's own deadlines still end it
            log.exception("the state machine failed", extra={"type": message.TYPE})
            raise Rejected("internal-error", f"the state machine failed: {error!r}") from error

    def _keep(self, turn: RecordChanges, known: Job | None, job: Job) -> list[Message]:
        """Note the rows of the job and its asset; both or none. Returns what must be said about the asset."""
        encoded = self._encode(job) if known is not None else self._encode(job, MAX_SUBMITTED_BYTES)
        before, unlisted = self._asset(turn, job.asset_id), self._unlisted.of(job.asset_id)
        after = fold_asset(before, job, unlisted)
        listed = before.jobs if before is not None else {}
        effects = asset_news(known_of(before, job, unlisted), after, job) if after is not before else []
        if after is not before or turn.replayed:
            turn.assets[after.id] = (after, self._encode(after))
        turn.jobs[job.id] = (job, encoded)
        if len(listed) >= LISTED_JOBS or unlisted is not None:
            self._note_unlisted(turn, {*listed, job.id}, after)
        return asset_outstanding(after, job) if turn.replayed else effects

    def _note_unlisted(self, turn: RecordChanges, known: Set[str], asset: Asset) -> None:
        """Of the jobs that were known, take in those that the asset's row does not list."""
        for job_id in known:
            if job_id in asset.jobs:
                self._unlisted.drop(asset.id, job_id)
            elif isinstance(job := self._job(turn, job_id), Job):
                self._unlisted.put(job)

    def _encode(self, row: Job | Asset | DeletedJob | Queue, max_bytes: int = MAX_ROW_BYTES - MAX_AT_BYTES) -> bytes:
        try:
            return encode_checked(row, max_bytes)
        except RowTooLarge as error:
            raise Rejected("row-too-large", str(error)) from error

    def _tell_clock(self, message: Any, effects: list[Message], now: float) -> None:
        kind = type(message)
        if kind is AttemptHeartbeat:
            if not effects:
                self._clock.renew(message, now)
        elif kind is AttemptAccepted:
            self._clock.saw_accepted(message, message, now)
        elif kind in _ENDINGS and message.claim is not None:
            self._clock.saw_accepted(message, message.claim, now)

    def _job(self, turn: RecordChanges, job_id: str) -> State:
        if job_id in turn.jobs:
            return turn.jobs[job_id][0]
        if (row := self._jobs.get(job_id)) is not None:
            return _readable(decode_job, row)
        grave = self._jobs.get(grave_key(job_id))
        return _readable(decode_grave, grave) if grave is not None else None

    def _asset(self, turn: RecordChanges, asset_id: str) -> Asset | None:
        if asset_id in turn.assets:
            known = turn.assets[asset_id]
            return known[0] if known is not None else None
        row = self._assets.get(asset_id)
        return _readable(decode_asset, row) if row is not None else None

    # What comes of a record

    def _write(self, turn: RecordChanges, topic: str, offset: int) -> None:
        """The rows, and the claim. A changelog is ordered, so only a record's last row may vouch for the record."""
        assets = {key: known for key, known in turn.assets.items() if known is not None}
        jobs = {_key(row): (row, encoded) for row, encoded in turn.jobs.values()}
        for key in turn.assets.keys() - assets.keys():
            self._assets.delete(key, turn.partition)
        for row, _ in turn.jobs.values():
            if isinstance(row, DeletedJob):
                self._jobs.delete(row.id, turn.partition)
        self._put(self._assets, assets, turn.partition, {topic: offset})
        self._put(self._jobs, {**turn.queues, **jobs}, turn.partition, {topic: offset})
        self._app.continuity.claim(topic, turn.partition, offset)
        if not (jobs and assets):
            self._unmarked.add(turn.partition)

    def _put(
        self, table: ChangelogTable, rows: Mapping[str, tuple[Any, bytes]], partition: int, at: dict[str, int]
    ) -> None:
        last = next(reversed(list(rows)), None)
        for key, (row, encoded) in rows.items():
            table.put(key, encode_claim(row, at) if key == last else encoded, partition)

    def _mark(self, partition: int) -> None:
        continuity = self._app.continuity
        sources = (self._topics.commands, self._topics.step_events, self._topics.uploads)
        at = {topic: claimed for topic in sources if (claimed := continuity.claimed(topic, partition)) >= 0}
        key, row = watermark_row(partition, at)
        for table in (self._assets, self._jobs):
            table.put(key, row, partition)


def _readable(decode: Callable[[bytes], R], row: bytes) -> R:
    """A row that somebody else has written over makes what is about it a dead letter, and ends nobody."""
    try:
        return decode(row)
    except UNDECODABLE as error:
        raise Rejected("unreadable-row", f"its row cannot be read: {error}") from error


def _date(row: Job | DeletedJob | Queue | None) -> float:
    """When it was written, or a little earlier."""
    match row:
        case Job():
            return row.updated_at
        case DeletedJob():
            return row.deleted_at
        case Queue():
            return row.changed_at
    return 0.0


def _key(row: Job | DeletedJob) -> str:
    return grave_key(row.id) if isinstance(row, DeletedJob) else row.id
