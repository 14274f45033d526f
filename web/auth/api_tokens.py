"""API tokens: read from media.tokens into memory by every replica, written when one is created or revoked."""

import asyncio
import hashlib
import hmac
import logging
import secrets
import time
from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from msgspec.structs import replace

from schemas.access import TokenRow
from streams.ids import new_id
from streams.kafka.envelope import UNDECODABLE
from streams.kafka.producer import Producer
from streams.kafka.reader import FOLLOWER_MS, fetch_from, open_reader
from streams.kafka.retry import follow_forever
from streams.kafka.topics import names
from streams.settings import Settings
from web.http.problems import unavailable

log = logging.getLogger("kinolog.web")

_POLL_MS = 1_000
_WRITE_S = 5.0
_SECRET_BYTES = 32
#: Digest that the secret of an unknown id is compared with, for constant time.
_NO_DIGEST = "0" * 64


class TokenLog:
    """The tokens that were created with `kinolog token create`. `rows` changes on the event loop only."""

    def __init__(self, settings: Settings, producer: Producer) -> None:
        self._settings = settings
        self._producer = producer
        self._place = TopicPartition(names(settings).tokens, 0)
        self.rows: dict[str, TokenRow] = {}
        #: Set once everything on the log at start has been read.
        self.caught_up = asyncio.Event()
        self._next_offset = 0
        self._moved = asyncio.Condition()

    def find(self, token: str, now: float) -> TokenRow | None:
        """Find the row of an active token, in constant time."""
        token_id, _, secret = token.partition(".")
        row = self.rows.get(token_id)
        genuine = hmac.compare_digest(_digest(secret), row.digest if row else _NO_DIGEST)
        return row if row is not None and genuine and is_active(row, now) else None

    async def create(self, draft: TokenRow) -> tuple[TokenRow, str]:
        """Write a token with a new id and secret. Returns the row and the token, which cannot be recovered later.

        Raises Problem (503).
        """
        secret = secrets.token_urlsafe(_SECRET_BYTES)
        row = replace(draft, id=new_id("tok"), digest=_digest(secret))
        await self._write(row)
        return row, f"{row.id}.{secret}"

    async def revoke(self, row: TokenRow, now: float) -> TokenRow:
        """Revoke a token on every replica. A repeat is harmless. Raises Problem (503)."""
        revoked = row if row.revoked_at is not None else replace(row, revoked_at=now)
        await self._write(revoked)
        return revoked

    async def _write(self, row: TokenRow) -> None:
        """Write the row; returns when it is on the log and in `rows`."""
        try:
            async with asyncio.timeout(_WRITE_S):
                delivery = await self._producer.send(
                    self._place.topic,
                    0,
                    row.id.encode(),
                    msgspec.json.encode(row),
                    [("content-type", b"application/json")],
                )
                offset = (await delivery).offset
                async with self._moved:
                    await self._moved.wait_for(lambda: self._next_offset > offset)
        except (KafkaError, TimeoutError) as error:
            log.warning("token not written", extra={"error": repr(error)})
            raise unavailable(
                "broker-unavailable", "the log did not respond in time: check the list of tokens", 2
            ) from error

    async def run(self) -> None:
        """Follow the topic until cancelled."""
        await follow_forever("api tokens", self._connect, self._read)

    def _connect(self) -> AbstractAsyncContextManager[Any]:
        client_id = f"kinolog-web-{self._settings.web.replica}"
        return open_reader(
            self._settings.cluster, [self._place], reset="earliest", wait_ms=FOLLOWER_MS, client_id=client_id
        )

    async def _read(self, consumer: Any) -> None:
        """Read from the start of the log, into a new map until it has caught up."""
        end = (await consumer.end_offsets([self._place]))[self._place]
        fetch_from(consumer, await consumer.beginning_offsets([self._place]))
        rows: dict[str, TokenRow] = {}
        while True:
            position = await consumer.position(self._place)
            if position >= end and rows is not self.rows:
                self.rows = rows
                self.caught_up.set()
            await self._note(position)
            batch = await consumer.getmany(self._place, timeout_ms=_POLL_MS)
            fold(rows, batch.get(self._place, ()))

    async def _note(self, position: int) -> None:
        async with self._moved:
            self._next_offset = position
            self._moved.notify_all()


def fold(rows: dict[str, TokenRow], records: Iterable[Any]) -> None:
    """Apply records: the last of a key counts. An unreadable one invalidates its token and is logged."""
    for record in records:
        token_id = (record.key or b"").decode(errors="replace")
        rows.pop(token_id, None)
        if record.value is None:
            continue
        try:
            row = msgspec.json.decode(record.value, type=TokenRow)
        except UNDECODABLE as error:
            log.error("unreadable token", extra={"token_id": token_id, "offset": record.offset, "reason": str(error)})  # noqa: TRY400
        else:
            rows[token_id] = row


def is_active(row: TokenRow, now: float) -> bool:
    """Whether the token is neither revoked nor expired."""
    return row.revoked_at is None and (row.expires_at is None or now < row.expires_at)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="surrogateescape")).hexdigest()


def new_row(**fields: Any) -> TokenRow:
    """A row without id and digest, which `create` adds."""
    return TokenRow(id="", digest="", created_at=time.time(), **fields)
