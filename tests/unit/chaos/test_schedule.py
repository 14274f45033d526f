"""A seed is a schedule: the same again, all of it within the run, every kind before one comes twice."""

from itertools import pairwise

import pytest

from tests.chaos.schedule import ROLES, Allowed, dense, power_cuts, schedule

_NODES = ("broker-1", "broker-2", "broker-3")
_ALL = Allowed(small_disks=True, slow_disks=True, own_network=True)
_NOTHING = Allowed(small_disks=False, slow_disks=False, own_network=False)


@pytest.mark.parametrize("seed", range(20))
def test_a_seed_is_a_schedule_within_its_time(seed: int) -> None:
    faults = schedule(seed, 60, _NODES[:1], _ALL)
    assert faults == schedule(seed, 60, _NODES[:1], _ALL)
    assert faults != schedule(seed + 1, 60, _NODES[:1], _ALL)
    assert len(faults) >= 6
    assert all(fault.at_s > 0 and fault.at_s + fault.lasts_s <= 60 for fault in faults)


def test_a_long_run_has_every_kind() -> None:
    kinds = {fault.kind for fault in schedule(1, 300, _NODES, _ALL)}
    assert kinds >= {"kill", "freeze", "stop", "roll", "clock", "garbage", "abuse", "redis-kill", "origin-down"}
    assert kinds >= {"broker-kill", "broker-down", "broker-freeze", "disk-full", "disk-slow", "cut"}
    assert kinds >= {"store-full", "store-slow"}
    assert kinds.isdisjoint({"store-errors", "store-down"})


def test_an_even_seed_has_a_bucket_for_a_store() -> None:
    kinds = {fault.kind for fault in schedule(2, 300, _NODES, _ALL)}
    assert kinds >= {"store-errors", "store-down"}
    assert kinds.isdisjoint({"store-full", "store-slow"})


def test_what_the_machine_does_not_allow_is_left_out() -> None:
    kinds = {fault.kind for seed in (1, 2) for fault in schedule(seed, 300, _NODES, _NOTHING)}
    assert kinds.isdisjoint({"disk-full", "disk-slow", "store-full", "store-slow", "cut"})
    assert "store-errors" in kinds


@pytest.mark.parametrize("deaths", [1, 20, 150])
def test_a_dense_schedule_has_a_death_a_second_or_more_and_pauses(deaths: int) -> None:
    faults = dense(7, deaths, _NODES[:1])
    gaps = [after.at_s - before.at_s for before, after in pairwise(faults)]
    assert faults == dense(7, deaths, _NODES[:1]) and len(faults) == deaths
    assert sum(gap > 1.0 for gap in gaps) == (deaths - 1) // 20
    assert sum(fault.kind == "broker-kill" for fault in faults) == -(-deaths // 20)
    assert {fault.target for fault in faults} <= {*ROLES, "broker-1"}


@pytest.mark.parametrize("nodes", [_NODES, _NODES[:1]])
def test_power_cuts_come_one_after_another_and_never_twice_in_a_row_to_one_of_three(nodes: tuple[str, ...]) -> None:
    faults = power_cuts(7, 20, nodes)
    assert faults == power_cuts(7, 20, nodes) and {fault.target for fault in faults} == set(nodes)
    for before, after in pairwise(faults):
        assert before.at_s + before.lasts_s < after.at_s
        assert len(nodes) == 1 or before.target != after.target
