"""Requests are accepted, then acknowledged; one that fails costs no other."""

from types import SimpleNamespace
from typing import Any

from agents.executor.capacity import CpuBudget, PausedQueues
from agents.executor.intake import RequestIntake
from agents.executor.running import Request
from schemas.facts import DeadLetter
from streams.kafka.envelope import Entry, read
from streams.settings import Settings
from tests.unit.agents.executor.fakes import entry, record, request


class FailingAttempts:
    """Accepts every request but one."""

    def __init__(self, failing_job_id: str) -> None:
        self.failing_job_id, self.accepted = failing_job_id, list[str]()

    async def accept(self, requests: list[Request]) -> None:
        job_ids = [request.requested.job_id for request in requests]
        if self.failing_job_id in job_ids:
            raise RuntimeError("a bug")
        self.accepted += job_ids


async def test_a_request_that_fails_does_not_take_its_batch_with_it() -> None:
    letters: list[Any] = []

    async def deliver(_topic: str, _partition: int, _key: Any, value: bytes, headers: Any) -> None:
        letters.extend(found.message for found in read(value, headers) if isinstance(found, Entry))

    attempts: Any = FailingAttempts("job_2")
    producer: Any = SimpleNamespace(deliver=deliver)
    intake = RequestIntake(
        Settings(),
        attempts=attempts,
        paused=PausedQueues(["plain"]),
        budget=CpuBudget(1),
        producer=producer,
        fatal=print,
    )
    events = [SimpleNamespace(message=record(entry(request(f"job_{n}"))), is_acked=False) for n in (1, 2, 3)]
    for event in events:
        event.ack = lambda event=event: setattr(event, "is_acked", True)
    await intake._take(events, "plain", "normal")
    assert attempts.accepted == ["job_1", "job_3"]
    assert [(type(letter), letter.error.code) for letter in letters] == [(DeadLetter, "internal-error")]
    assert all(event.is_acked for event in events)
