"""No record ends control for ever, and none is passed over because control was ended from outside."""

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from schemas.facts import DeadLetter, JobSubmitted
from schemas.step_events import StepRequested
from streams.kafka.admin import apply_topics
from streams.kafka.partitioner import partition_of
from streams.process.exit import EX_HUNG, EX_SOFTWARE
from streams.settings import Settings
from streams.worker.quarantine import LIMIT
from tests.installations import Installation
from tests.integration.agents.control.poisoned import POISON
from tests.integration.agents.outside import START_S, Control, Outside, control_and_world, submit
from tests.integration.agents.test_foreign_producers import upstream

Eventually = Callable[..., Awaitable[Any]]


class OnAnEphemeralDisk(Control):
    """Each start is in a new container: nothing of the last one's folder is there."""

    async def _start(self) -> Any:
        shutil.rmtree(self._settings.data_path, ignore_errors=True)
        return await super()._start()


class Fault(NamedTuple):
    name: str
    exit_code: int
    #: Code of the dead letter.
    letter: str


FAULTS = [
    Fault("decide", EX_SOFTWARE, "internal-error"),
    Fault("write", EX_SOFTWARE, "record-quarantined"),
    Fault("convert", EX_SOFTWARE, "internal-error"),
    Fault("block", EX_HUNG, "record-quarantined"),
    Fault("refused", EX_SOFTWARE, "record-quarantined"),
]

Poisoned = Callable[[Fault], AbstractAsyncContextManager[tuple[Control, Outside]]]


@pytest.fixture
async def poisoned(own_installation: Installation, make_settings: Callable[..., Settings], tmp_path: Path) -> Poisoned:
    """Control with a fault in it."""
    settings = make_settings(**own_installation.environ, KINOLOG_WATCHDOG__LOOP_S="2")
    await apply_topics(settings)

    def start(fault: Fault) -> AbstractAsyncContextManager[tuple[Control, Outside]]:
        command = ("tests.integration.agents.control.poisoned", fault.name)
        return control_and_world(settings, tmp_path / "control.log", command, OnAnEphemeralDisk)

    return start


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
async def test_what_ends_control_three_times_is_a_dead_letter_and_life_goes_on(
    poisoned: Poisoned, eventually: Eventually, fault: Fault
) -> None:
    async with poisoned(fault) as (control, world), upstream(world) as service:
        await world.send(submit("job-before", "before"))
        if fault.name == "convert":
            await service.send(POISON)
        else:
            await world.send(submit("job-poison", POISON))
        await world.send(submit("job-behind", same_partition(POISON, world.settings.partitions)))
        await service.send("an-upload")
        await eventually(lambda: world.all(DeadLetter), 120)
        for job in ("job-before", "job-behind"):
            await eventually(lambda job=job: world.all(StepRequested, job_id=job), START_S)
        await eventually(lambda: world.all(JobSubmitted, asset_id="an-upload"), START_S)
        assert set(control.ends) == {fault.exit_code}
        assert len(control.ends) <= LIMIT
        await control.kill()  # perhaps before that was committed
        await world.send(submit("job-later", POISON + "-not"))
        await eventually(lambda: world.all(StepRequested, job_id="job-later"), START_S)
        assert set(world.letters()) == {fault.letter}
        assert len({event.id for event, message in world.received if isinstance(message, DeadLetter)}) == 1
        assert len(control.ends) <= LIMIT
        assert "record crashes this process" in control.log()


def same_partition(asset_id: str, partitions: int) -> str:
    """Another asset there."""
    place = partition_of(asset_id, partitions)
    return next(f"asset-{n}" for n in range(1000) if partition_of(f"asset-{n}", partitions) == place)


async def test_an_upload_event_whose_command_ends_control_does_not_come_back_at_each_start(
    poisoned: Poisoned, eventually: Eventually
) -> None:
    """It was read again before it was committed, and became one more command that ends control."""
    async with poisoned(FAULTS[0]) as (control, world):
        async with upstream(world) as service:
            await service.send("before", POISON, "behind")
            await eventually(lambda: world.all(JobSubmitted, asset_id="behind"), 120)
        ends, quiet_since = 0, time.monotonic()
        while time.monotonic() - quiet_since < 8.0:
            if len(control.ends) != ends:
                ends, quiet_since = len(control.ends), time.monotonic()
            await asyncio.sleep(0.1)
        assert ends <= 3 * LIMIT
        assert set(world.letters()) == {"internal-error"}


async def test_a_record_at_which_control_is_killed_again_and_again_is_carried_out(
    outside: tuple[Control, Outside], eventually: Eventually
) -> None:
    control, world = outside
    await world.send(submit("job-0", "asset-0"))
    await eventually(lambda: world.all(StepRequested, job_id="job-0"), START_S)
    for _ in range(LIMIT + 1):  # idle at the offset that the next record will have
        await control.kill()
    for _ in range(LIMIT + 1):  # and with the record there
        await world.send(submit("job-1", "asset-0"))
        await control.kill()
    await eventually(lambda: world.all(StepRequested, job_id="job-1"), START_S)
    assert world.letters() == []


async def test_a_dead_letter_for_a_record_with_the_largest_key_can_be_delivered(
    outside: tuple[Control, Outside], eventually: Eventually
) -> None:
    """With its whole key the letter was too large for the broker, at every start."""
    control, world = outside
    async with upstream(world, max_request_size=2**20) as service:
        await service.kafka.send_and_wait(world.topics.uploads, b"x" * 60_000, key=b"k" * 980_000, partition=0)
        await service.kafka.send_and_wait(world.topics.commands, b"x" * 60_000, key=b"k" * 980_000, partition=0)
        await service.send("behind")
        await eventually(lambda: world.all(JobSubmitted, asset_id="behind"), START_S)
    await eventually(lambda: len(world.all(DeadLetter)) == 2, START_S)
    assert control.ends == []
