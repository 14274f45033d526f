"""A short heavy attempt runs beside the long one that has the CPUs, on one of them, and takes nobody's slot."""

from pathlib import Path
from typing import Any

from msgspec.structs import replace

from agents.executor.session import ExecutorSession
from schemas.executors import StepSlots
from schemas.step_events import AttemptAccepted, AttemptCompleted, StepRequested
from streams.settings import Settings
from tests.conftest import eventually
from tests.unit.agents.executor.fakes import HEAVY, request
from tests.unit.agents.executor.test_running import Floor, fatal


def heavy(job_id: str, turn: str) -> StepRequested:
    return replace(request(job_id=job_id, step="heavy"), turn=turn)


async def test_a_memo_is_done_while_the_film_runs_on(tmp_path: Path) -> None:
    floor = Floor(tmp_path)
    await floor.accept(heavy("film", "full"))
    await eventually(lambda: len(floor.processors["heavy"].works) == 1)
    assert floor.attempts.has_room(heavy("memo", "short"))
    await floor.accept(heavy("memo", "short"))
    await eventually(lambda: len(floor.processors["heavy"].works) == 2)
    film, memo = floor.processors["heavy"].works
    assert (film.cpus > 0, memo.cpus) == (True, 1)
    assert {held.job_id: held.turn for held in floor.attempts.held()} == {"film": "full", "memo": "short"}
    assert floor.runtimes["heavy"].slots.free == HEAVY.slots - 1, "the memo takes no slot"
    floor.go.set()
    await floor.published(AttemptCompleted, 2)
    await eventually(lambda: not floor.attempts.held())
    assert floor.runtimes["heavy"].slots.free == HEAVY.slots


async def test_one_short_attempt_runs_at_a_time(tmp_path: Path) -> None:
    floor = Floor(tmp_path)
    await floor.accept(heavy("memo", "short"))
    await floor.published(AttemptAccepted)
    assert not floor.attempts.has_room(heavy("other", "short"))
    assert floor.attempts.has_room(heavy("film", "full")), "the CPUs are free for it"
    floor.attempts.short_turns = 0
    floor.go.set()
    await floor.published(AttemptCompleted)
    assert not floor.attempts.has_room(heavy("other", "short"))


async def test_no_short_turn_is_offered_for_a_step_whose_model_is_taken(tmp_path: Path) -> None:
    floor = Floor(tmp_path)
    kind = replace(HEAVY, one_model=True)
    runtimes = {"heavy": floor.runtimes["heavy"]._replace(kind=kind)}
    unused: Any = None
    session = ExecutorSession(
        Settings(), "default", "e1", home="h", runtimes=runtimes, cpus=2, producer=unused, fatal=fatal
    )
    session.runs_at_length = floor.attempts.runs_at_length
    assert session._current().steps == {"heavy": StepSlots(slots=2, short=True)}
    assert session._current().short_turns == 1
    await floor.accept(heavy("film", "full"))
    assert session._current().steps == {"heavy": StepSlots(slots=2, short=False)}
    floor.go.set()
    await floor.published(AttemptCompleted)
    await eventually(lambda: not floor.attempts.held())
