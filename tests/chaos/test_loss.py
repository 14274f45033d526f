"""No acknowledged command is lost, whenever control is killed and whatever is dropped on the way to it."""

from pathlib import Path

from streams.broker.process import Broker
from tests.chaos.lossrun import loss_run


async def test_no_job_is_lost_while_control_is_killed_again_and_again(fresh_broker: Broker, tmp_path: Path) -> None:
    loss = await loss_run(fresh_broker, tmp_path, jobs=1000, per_s=50.0, faults=[], seed=1)
    assert loss.kills >= 3
    assert loss.lost == []


async def test_every_dropped_record_is_found_as_a_hole_and_healed(fresh_broker: Broker, tmp_path: Path) -> None:
    loss = await loss_run(fresh_broker, tmp_path, jobs=1000, per_s=50.0, faults=["drop"], seed=2)
    assert loss.dropped >= 10
    assert loss.holes > 0  # one fetch may have lost several
    assert loss.lost == []


async def test_a_dropped_record_is_found_between_the_markers_of_transactions_too(
    fresh_broker: Broker, tmp_path: Path
) -> None:
    loss = await loss_run(fresh_broker, tmp_path, jobs=1000, per_s=50.0, faults=["drop"], seed=3, transaction=3)
    assert loss.dropped >= 10
    assert loss.holes > 0
    assert loss.lost == []
    assert loss.holes <= loss.dropped  # no marker was taken for one
