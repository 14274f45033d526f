"""A read model is continued from its own log only."""

import pytest

from tests.unit.web.rows import a_job, record
from web.readmodel.changelog_reader import Extent
from web.readmodel.log_identity import TOO_OLD_S, LogReplaced, LogState, reason_to_rebuild, verified
from web.readmodel.projector import ReadPosition
from web.readmodel.read_model import Saved


def saved_at(next_offset: int = 10, cluster: str = "c", current_at: float = 1000.0, partitions: int = 1) -> Saved:
    return Saved(cluster, partitions, current_at, {("jobs", 0): ReadPosition(next_offset, 0, 0)})


def log_of(start: int = 0, end: int = 10, cluster: str = "c") -> Extent:
    return Extent(cluster, {("jobs", 0): start, ("assets", 0): 0}, {("jobs", 0): end, ("assets", 0): 0})


def test_a_read_model_of_the_same_log_goes_on() -> None:
    assert reason_to_rebuild(saved_at(), log_of(), 1, 1000.0) is None


@pytest.mark.parametrize(
    "saved, log, partitions, now",
    [
        (None, log_of(), 1, 1000.0),
        (saved_at(cluster="another"), log_of(), 1, 1000.0),
        (saved_at(), log_of(), 2, 1000.0),
        (saved_at(next_offset=11), log_of(end=10), 1, 1000.0),
        (saved_at(next_offset=4), log_of(start=5), 1, 1000.0),
        (saved_at(), log_of(), 1, 1000.0 + TOO_OLD_S + 1),
    ],
)
def test_a_read_model_that_does_not_fit_the_log_is_rebuilt(
    saved: Saved | None, log: Extent, partitions: int, now: float
) -> None:
    assert reason_to_rebuild(saved, log, partitions, now) is not None


def test_a_log_that_was_recreated_and_grew_is_noticed_by_its_last_known_record() -> None:
    old, new = record(a_job(1), 9), record(a_job(2), 9)
    assert verified({"jobs": [old]}, {("jobs", 0): (9, old.checksum)}) == {}
    with pytest.raises(LogReplaced):
        verified({"jobs": [new]}, {("jobs", 0): (9, old.checksum)})


def test_a_last_known_record_that_compaction_removed_proves_nothing() -> None:
    assert verified({"jobs": [record(a_job(2), 12)]}, {("jobs", 0): (9, 1)}) == {}


def test_reading_starts_with_the_last_known_record() -> None:
    assert LogState.at_start(saved_at(), log_of()).start_offsets(log_of()) == {("jobs", 0): 9, ("assets", 0): 0}


def test_a_log_that_is_short_for_a_moment_is_not_replaced_and_one_that_stays_short_is() -> None:
    state = LogState.at_start(saved_at(), log_of())
    state.ends = log_of(end=9).ends
    state.require_not_shorter(0.0)
    state.require_not_shorter(29.0)
    state.ends = log_of().ends
    state.require_not_shorter(31.0)
    state.ends = log_of(end=9).ends
    state.require_not_shorter(40.0)
    with pytest.raises(LogReplaced):
        state.require_not_shorter(71.0)


def test_everything_is_read_once_every_partition_is_read_to_its_end() -> None:
    state = LogState.at_start(saved_at(), log_of(end=11))
    assert not state.is_read
    state.read_to["jobs", 0] = 11
    assert state.is_read
