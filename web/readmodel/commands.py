"""Writes: commands -> media.commands, answered when the broker has them."""

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.clock import ClockProbed
from schemas.commands import CancelJob, DeleteAsset, DeleteJob, PauseQueue, ResumeQueue, RetryJob, SubmitJob
from streams.ids import new_id
from streams.kafka import patch_connection
from streams.kafka.batch_sender import MAX_BATCH_BYTES
from streams.kafka.envelope import structured
from streams.kafka.outbox import Outbox
from streams.kafka.partitioner import partition_of
from streams.kafka.retry import retry_forever
from streams.kafka.topics import names
from streams.settings import Settings
from tables.queues import queue_key
from web.http.cursors import WriteCursor
from web.http.problems import Problem, unavailable
from web.readmodel.position import Position

log = logging.getLogger("kinolog.web")

QueueCommand = PauseQueue | ResumeQueue
Command = SubmitJob | CancelJob | RetryJob | DeleteJob | DeleteAsset | QueueCommand

#: Seconds after which a write is given up; the producer gives up before that, so that the outcome is mostly known.
_WRITE_S = 5.0
_PRODUCER_S = 4.0
#: Source: Kafka protocol guide, record batch attributes, timestampType.
_LOG_APPEND_TIME = 1
#: Latest writes whose place is remembered, so that their author finds them here at once.
_REMEMBERED = 10_000


class Commands:
    """The way to `media.commands`. Connects by itself, now or when there is a broker."""

    def __init__(self, settings: Settings, position: Position) -> None:
        self._settings = settings
        self._position = position
        self._topic = names(settings).commands
        self._producer: AIOKafkaProducer | None = None
        self._outbox = Outbox(self._send)
        self._recent: OrderedDict[str, WriteCursor] = OrderedDict()

    async def run(self) -> None:
        """Connect and stay connected until cancelled."""
        try:
            await retry_forever("commands", self._connect)
            await asyncio.Event().wait()  # the producer finds a broker that was away by itself
        finally:
            await self._disconnect()

    def require_connection(self) -> None:
        """Refuse before any work is done where a write cannot succeed. Raises Problem (503)."""
        if self._producer is None or self._position.log is None:
            raise unavailable("broker-unavailable", "the log cannot be reached at the moment; nothing was changed", 2)

    async def send(self, commands: Sequence[Command]) -> WriteCursor:
        """Write all, each to its asset's partition; returns when the broker has them.

        Raises Problem (503): then they may still arrive, which is harmless to repeat with an Idempotency-Key.
        """
        self.require_connection()
        placed = [(partition_of(_key(command), self._settings.partitions), command) for command in commands]
        answers = [self._outbox.put(self._topic, partition, _event(command)) for partition, command in placed]
        try:
            async with asyncio.timeout(_WRITE_S):
                records = await asyncio.gather(*(asyncio.shield(answer) for answer in answers))
        except (KafkaError, TimeoutError) as error:
            log.warning("commands were not delivered", extra={"count": len(commands), "error": repr(error)})
            raise unavailable(
                "broker-unavailable", "the log did not answer in time; it is not known whether this was written", 2
            ) from error
        return self._remember(
            commands, [(partition, record.offset) for (partition, _), record in zip(placed, records, strict=True)]
        )

    async def date(self) -> float:
        """The date that the broker gives a record that is written now, seconds since the epoch.

        Raises Problem (503) without a connection, or where the topic does not date records by the broker's clock.
        """
        if self._producer is None:
            raise unavailable("broker-unavailable", "the log cannot be reached at the moment", 2)
        replica = self._settings.web.replica
        probe = structured(
            ClockProbed(replica=replica), event_id=new_id("probe"), source=f"kinolog/{replica}", subject=replica
        )
        async with asyncio.timeout(_WRITE_S):
            record = await asyncio.shield(self._outbox.put(names(self._settings).progress, 0, probe))
        if record.timestamp_type != _LOG_APPEND_TIME:
            raise unavailable("broker-unavailable", "the log does not date its records: run `kinolog topics apply`", 5)
        return float(record.timestamp) / 1000

    def recent(self, an_id: str) -> WriteCursor | None:
        """Where the last write to this job or asset stands, when it was made here and not long ago."""
        return self._recent.get(an_id)

    def _remember(self, commands: Sequence[Command], places: Sequence[tuple[int, int]]) -> WriteCursor:
        mark = self._position.log or ""
        cursors = [WriteCursor(mark, {partition: offset}) for partition, offset in places]
        for command, cursor in zip(commands, cursors, strict=True):
            self._recent[_key(command)] = cursor
            if (job_id := _job_id(command)) is not None:
                self._recent[job_id] = cursor
        while len(self._recent) > _REMEMBERED:
            self._recent.popitem(last=False)
        return WriteCursor.merge(mark, cursors)

    async def _connect(self) -> None:
        patch_connection.install()
        producer = AIOKafkaProducer(
            bootstrap_servers=self._settings.bootstrap,
            client_id=f"kinolog-web-{self._settings.web.replica}",
            acks="all",
            request_timeout_ms=int(_PRODUCER_S * 1000),
            max_batch_size=MAX_BATCH_BYTES,
        )
        try:
            await producer.start()
        except BaseException:
            await producer.stop()
            raise
        self._producer = producer

    async def _disconnect(self) -> None:
        if self._producer is None:
            return
        with contextlib.suppress(
            KafkaError, TimeoutError
        ):  # whoever waits for an answer was told; there is nobody else
            async with asyncio.timeout(1.0):
                await self._outbox.close()
                await self._producer.stop()
        self._producer = None

    async def _send(
        self, topic: str, partition: int, key: bytes | None, value: bytes, headers: list[tuple[str, bytes]]
    ) -> Awaitable[Any]:
        if self._producer is None:
            raise Problem(503, "broker-unavailable", "the service is stopping")
        answer: Awaitable[Any] = await self._producer.send(topic, value, key, partition, headers=headers)
        return answer


def _event(command: Command) -> bytes:
    return structured(
        command,
        event_id=_event_id(command),
        source="kinolog/web",
        subject=_key(command),
        correlation_id=_job_id(command),
    )


def _key(command: Command) -> str:
    """What it is partitioned by."""
    return queue_key(command.step) if isinstance(command, QueueCommand) else command.asset_id


def _job_id(command: Command) -> str | None:
    return None if isinstance(command, DeleteAsset | QueueCommand) else command.job_id


def _event_id(command: Command) -> str:
    """The same for a repeat, except where it is not said which run, or which asset of that id, was meant."""
    if isinstance(command, SubmitJob):
        return f"{command.job_id}/submit"
    if isinstance(command, RetryJob):
        return f"{command.job_id}/{command.run}/retry"
    if isinstance(command, DeleteJob):
        return f"{command.job_id}/delete"
    return f"{_job_id(command) or _key(command)}/{new_id('command')}"
