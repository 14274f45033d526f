"""The audit: requests and their results -> media.audit, one chain of entries per run of this replica."""

import asyncio
import logging
import time
from collections import deque
from typing import Any, NamedTuple

from aiohttp import web
from aiohttp.typedefs import Middleware
from aiokafka.errors import KafkaError

from schemas.audit import AuditRecorded
from streams.audit import Chain, Sealed, last_link
from streams.ids import new_id
from streams.kafka.producer import Producer
from streams.kafka.topics import names
from streams.settings import Settings
from web.auth.middleware import PRINCIPAL, client_ip
from web.http.problems import CODE, REQUEST_ID
from web.http.routing import Handler, route_of
from web.http.token_bucket import Buckets

log = logging.getLogger("kinolog.web")

_RETRY_S = 1.0
#: Entries that wait for the broker; beyond that new ones are counted in the log.
_MOST_WAITING = 10_000
_BATCH = 200
#: Longest wait of a response for its entry, seconds. The write itself is on the log already.
_WAIT_S = 5.0
#: Recorded refusals per IP address, burst and per second: a flood of requests must not flood the log.
_REFUSALS_BURST, _REFUSALS_PER_S = 50.0, 1.0
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
#: Fields of an entry that `Chain.seal` fills in.
UNPLACED: dict[str, Any] = {"chain": "", "seq": 0, "prev": ""}


class _Waiting(NamedTuple):
    entry: AuditRecorded
    written: asyncio.Future[None]


class Audit:
    """Writer of `media.audit`. Entries wait while there is no broker."""

    def __init__(self, settings: Settings, producer: Producer) -> None:
        self._settings = settings
        self._producer = producer
        self.topic = names(settings).audit
        self._waiting: deque[_Waiting] = deque()
        self._news = asyncio.Event()
        #: Entries dropped because too many were waiting, and those of them that the log has not told.
        self.dropped = self._untold = 0
        #: Whether the broker accepts entries now: otherwise no response waits for its entry.
        self.flowing = False

    def record(self, entry: AuditRecorded) -> asyncio.Future[None]:
        """Queue an entry; the future resolves when the broker has it."""
        written = asyncio.get_running_loop().create_future()
        if len(self._waiting) >= _MOST_WAITING:
            self._drop(entry)
            written.set_result(None)
            return written
        self._waiting.append(_Waiting(entry, written))
        self._news.set()
        return written

    def _drop(self, entry: AuditRecorded) -> None:
        """Log the first one, and then how many there were, once a second: a flood must not fill the disk."""
        self.dropped += 1
        if not self._untold:
            log.error("audit entry dropped", extra={"action": entry.action, "request_id": entry.request_id})
            asyncio.get_running_loop().call_later(_RETRY_S, self._tell_dropped)
        self._untold += 1

    def _tell_dropped(self) -> None:
        further, self._untold = self._untold - 1, 0
        if further:
            log.error("audit entries dropped", extra={"count": further})

    async def run(self) -> None:
        """Write until cancelled. A new chain is opened once there is a broker."""
        chain = Chain(f"{self._settings.web.replica}/{new_id('chain')}")
        await self._deliver([chain.seal(await self._opening())])
        while True:
            await self._news.wait()
            self._news.clear()
            while self._waiting:
                group = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
                await self._deliver([chain.seal(waiting.entry) for waiting in group])
                for waiting in group:
                    if not waiting.written.done():
                        waiting.written.set_result(None)

    async def _opening(self) -> AuditRecorded:
        while True:
            try:
                after = await last_link(self._settings)
                return AuditRecorded(**UNPLACED, at=time.time(), action="open", after=after)
            except (KafkaError, OSError, TimeoutError) as error:
                log.warning("audit log unreachable", extra={"error": repr(error)})
                await asyncio.sleep(_RETRY_S)

    async def _deliver(self, group: list[Sealed]) -> None:
        """Send all entries in order, retrying until delivered; readers recognise a repeat by its hash."""
        while True:
            try:
                deliveries = [await self._producer.send(self.topic, 0, None, one.value, one.headers) for one in group]
                await asyncio.gather(*deliveries)
                self.flowing = True
                return
            except (KafkaError, OSError) as error:
                log.warning("audit entries not delivered, retrying", extra={"error": repr(error)})
                self.flowing = False
                await asyncio.sleep(_RETRY_S)


def auditing(audit: Audit, trusted_proxies: int) -> Middleware:
    """Middleware that records every request that could change something, and every refusal.

    A response is sent when its entry is on the log, unless that takes too long.
    """
    refusals = Buckets()

    @web.middleware
    async def audited(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        remote = client_ip(request, trusted_proxies)
        is_refusal = response.status in (401, 403, 429)
        if request.method in _SAFE and response.status not in (401, 403):
            return response
        if is_refusal and refusals.wait_s(remote, time.monotonic(), per_s=_REFUSALS_PER_S, burst=_REFUSALS_BURST):
            return response
        written = audit.record(entry_of(request, response, remote))
        if audit.flowing and not is_refusal and response.status < 500:
            _, late = await asyncio.wait([written], timeout=_WAIT_S)
            if late:
                audit.flowing = False
        return response

    return audited


def entry_of(request: web.Request, response: web.StreamResponse, remote: str) -> AuditRecorded:
    """The audit entry of a request, without query, body and token."""
    route, principal = route_of(request), request.get(PRINCIPAL)
    refused = 400 <= response.status < 500
    return AuditRecorded(
        **UNPLACED,
        at=time.time(),
        action=f"{request.method} {route.path if route else '?'}",
        subject=request.path[:500],
        result="done" if response.status < 400 else "refused" if refused else "failed",
        status=response.status,
        code=response.get(CODE),
        owner=principal.owner if principal else None,
        role=principal.role if principal else None,
        token_id=principal.token_id if principal else None,
        remote=remote,
        request_id=request.get(REQUEST_ID),
    )
