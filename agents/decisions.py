"""The shell around the state machine: entries of a record in, rows and what must be said out."""

import logging
import time
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from schemas.base import ErrorRecord, Message
from schemas.commands import CancelJob, RetryJob, SubmitJob
from schemas.jobs import Asset, Job
from schemas.step_events import LeaseRevoked, StepAccepted, StepEvent, StepHeartbeat, StepRequested
from schemas.steps import step_kinds
from streams.dead_letters import dead_letter
from streams.envelope import BATCH_HEADERS, Unreadable, batch, binary, read, structured
from streams.faust_app import EX_SOFTWARE, KinologApp, end_process
from streams.partition import partition_of
from streams.settings import Settings
from streams.topics import names
from tables.assets import asset_news, asset_outstanding, fold_asset
from tables.changelog import ChangelogTable
from tables.clock import Clock
from tables.pipelines import InvalidPipeline, require_resolved
from tables.reducer import advance
from tables.rows import RowTooLarge, claims_of, decode_asset, decode_job, encode_row, split_rows, watermark_row
from tables.statements import event_id, outstanding

log = logging.getLogger(__name__)

SOURCE = "kinolog/control"
#: Events that one tick of the clock may cause; the rest waits for the next one.
_MAX_DUE = 5_000


class Rejected(Exception):
    """An entry cannot be applied: it becomes a dead letter."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


@dataclass
class Turn:
    """What one record has changed so far, and what must be said because of it."""

    partition: int
    now: float
    replayed: bool
    jobs: dict[str, tuple[Job, bytes]] = field(default_factory=dict)
    assets: dict[str, tuple[Asset, bytes]] = field(default_factory=dict)
    effects: list[Message] = field(default_factory=list)


class Control:
    """Applies the records of the partitions that this process owns."""

    def __init__(self, app: KinologApp, settings: Settings, jobs: ChangelogTable, assets: ChangelogTable) -> None:
        self._app, self._jobs, self._assets = app, jobs, assets
        self._topics, self._partitions = names(settings), settings.partitions
        self._clock = Clock(settings.lease, settings.dispatch, self._request_partition)
        self._unmarked: set[int] = set()

    async def take(self, message: Any) -> None:
        """Apply every entry of a Kafka record. Never raises: what cannot be applied becomes a dead letter, and what
        cannot be said ends the process.
        """
        replayed = message.offset <= self._app.continuity.claimed(message.topic, message.partition)
        turn = Turn(message.partition, time.time(), replayed)
        try:
            for entry in read(message.value, message.headers or ()):
                try:
                    if isinstance(entry, Unreadable):
                        raise Rejected(entry.code, entry.reason)
                    self._apply(turn, entry.message)
                except Rejected as rejected:
                    raw = entry.raw if isinstance(entry, Unreadable) else bytes(entry.event.data)
                    await self._bury(message, raw, rejected)
            await self._write(turn, message.topic, message.offset)
            await self._say(turn.effects)
        except Exception as error:  # whatever it is: rows or effects may be half said, and only a replay repairs that
            log.exception("a record could not be carried through")
            end_process(EX_SOFTWARE, "control cannot go on", error=repr(error))

    async def recovered(self) -> None:
        """The tables hold other partitions now: rebuild what is derived from them."""
        owned = {tp.partition for tp in self._app.consumer.assignment() if tp.topic == self._topics.commands}
        self._clock.restart(time.time())
        self._unmarked.clear()
        claims = []
        for key, job, at in split_rows(self._jobs.items()):
            partition = partition_of(job.asset_id, self._partitions) if job is not None else int(key[1:])
            if partition in owned:
                claims.append((partition, at))
                if job is not None:
                    self._clock.watch(job)
        self._app.continuity.reclaim(claims_of(claims))
        log.info("tables recovered", extra={"partitions": len(owned), "rows": len(claims), "waiting": len(self._clock)})

    async def tick(self, now: float) -> None:
        """Say what is due, and write down how far the log is applied where no row said so."""
        for _ in range(_MAX_DUE):
            place = self._clock.next_due(now)
            if place is None:
                break
            self._remind(place, now)
        for partition in sorted(self._unmarked):
            await self._mark(partition)
        self._unmarked.clear()

    def mark_later(self, partition: int) -> None:
        """An offset of `partition` was applied and no row says so: the next tick writes it down."""
        self._unmarked.add(partition)

    def _remind(self, place: tuple[str, str], now: float) -> None:
        row = self._jobs.get(place[0])
        event = self._clock.event_for(decode_job(row), place[1], now) if row is not None else None
        if event is not None:
            event_id = f"{event.job_id}/{event.run}/{event.step}/{event.attempt}/{event.TYPE}"
            encoded = structured(
                event, event_id=event_id, source=SOURCE, subject=event.asset_id, correlation_id=event.job_id
            )
            self._app.outbox.put(self._topics.step_events, partition_of(event.asset_id, self._partitions), encoded)

    # One entry

    def _apply(self, turn: Turn, message: Message) -> None:
        if not isinstance(message, (SubmitJob, CancelJob, RetryJob, StepEvent)):
            raise Rejected("unexpected-type", f"{message.TYPE} is nothing that control is told")
        if partition_of(message.asset_id, self._partitions) != turn.partition:
            raise Rejected("wrong-partition", f"{message.asset_id} does not belong to partition {turn.partition}")
        before = self._job(turn, message.job_id)
        if before is None and isinstance(message, SubmitJob):
            self._require_own_asset(turn, message)
        after, effects = self._advance(before, message, turn.now)
        if after is None:
            turn.effects += effects
            return
        if turn.replayed and after is before:
            effects = effects or outstanding(after)
        if after is not before or turn.replayed:
            effects += self._keep(turn, after)
        turn.effects += effects
        self._tell_clock(message, before, after, effects, turn.now)

    def _require_own_asset(self, turn: Turn, message: SubmitJob) -> None:
        """Web asks too, but its read model may be behind: here is where it is known."""
        asset = self._asset(turn, message.asset_id)
        if asset is not None and message.owner is not None and asset.owner != message.owner:
            raise Rejected("asset-of-another-owner", f"{message.asset_id} does not belong to {message.owner}")

    def _advance(self, before: Job | None, message: Message, now: float) -> tuple[Job | None, list[Message]]:
        try:
            if before is None and isinstance(message, SubmitJob):
                require_resolved(message.pipeline, message.steps)
            return advance(before, message, now)
        except InvalidPipeline as error:
            raise Rejected("invalid-pipeline", str(error)) from error
        except Exception as error:  # a bug of ours: to exit would loop; the job's own deadlines still end it
            log.exception("the state machine failed", extra={"type": message.TYPE})
            raise Rejected("internal-error", f"the state machine failed: {error!r}") from error

    def _keep(self, turn: Turn, job: Job) -> list[Message]:
        """Note the rows of the job and its asset; both or none. Returns what must be said about the asset."""
        encoded, before = self._encode(job), self._asset(turn, job.asset_id)
        after = fold_asset(before, job)
        if after is not before or turn.replayed:
            turn.assets[after.id] = (after, self._encode(after))
        turn.jobs[job.id] = (job, encoded)
        return asset_outstanding(after, job) if turn.replayed else asset_news(before, after, job)

    def _encode(self, row: Job | Asset) -> bytes:
        try:
            return encode_row(replace(row, at={}) if row.at else row)
        except RowTooLarge as error:
            raise Rejected("row-too-large", str(error)) from error

    def _tell_clock(self, message: Message, before: Job | None, after: Job, effects: list[Message], now: float) -> None:
        if isinstance(message, StepHeartbeat):
            if not effects:
                self._clock.renew(message, now)
        elif isinstance(message, StepAccepted):
            self._clock.saw_accepted(message, now)
        if after is not before:
            self._clock.watch(after)

    def _job(self, turn: Turn, job_id: str) -> Job | None:
        if job_id in turn.jobs:
            return turn.jobs[job_id][0]
        row = self._jobs.get(job_id)
        return decode_job(row) if row is not None else None

    def _asset(self, turn: Turn, asset_id: str) -> Asset | None:
        if asset_id in turn.assets:
            return turn.assets[asset_id][0]
        row = self._assets.get(asset_id)
        return decode_asset(row) if row is not None else None

    # What comes of a record

    async def _write(self, turn: Turn, topic: str, offset: int) -> None:
        """The rows, and the claim. A changelog is ordered, so only a record's last row may vouch for the record."""
        at = {topic: offset}
        self._app.continuity.claim(topic, turn.partition, offset)
        if not (turn.jobs and turn.assets):
            self._unmarked.add(turn.partition)
        for table, rows in ((self._assets, turn.assets), (self._jobs, turn.jobs)):
            last = next(reversed(rows), None)
            for key, (row, encoded) in rows.items():
                await table.put(key, encode_row(replace(row, at=at)) if key == last else encoded, turn.partition)

    async def _mark(self, partition: int) -> None:
        continuity = self._app.continuity
        sources = (self._topics.commands, self._topics.step_events, self._topics.uploads)
        at = {topic: claimed for topic in sources if (claimed := continuity.claimed(topic, partition)) >= 0}
        key, row = watermark_row(partition, at)
        for table in (self._assets, self._jobs):
            await table.put(key, row, partition)

    async def _say(self, effects: list[Message]) -> None:
        for effect in effects:
            if isinstance(effect, StepRequested):
                await self._request(effect)
            elif isinstance(effect, LeaseRevoked):
                self._app.outbox.put(self._topics.control, 0, _structured(effect))
            else:
                await self._publish(effect)

    async def _request(self, request: StepRequested) -> None:
        """Instant steps share a record; others have one of their own, since a record goes to one executor."""
        topic = self._topics.step_requests(request.step)
        partition = self._request_partition(request.job_id, request.step)
        if step_kinds()[request.step].instant:
            self._app.outbox.put(topic, partition, _structured(request))
            return
        key = f"{request.job_id}/{request.step}".encode()
        await self._app.send_record(topic, partition, key, batch([_structured(request)]), BATCH_HEADERS)

    async def _publish(self, fact: Any) -> None:
        partition = partition_of(fact.asset_id, self._partitions)
        value, headers = binary(
            fact, event_id=event_id(fact), source=SOURCE, subject=fact.asset_id, correlation_id=fact.job_id
        )
        await self._app.send_record(self._topics.events, partition, fact.asset_id.encode(), value, headers)

    async def _bury(self, message: Any, raw: bytes, rejected: Rejected) -> None:
        error = ErrorRecord(code=rejected.code, message=str(rejected))
        value, headers = dead_letter(message, raw, error, "control")
        await self._app.send_record(self._topics.dead_letters, message.partition, message.key, value, headers)

    def _request_partition(self, job_id: str, step: str) -> int:
        return partition_of(f"{job_id}/{step}", self._partitions)


def _structured(effect: StepRequested | LeaseRevoked) -> bytes:
    return structured(
        effect, event_id=event_id(effect), source=SOURCE, subject=effect.asset_id, correlation_id=effect.job_id
    )
