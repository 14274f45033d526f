"""Executors are counted by the steps whose requests they have partitions of, of any priority."""

from schemas.steps import step_kinds
from streams.kafka.executor_groups import count_by_step, unserved_steps
from streams.settings import Settings


def test_an_executor_counts_once_for_each_step_that_it_has_any_part_of() -> None:
    only_low = frozenset({"media.step-requests.noop.low"})
    both = frozenset({"media.step-requests.noop", "media.step-requests.noop.high", "media.step-requests.probe"})
    other = frozenset({"media.removals"})
    counted = count_by_step(Settings(), [only_low, both, other])
    assert {step: count for step, count in counted.items() if count} == {"noop": 2, "probe": 1}
    assert set(unserved_steps(counted)) == step_kinds().keys() - {"noop", "probe"}
