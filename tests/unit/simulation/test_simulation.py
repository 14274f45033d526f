"""The dispatcher among simulated executors: what a user would lose if it were wrong."""

from random import Random

import pytest

from tables.dispatch.values import Rules
from tests.simulation import large, small
from tests.simulation.cluster import Cluster, Shape
from tests.simulation.work import media_jobs, plain_jobs, recorded_media


@pytest.mark.parametrize("calibration", small.calibrations(), ids=str)
def test_it_reproduces_recorded_makespans_within_a_tenth(calibration: small.Calibration) -> None:
    assert abs(calibration.error) < 0.1


def test_equal_jobs_take_no_longer_than_they_must_whatever_their_hash() -> None:
    for executors, jobs in ((2, 4), (4, 4), (4, 16), (8, 8)):
        assert small.makespan_ratio(executors, jobs, seed=3) < 1.02


def test_more_executors_than_partitions_all_work() -> None:
    assert small.makespan_ratio(6, 24, seed=3, partitions=2) < 1.02


def test_a_hash_leaves_executors_idle() -> None:
    ratios = [small.makespan_ratio(4, 4, seed, hashed=True) for seed in range(20)]
    assert 1.5 < sum(ratios) / len(ratios) < 3.0


def test_mixed_lengths_are_as_good_as_greedy_list_scheduling() -> None:
    figure = small.mixed_lengths(seed=3)
    assert figure.share is not None and figure.share < 1


def test_a_single_job_begins_within_one_turn_of_a_crowd() -> None:
    figure = small.single_job(seed=3)
    assert figure.share is not None and figure.share < 1


def test_a_memo_does_not_wait_behind_a_film_on_one_machine() -> None:
    by_dispatcher, by_hash = small.memo_behind_film(seed=3)
    assert by_dispatcher.share is not None and by_dispatcher.share < 1
    assert by_hash.share is not None and by_hash.share > 10


@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_lost_or_done_twice_while_executors_and_controls_die(seed: int) -> None:
    owners = {"large": 100, "middle": 20, "small": 5}
    shape = Shape(
        executors=12,
        controls=2 if seed % 2 else 1,
        control_kills=2,
        deaths=0.3,
        joins=0.2,
        drains=0.2,
        reports_lost=0.1,
        reports_late=0.1,
        trouble_s=60.0,
    )
    result = Cluster(shape, media_jobs(Random(seed), owners, recorded_media()), seed).run(limit_s=5_000)
    assert (result.lost, result.double_runs, result.published_twice) == (0, 0, 0)


def test_the_same_seed_gives_the_same_run() -> None:
    runs = [large.many(8, 60, seed=5) for _ in range(2)]
    assert runs[0] == runs[1] != large.many(8, 60, seed=6)


def test_owners_get_their_weights_of_long_work() -> None:
    weights = {"big": 3.0, "little": 1.0}
    plans = [
        plan
        for number, owner in enumerate(weights)
        for plan in plain_jobs([20.0] * 200, owner=owner, first=number * 200, step="transcode")
    ]
    assert Cluster(Shape(executors=8, rules=Rules(weights=weights)), plans, seed=1).run().jain > 0.99
