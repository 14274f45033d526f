"""Requests are taken from the address by the executor that they name, and an invalid one affects no other."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from agents.executor.intake import RequestIntake
from agents.executor.running import Request
from schemas.base import Message
from schemas.executors import HeldAttempt, PokeExecutor
from schemas.facts import DeadLetter
from schemas.step_events import AttemptReleased, StepRequested
from streams.kafka.envelope import Entry, read
from streams.settings import Settings
from tests.conftest import eventually
from tests.unit.agents.executor.fakes import entry, record, request


class FakeAttempts:
    """Has room for two attempts; one of the jobs is a bug."""

    def __init__(self) -> None:
        self.admitted: list[str] = []
        self.begun: list[str] = []
        self.log_is_available = asyncio.Event()
        self.log_is_available.set()

    def is_known(self, requested: StepRequested) -> bool:
        return requested.job_id in self.admitted

    def has_room(self, _step: str) -> bool:
        return len(self.admitted) < 2

    def admit(self, request: Request) -> str:
        if request.requested.job_id == "bug":
            raise RuntimeError("a bug")
        self.admitted.append(request.requested.job_id)
        return request.requested.job_id

    async def begin(self, admitted: list[str]) -> None:
        self.begun += admitted
        await self.log_is_available.wait()


class FakeSession:
    id, poke, is_draining, has_store = "mine", 5, False, True

    def __init__(self) -> None:
        self.refused: list[str] = []
        self.answered: list[int] = []

    def answer(self, number: int) -> None:
        self.answered.append(number)

    def refuse(self, requested: StepRequested) -> None:
        self.refused.append(requested.job_id)

    def poked(self, number: int) -> None:
        self.poke = number


class World:
    """An intake among fakes."""

    def __init__(self) -> None:
        self.attempts, self.session, self.codes = FakeAttempts(), FakeSession(), list[str]()
        fakes: dict[str, Any] = {"attempts": self.attempts, "session": self.session}
        producer: Any = SimpleNamespace(deliver=self._deliver)
        self.intake = RequestIntake(Settings(), steps={"plain"}, producer=producer, fatal=print, **fakes)

    async def _deliver(self, _topic: str, _partition: int, _key: Any, value: bytes, headers: Any) -> None:
        letters = [found.message for found in read(value, headers) if isinstance(found, Entry)]
        self.codes += [letter.error.code for letter in letters if isinstance(letter, DeadLetter)]

    async def receive(self, *entries: bytes) -> None:
        await self.intake.receive(record(*entries))
        await asyncio.sleep(0)


def mine(job_id: str = "job_1", **changes: Any) -> bytes:
    return entry(request(job_id, **{"to": "mine", "dispatcher": 5, **changes}))


async def test_only_the_executor_that_a_request_names_takes_it() -> None:
    world = World()
    await world.receive(mine("a"), mine("b", to="another"), mine("c", dispatcher=4), mine("a"))
    assert (world.attempts.begun, world.session.refused, world.codes) == (["a"], [], [])


async def test_after_a_poke_requests_of_earlier_dispatchers_are_ignored() -> None:
    world = World()
    await world.receive(entry(PokeExecutor(to="another", poke=9)), mine("a"), entry(PokeExecutor(to="mine", poke=7)))
    await world.receive(mine("b"), mine("c", dispatcher=7))
    assert world.attempts.begun == ["a", "c"]


async def test_a_poke_is_answered_once_what_was_accepted_before_it_is_on_the_log() -> None:
    world = World()
    world.attempts.log_is_available.clear()
    await world.receive(mine("a"), entry(PokeExecutor(to="mine", poke=7)), mine("b", dispatcher=7))
    assert (world.attempts.begun, world.session.answered) == (["a", "b"], [])
    world.attempts.log_is_available.set()
    await eventually(lambda: world.session.answered == [7])


async def test_what_there_is_no_slot_for_is_refused_at_once() -> None:
    world = World()
    await world.receive(mine("a"), mine("b"), mine("c"), mine("d", step="unknown"))
    assert (world.attempts.begun, world.session.refused) == (["a", "b"], ["c", "d"])


@pytest.mark.parametrize("state", [{"is_draining": True}, {"has_store": False}])
async def test_an_executor_that_drains_or_has_no_store_takes_nothing(state: dict[str, bool]) -> None:
    world = World()
    vars(world.session).update(state)
    await world.receive(mine("a"))
    assert (world.attempts.begun, world.session.refused) == ([], ["a"])


def released() -> Message:
    return AttemptReleased(job_id="j", asset_id="a", run=1, step="plain", attempt=1, lease_id="l")


def foreign(**changes: Any) -> Message:
    known = {**{f: getattr(request(), f) for f in request().__struct_fields__}, "to": "mine", "dispatcher": 5}
    return type(request())(**{**known, **changes})


@pytest.mark.parametrize(
    "bad, code",
    [
        (b'{"no": "event"}', "not-an-event"),
        (entry(released()), "unexpected-type"),
        (entry(foreign(asset_id="../../etc")), "invalid-message"),
        (entry(foreign(asset_id="a/b")), "invalid-message"),
        (entry(foreign(job_id="")), "invalid-message"),
        (entry(foreign(attempt=0)), "invalid-message"),
        (mine("bug"), "internal-error"),
    ],
)
async def test_an_invalid_request_is_a_dead_letter_and_its_neighbours_are_taken(bad: bytes, code: str) -> None:
    world = World()
    await world.receive(mine("job_1"), bad, mine("job_2"))
    assert (world.attempts.begun, world.codes) == (["job_1", "job_2"], [code])


def test_an_attempt_is_named_alike_in_requests_and_reports() -> None:
    names = HeldAttempt.__struct_fields__
    assert set(names) - {"turn"} <= set(StepRequested.__struct_fields__)
