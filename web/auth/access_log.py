"""Tokens and signing keys on media.tokens: written with signatures, and followed by every replica."""

import asyncio
import logging
from collections.abc import Callable

from streams.kafka.producer import Producer
from streams.kafka.topics import names
from streams.settings import Settings
from web.auth.access_rows import SIGNED_FROM_HERE, AccessFold, AccessRows, RefusedRecord
from web.auth.row_signatures import RowSigner
from web.auth.topic_log import TopicLog
from web.http.problems import Problem, unavailable

log = logging.getLogger("kinolog.web")

#: Attempts of a change that other replicas overtake.
_ATTEMPTS = 5
_RETRY_S = 5.0
#: Ids in a log line.
_MAX_LOGGED = 100


class AccessLog:
    """The followed topic; it does not run yet."""

    def __init__(
        self, settings: Settings, producer: Producer, signer: RowSigner, refuse: Callable[[RefusedRecord], None]
    ) -> None:
        """`refuse` is called with every record that does not count, again after a reconnection."""
        self._topic, self._signer = names(settings).tokens, signer
        fold = AccessFold(self._topic, signer, refuse)
        self._log = TopicLog[AccessRows](settings, producer, self._topic, AccessRows, fold)
        #: Set once everything on the log at start has been read.
        self.caught_up = self._log.caught_up

    @property
    def state(self) -> AccessRows:
        """The rows; they change on the event loop only."""
        return self._log.state

    async def run(self) -> None:
        """Follow the topic until cancelled, and sign what earlier versions and secrets have left on it."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._log.run())
            group.create_task(self._sign_outdated())

    async def write(self, row_id: str, value: bytes | None) -> None:
        """Write a row; returns when it is on the log and in `state`. Raises Problem (503)."""
        for _ in range(_ATTEMPTS):
            await self._write(row_id, value)
            if self.state.last[row_id].value == value:
                return
        raise unavailable("broker-unavailable", "other replicas changed it at the same time: try again", 2)

    async def _write(self, row_id: str, value: bytes | None) -> None:
        """Write the next version of a row. It does not count if another replica was faster."""
        version = self.state.version(row_id) + 1
        headers = self._signer.headers(self._topic, row_id.encode(), version, value)
        await self._log.write(row_id, value, headers)

    async def _sign_outdated(self) -> None:
        """Once the topic was read: end its unsigned records, and sign every row that has to be signed again."""
        await self.caught_up.wait()
        while True:
            try:
                if not self.state.are_signed:
                    await self._end_unsigned()
                await self._sign_rows()
                return
            except Problem:  # logged; no broker
                await asyncio.sleep(_RETRY_S)

    async def _end_unsigned(self) -> None:
        taken_over = [row_id for row_id in self.state.outdated() if self.state.last[row_id].value is not None]
        if taken_over:
            extra = {"count": len(taken_over), "row_ids": taken_over[:_MAX_LOGGED]}
            log.warning("unsigned tokens and keys of an earlier version are signed: revoke unknown ones", extra=extra)
        await self._write(SIGNED_FROM_HERE, None)

    async def _sign_rows(self) -> None:
        outdated = self.state.outdated()
        for row_id in outdated:
            record = self.state.last[row_id]
            if record.is_outdated:  # another replica may have signed it meanwhile
                await self._write(row_id, record.value)
        if outdated:
            log.info("tokens and keys signed with the current secret", extra={"count": len(outdated)})
