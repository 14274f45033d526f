"""Tokens of signed calls that were used, over all replicas: the first record of a token on media.calls decides.

A token is for one message, but the message's id is a header that nobody has signed: without a memory of tokens, a
captured call could be sent again under another id, to another replica.
"""

import logging
from collections.abc import Iterable, MutableMapping
from typing import Any

import msgspec
from cachetools import FIFOCache

from schemas.access import UsedToken
from streams.ids import derived_id
from streams.kafka.producer import Producer
from streams.kafka.topics import names
from streams.settings import Settings
from web.auth.row_signatures import RowSigner
from web.auth.topic_log import TopicLog
from web.http.problems import unavailable

log = logging.getLogger("kinolog.web")

#: A used token never changes.
_VERSION = 1
#: More than a scheduler sends while its tokens are valid.
_MAX_TOKENS = 100_000


class SignedCalls:
    """The used tokens. It has to run where signed calls are accepted."""

    def __init__(self, settings: Settings, producer: Producer, signer: RowSigner) -> None:
        self._topic, self._signer = names(settings).calls, signer
        self._log = TopicLog[MutableMapping[str, str]](settings, producer, self._topic, _empty, self._fold)
        self.run = self._log.run

    async def claim(self, token_id: str, message_id: str) -> bool:
        """Use a token for a message. False: it was used for another. A repeat is harmless. Raises Problem (503)."""
        if not self._log.caught_up.is_set():
            raise unavailable("not-ready", "the signed calls are still being read from the log: try again", 1)
        token, message = derived_id("call", token_id), derived_id("message", message_id)
        if token not in self._log.state:
            value = msgspec.json.encode(UsedToken(id=token, message=message))
            headers = self._signer.headers(self._topic, token.encode(), _VERSION, value)
            await self._log.write(token, value, headers)
        return self._log.state.get(token) == message

    def _fold(self, used: MutableMapping[str, str], records: Iterable[Any]) -> None:
        for record in records:
            key, value = record.key or b"", record.value or b""
            if self._signer.verify(self._topic, key, value, record.headers) is None:
                log.error("a used token is refused: it is not signed by a replica", extra={"offset": record.offset})
                continue
            row = msgspec.json.decode(value, type=UsedToken)
            used.setdefault(row.id, row.message)


def _empty() -> MutableMapping[str, str]:
    return FIFOCache(_MAX_TOKENS)
