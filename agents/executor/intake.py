"""RequestIntake: accepts the requests that are addressed to this executor, and refuses those that it has no slot for.

Nothing is acknowledged: the dispatcher gives a request that is not accepted in time to another executor.
"""

import asyncio
import contextvars
import logging
from collections.abc import Collection, Coroutine
from typing import Any

from aiokafka.errors import KafkaError

from agents.executor.attempts import Attempt
from agents.executor.reports import Fatal
from agents.executor.requests import InvalidRequest, objection
from agents.executor.running import Request, RunningAttempts
from agents.executor.session import ExecutorSession
from schemas.base import ErrorRecord
from schemas.executors import PokeExecutor
from schemas.step_events import StepRequested
from streams.kafka.dead_letters import dead_letter
from streams.kafka.envelope import Entry, Unreadable, read
from streams.kafka.producer import Producer
from streams.kafka.topics import names
from streams.settings import Settings

log = logging.getLogger(__name__)


class RequestIntake:
    """The requests of one executor, on their way from its address to its running attempts."""

    def __init__(
        self,
        settings: Settings,
        *,
        steps: Collection[str],
        attempts: RunningAttempts,
        session: ExecutorSession,
        producer: Producer,
        fatal: Fatal,
    ) -> None:
        self._topics, self._partitions, self._steps = names(settings), settings.partitions, steps
        self._attempts, self._session = attempts, session
        self._producer, self._fatal = producer, fatal
        #: Accepted, to be claimed together.
        self._admitted: list[Attempt] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def receive(self, record: Any) -> None:
        """Handle a record of the address. Never raises."""
        for entry in read(record.value, record.headers):
            try:
                self._receive(entry)
            except InvalidEntry as invalid:
                await self.dead_letter(InvalidRequest(record, entry.content, invalid.error))
            except Exception as error:  # a bug: the request is given to another executor
                log.exception("request failed")
                internal_error = ErrorRecord(code="internal-error", message=repr(error))
                await self.dead_letter(InvalidRequest(record, entry.content, internal_error))
        self._begin()

    def _receive(self, entry: Entry | Unreadable) -> None:
        if isinstance(entry, Unreadable):
            raise InvalidEntry(entry.code, entry.reason)
        message = entry.message
        if isinstance(message, PokeExecutor):
            if message.to == self._session.id:
                self._answer(message.poke)
        elif isinstance(message, StepRequested):
            if message.to == self._session.id and message.dispatcher >= self._session.poke:
                self._take(Request(message, entry.event.id))
        else:
            raise InvalidEntry("unexpected-type", f"{message.TYPE} is not a step request")

    def _answer(self, poke: int) -> None:
        """Answer a poke once the claims of what was accepted before it are on the log."""
        self._session.poked(poke)
        self._begin()
        self._keep(self._answer_after(tuple(self._tasks), poke))

    async def _answer_after(self, claims: tuple[asyncio.Task[None], ...], poke: int) -> None:
        if claims:
            await asyncio.wait(claims)
        self._session.answer(poke)

    def _begin(self) -> None:
        admitted, self._admitted = self._admitted, []
        if admitted:
            self._keep(self._attempts.begin(admitted))

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` in a context of its own: it outlives the handling of its record."""
        task = asyncio.create_task(work, context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _take(self, request: Request) -> None:
        requested = request.requested
        if reason := objection(requested):
            raise InvalidEntry("invalid-message", reason)
        if self._attempts.is_known(requested):
            return
        is_offered = requested.step in self._steps and self._session.has_store
        if not is_offered or self._session.is_draining or not self._attempts.has_room(requested):
            self._session.refuse(requested)
        elif (attempt := self._attempts.admit(request)) is not None:
            self._admitted.append(attempt)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fatal("attempts could not begin", error=repr(error))

    async def dead_letter(self, invalid: InvalidRequest) -> None:
        """Send an invalid request to the dead letters. Returns when the broker has it."""
        message = invalid.message
        letter = dead_letter(message, invalid.raw, invalid.error, "executor")
        partition = message.partition % self._partitions
        try:
            await self._producer.deliver(self._topics.dead_letters, partition, *letter)
        except KafkaError as error:
            self._fatal("a dead letter can never be delivered", error=repr(error))


class InvalidEntry(Exception):
    """An entry is not a valid request."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.error = ErrorRecord(code=code, message=reason)
