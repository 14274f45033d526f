"""A replica keeps what it knows of its own log, and nothing of another one."""

from pathlib import Path
from typing import Any

import pytest

from tests.unit.web.readmodel.test_log_identity import log_of, saved_at
from tests.unit.web.replica import PARTITIONS, Replica, replica_below
from web.http.cursors import log_mark
from web.live import changelog_follower
from web.readmodel.changelog_reader import Extent
from web.readmodel.log_identity import is_ahead


@pytest.fixture
async def replica(tmp_path: Path) -> Any:
    async with replica_below(tmp_path) as found:
        yield found


async def test_progress_of_the_same_log_survives_a_rebuild_and_of_another_log_is_dropped(tmp_path: Path) -> None:
    replica = Replica(tmp_path)
    replica.progress.restore("job_1", 1, {"noop": 0.5})
    await replica.follower._rebuild("a cluster", "it is new")
    assert replica.progress.live("job_1", 1) == {"noop": 0.5}
    replica.position.restart(log_mark("a cluster"), [0] * PARTITIONS, rebuilding=False)
    await replica.follower._rebuild("a cluster", "it is damaged")
    assert replica.progress.live("job_1", 1) == {"noop": 0.5}
    await replica.follower._rebuild("another cluster", "it is of another one")
    assert replica.progress.live("job_1", 1) == {}
    replica.model.close()


class Extents:
    """A log whose new leader does not know at first how much of it is committed."""

    def __init__(self, *ends: int) -> None:
        self.ends = list(ends)

    async def extent(self) -> Extent:
        return log_of(end=self.ends.pop(0) if len(self.ends) > 1 else self.ends[0])


async def test_a_log_that_seems_shorter_for_a_moment_is_the_same_log(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changelog_follower, "_RECHECK_S", 0.01)
    reader: Any = Extents(3, 3, 9)
    extent = await replica.follower._stable_extent(reader, saved_at(next_offset=7))
    assert extent.ends["jobs", 0] == 9
    monkeypatch.setattr(changelog_follower, "MAX_SHORT_S", 0.05)
    stays: Any = Extents(3)
    assert is_ahead(saved_at(next_offset=7), await replica.follower._stable_extent(stays, saved_at(next_offset=7)))
