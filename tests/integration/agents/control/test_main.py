"""Control as a process against a real broker: commands and events in, rows, requests, facts and dead letters out."""

from collections.abc import Awaitable, Callable
from typing import Any

from schemas.facts import JobCompleted, StepCompleted
from schemas.step_events import AttemptAccepted, AttemptCompleted, LeaseRevoked, StepRequested
from streams.kafka.partitioner import partition_of
from tests.integration.agents.outside import START_S, Control, Outside, submit

Eventually = Callable[..., Awaitable[Any]]


async def test_a_job_runs_once_whatever_is_said_twice_or_after_a_kill(
    outside: tuple[Control, Outside], eventually: Eventually
) -> None:
    control, world = outside
    for _ in range(2):
        await world.send(submit("job_1", "asset_1"))
    requests: list[StepRequested] = await eventually(lambda: world.all(StepRequested, job_id="job_1"), START_S)
    about: dict[str, Any] = {"job_id": "job_1", "asset_id": "asset_1", "run": 1, "step": "noop", "attempt": 1}
    accepted = AttemptAccepted(
        **about, lease_id="first", executor_id="e1", requested_at=requests[0].requested_at, request_partition=0
    )
    await world.send(accepted)
    await world.send(
        AttemptAccepted(
            **about, lease_id="second", executor_id="e2", requested_at=requests[0].requested_at, request_partition=0
        )
    )
    await eventually(lambda: world.all(LeaseRevoked, lease_id="second"), 10)
    assert not world.all(LeaseRevoked, lease_id="first")

    await control.kill()
    await world.send(AttemptCompleted(**about, lease_id="second", outputs={"from": "a zombie"}))
    done = AttemptCompleted(**about, lease_id="first", outputs={"from": "the owner"})
    await world.send(done)
    await eventually(lambda: world.all(JobCompleted, job_id="job_1"), START_S)
    await world.send(done)
    await world.send(submit("job_2", "asset_1"))
    await eventually(lambda: world.all(StepRequested, job_id="job_2"), 10)
    published = {event.id for event, message in world.received if isinstance(message, StepCompleted)}
    assert len(published) == 1
    assert world.all(StepCompleted)[0].outputs == {"from": "the owner"}
    assert world.letters() == []


async def test_what_may_not_be_is_a_dead_letter_with_its_code(
    outside: tuple[Control, Outside], eventually: Eventually
) -> None:
    _, world = outside
    await world.send(submit("job_mine", "asset_mine", owner="anna"))
    await world.send(submit("job_theirs", "asset_mine", owner="bert"))
    right = partition_of("asset_mine", world.settings.partitions)
    await world.send(submit("job_lost", "asset_mine"), partition=(right + 1) % world.settings.partitions)
    await eventually(lambda: set(world.letters()) == {"asset-of-another-owner", "wrong-partition"}, START_S)
    await eventually(lambda: world.all(StepRequested, job_id="job_mine"), 10)
    assert not world.all(StepRequested, job_id="job_theirs")
