"""RequestIntake: pulls requests when there is capacity, accepts them, then acknowledges them."""

import asyncio
import logging
from typing import Any

from aiokafka.errors import KafkaError

from agents.executor.capacity import CpuBudget, PausedQueues
from agents.executor.priorities import Precedence
from agents.executor.reports import Fatal
from agents.executor.requests import InvalidRequest, RequestPuller, requests_of
from agents.executor.running import RunningAttempts, StepRuntime
from schemas.base import ErrorRecord
from schemas.jobs import Priority
from streams.kafka.dead_letters import dead_letter
from streams.kafka.producer import Producer
from streams.kafka.topics import names, request_queue
from streams.settings import Settings

log = logging.getLogger(__name__)


class RequestIntake:
    """The requests of one executor, on their way from the topics to its running attempts."""

    def __init__(
        self,
        settings: Settings,
        *,
        attempts: RunningAttempts,
        paused: PausedQueues,
        budget: CpuBudget,
        producer: Producer,
        fatal: Fatal,
    ) -> None:
        self._settings, self._topics = settings, names(settings)
        self._attempts, self._paused, self._budget = attempts, paused, budget
        self._producer, self._fatal = producer, fatal
        self._is_closing = False
        #: Set once requests may be pulled.
        self.is_open = asyncio.Event()

    @property
    def is_pulling(self) -> bool:
        """Whether requests are pulled at all."""
        return self.is_open.is_set() and not self._is_closing

    def close(self) -> None:
        """Pull no further requests."""
        self._is_closing = True

    async def serve(self, runtime: StepRuntime, stream: Any, priority: Priority, precedence: Precedence) -> None:
        """Handle the stream of one topic until the app stops."""
        await self.is_open.wait()
        puller = RequestPuller(stream)
        precedence.register(priority, puller.waiting)
        try:
            while True:
                await self._wait_for_capacity(runtime, priority, precedence)
                events = await puller.batch(1 if runtime.kind.heavy else runtime.slots.free)
                if self._paused.is_paused(runtime.kind.name):
                    await self._put_back(events)
                    continue
                precedence.took(priority, len(events))
                await self._take(events, runtime.kind.name, priority)
        except StopAsyncIteration:
            return  # the app is stopping
        finally:
            puller.close()

    async def _wait_for_capacity(self, runtime: StepRuntime, priority: Priority, precedence: Precedence) -> None:
        """Return when a request may be pulled. A pulled request delays every rebalance until it is acknowledged."""
        await self._paused.wait_resumed(runtime.kind.name)
        await runtime.slots.wait_free()
        if runtime.kind.heavy:
            await self._budget.wait_free()
        if not precedence.may_go(priority):
            await precedence.turn(priority)
            await self._wait_for_capacity(runtime, priority, precedence)  # it may be gone by now
        if self._is_closing:
            await asyncio.Event().wait()  # for ever: the app cancels this agent when it stops

    async def _put_back(self, events: list[Any]) -> None:
        """Move requests to the end of their partition: the queue was paused while they were pulled, and holding them
        would delay every rebalance.
        """
        for event in events:
            record = event.message
            headers = list(dict(record.headers or ()).items())
            try:
                await self._producer.deliver(record.topic, record.partition, record.key, record.value or b"", headers)
            except KafkaError as error:
                self._fatal("a request can never be returned to its queue", error=repr(error))
            event.ack()

    async def _take(self, events: list[Any], step: str, priority: Priority) -> None:
        """Accept the requests of the events, then acknowledge them, in order. Never raises."""
        try:
            await self._accept(events, step, priority)
        except Exception:  # a bug: an event that raises here would be redelivered for ever
            log.exception("requests failed", extra={"step": step})
            for event in events:
                await self._accept_or_dead_letter(event, step, priority)
        for event in events:
            event.ack()

    async def _accept(self, events: list[Any], step: str, priority: Priority) -> None:
        queues = [request_queue(e.message.partition, priority, self._settings.partitions) for e in events]
        parsed = [requests_of(e.message, step, queue) for e, queue in zip(events, queues, strict=True)]
        await self._attempts.accept([request for requests, _ in parsed for request in requests])
        for invalid in [entry for _, entries in parsed for entry in entries]:
            await self.dead_letter(invalid)

    async def _accept_or_dead_letter(self, event: Any, step: str, priority: Priority) -> None:
        """Accept one event of a failed batch. A request that was accepted with the batch is dropped as a repeat."""
        try:
            await self._accept([event], step, priority)
        except Exception as error:
            log.exception("request failed", extra={"step": step})
            record = ErrorRecord(code="internal-error", message=repr(error))
            await self.dead_letter(InvalidRequest(event.message, event.message.value or b"", record))

    async def dead_letter(self, invalid: InvalidRequest) -> None:
        """Send an invalid request to the dead letters. Returns when the broker has it."""
        message = invalid.message
        letter = dead_letter(message, invalid.raw, invalid.error, "executor")
        try:
            await self._producer.deliver(self._topics.dead_letters, message.partition, *letter)
        except KafkaError as error:
            self._fatal("a dead letter can never be delivered", error=repr(error))
