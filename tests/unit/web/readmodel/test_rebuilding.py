"""What was seen of progress when the read model is made again."""

from pathlib import Path

from tests.unit.web.replica import PARTITIONS, Replica
from web.http.cursors import log_mark


async def test_what_was_seen_on_the_same_log_stays_and_of_another_one_goes(tmp_path: Path) -> None:
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
