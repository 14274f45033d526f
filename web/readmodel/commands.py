"""The sender of commands to `media.commands`: it returns once the broker has acknowledged them."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from cachetools import FIFOCache

from schemas.clock import ClockProbed
from schemas.commands import CancelJob, DeleteAsset, DeleteJob, RetryJob, SubmitJob
from streams.ids import new_id
from streams.kafka import patch_connection
from streams.kafka.batch_sender import MAX_BATCH_BYTES
from streams.kafka.envelope import structured
from streams.kafka.outbox import Outbox
from streams.kafka.partitioner import partition_of
from streams.kafka.producer import stop_producer
from streams.kafka.retry import retry_forever
from streams.kafka.topics import names
from streams.settings import Settings
from tables.queues import QueueCommand, queue_key
from tables.source_urls import secret_url, with_public_url
from web.http.cursors import WriteCursor
from web.http.problems import Problem, unavailable
from web.readmodel.position import Position

log = logging.getLogger("kinolog.web")

Command = SubmitJob | CancelJob | RetryJob | DeleteJob | DeleteAsset | QueueCommand

#: Timeout of a write. The producer's is shorter, so that the outcome is mostly known.
_WRITE_S = 5.0
_PRODUCER_S = 4.0
#: Seconds to send pending records when the process stops, and to end the connections.
_STOP_S = 0.5
#: Connections to the broker. Each has one request in progress, in which the broker syncs one partition after another:
#: beside two encoders 200 records a second on 8 partitions took 60 ms (p50) by one connection, 6.5 ms by two to eight.
_CONNECTIONS = 4
#: Source: Kafka protocol guide, record batch attributes, timestampType.
_LOG_APPEND_TIME = 1
#: Latest writes whose cursor is kept, so that this replica reads its own writes.
_MAX_RECENT = 10_000


class Commands:
    """Sender of commands. It connects by itself, as soon as there is a broker."""

    def __init__(self, settings: Settings, position: Position) -> None:
        self._settings = settings
        self._position = position
        self._topic = names(settings).commands
        #: Empty until there is a broker. A partition is written by one of them.
        self._producers: list[AIOKafkaProducer] = []
        self._outbox = Outbox(self._send)
        #: Cursor and owner by id.
        self._recent: FIFOCache[str, tuple[WriteCursor, str | None]] = FIFOCache(_MAX_RECENT)

    async def run(self) -> None:
        """Connect and stay connected until cancelled."""
        try:
            await retry_forever("commands", self._connect)
            await asyncio.Event().wait()  # the producers reconnect by themselves
        finally:
            await self._disconnect()

    @property
    def is_connected(self) -> bool:
        """Whether there has been a broker."""
        return bool(self._producers)

    def require_connection(self) -> None:
        """Raise Problem (503) when a write cannot succeed, before any work is done."""
        if not self.is_connected or self._position.log is None:
            raise unavailable("broker-unavailable", "the log cannot be reached, nothing was changed: try again", 2)

    async def send(self, commands: Sequence[Command]) -> WriteCursor:
        """Write all commands, each to its asset's partition; returns once the broker has acknowledged them.

        Raises Problem (503): the outcome is unknown then; a repeat with an Idempotency-Key is harmless.
        """
        self.require_connection()
        commands = await self._with_urls_apart(commands)
        targets = [(partition_of(_key(command), self._settings.partitions), command) for command in commands]
        pending = [self._outbox.put(self._topic, partition, _event(command)) for partition, command in targets]
        records = await _delivered(pending)
        return self._keep_cursors(
            commands, [(partition, record.offset) for (partition, _), record in zip(targets, records, strict=True)]
        )

    async def _with_urls_apart(self, commands: Sequence[Command]) -> Sequence[Command]:
        """The commands without secret parts of URLs, which are on the log apart from them. Raises Problem (503)."""
        secrets = {n: url for n, command in enumerate(commands) if (url := _secret_url(command)) is not None}
        if not secrets:
            return commands
        records = await _delivered([self._keep_url(commands[n], url) for n, url in secrets.items()])
        offsets = dict(zip(secrets, (record.offset for record in records), strict=True))
        return [
            with_public_url(command, offsets[n]) if n in offsets and isinstance(command, SubmitJob) else command
            for n, command in enumerate(commands)
        ]

    async def _keep_url(self, command: Command, url: str) -> Any:
        key, partition = _job_id(command) or "", partition_of(_key(command), self._settings.partitions)
        topic = names(self._settings).source_urls
        return await (await self._send(topic, partition, key.encode(), url.encode(), []))

    async def date(self) -> float:
        """Write a record and return its timestamp by the broker's clock, seconds since the epoch.

        Raises Problem (503) without a connection, or where the topic does not use the broker's timestamps.
        """
        if not self.is_connected:
            raise unavailable("broker-unavailable", "the log cannot be reached: try again", 2)
        replica = self._settings.web.replica
        probe = structured(
            ClockProbed(replica=replica), event_id=new_id("probe"), source=f"kinolog/{replica}", subject=replica
        )
        async with asyncio.timeout(_WRITE_S):
            record = await asyncio.shield(self._outbox.put(names(self._settings).progress, 0, probe))
        if record.timestamp_type != _LOG_APPEND_TIME:
            raise unavailable("broker-unavailable", "the log has no broker timestamps: run `kinolog topics apply`", 5)
        return float(record.timestamp) / 1000

    def recent(self, an_id: str, owner: str | None) -> WriteCursor | None:
        """Cursor of the last write to this job or asset, if it was made here recently, by the owner (None: anybody).

        Whoever waited for another owner's write would learn of it.
        """
        cursor, writer = self._recent.get(an_id, (None, None))
        return cursor if owner in (None, writer) else None

    def _keep_cursors(self, commands: Sequence[Command], positions: Sequence[tuple[int, int]]) -> WriteCursor:
        mark = self._position.log or ""
        cursors = [WriteCursor(mark, {partition: offset}) for partition, offset in positions]
        for command, cursor in zip(commands, cursors, strict=True):
            write = cursor, command.owner if isinstance(command, SubmitJob) else command.requested_by
            self._recent[_key(command)] = write
            if (job_id := _job_id(command)) is not None:
                self._recent[job_id] = write
        return WriteCursor.merge(mark, cursors)

    async def _connect(self) -> None:
        patch_connection.install()
        async with contextlib.AsyncExitStack() as unless_all_start:
            count = min(_CONNECTIONS, self._settings.partitions)
            self._producers = [await self._started(unless_all_start) for _ in range(count)]
            unless_all_start.pop_all()

    async def _started(self, unless_all_start: contextlib.AsyncExitStack) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            **self._settings.cluster.client_options(),
            client_id=f"kinolog-web-{self._settings.web.replica}",
            acks="all",
            request_timeout_ms=int(_PRODUCER_S * 1000),
            max_batch_size=MAX_BATCH_BYTES,
        )
        unless_all_start.push_async_callback(producer.stop)
        await producer.start()
        await self._fetch_metadata(producer)
        return producer

    async def _fetch_metadata(self, producer: AIOKafkaProducer) -> None:
        """Of the topics that are written: the first send to each would wait 100 ms for it."""
        topics = names(self._settings)
        for topic in (topics.commands, topics.progress, topics.source_urls):
            await producer.partitions_for(topic)

    async def _disconnect(self) -> None:
        with contextlib.suppress(KafkaError, TimeoutError):  # callers that wait have timed out already
            async with asyncio.timeout(_STOP_S):
                await self._outbox.close()
        with contextlib.suppress(KafkaError):  # likewise
            await asyncio.gather(*(stop_producer(producer, _STOP_S) for producer in self._producers))
        self._producers = []

    async def _send(
        self, topic: str, partition: int, key: bytes | None, value: bytes, headers: list[tuple[str, bytes]]
    ) -> Awaitable[Any]:
        if not self._producers:
            raise Problem(503, "broker-unavailable", "the service is stopping")
        producer = self._producers[partition % len(self._producers)]
        delivery: Awaitable[Any] = await producer.send(topic, value, key, partition, headers=headers)
        return delivery


async def _delivered(pending: Sequence[Awaitable[Any]]) -> list[Any]:
    """The records, once the broker has them. Raises Problem (503): the outcome is unknown then."""
    try:
        async with asyncio.timeout(_WRITE_S):
            return await asyncio.gather(*(asyncio.shield(record) for record in pending))
    except (KafkaError, TimeoutError) as error:
        log.warning("commands were not delivered", extra={"count": len(pending), "error": repr(error)})
        raise unavailable(
            "broker-unavailable", "the log did not respond in time: it is not known whether this was written", 2
        ) from error


def _secret_url(command: Command) -> str | None:
    return secret_url(command) if isinstance(command, SubmitJob) else None


def _event(command: Command) -> bytes:
    return structured(
        command,
        event_id=_event_id(command),
        source="kinolog/web",
        subject=_key(command),
        correlation_id=_job_id(command),
    )


def _key(command: Command) -> str:
    """The partition key of a command."""
    return queue_key(command.step) if isinstance(command, QueueCommand) else command.asset_id


def _job_id(command: Command) -> str | None:
    return None if isinstance(command, DeleteAsset | QueueCommand) else command.job_id


def _event_id(command: Command) -> str:
    """Event id. A repeat has the same, except for commands that do not name a run or one of several assets of an id."""
    if isinstance(command, SubmitJob):
        return f"{command.job_id}/submit"
    if isinstance(command, RetryJob):
        return f"{command.job_id}/{command.run}/retry"
    if isinstance(command, DeleteJob):
        return f"{command.job_id}/delete"
    return f"{_job_id(command) or _key(command)}/{new_id('command')}"
