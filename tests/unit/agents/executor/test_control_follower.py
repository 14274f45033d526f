"""An instruction that cannot be followed is a dead letter. An executor reads all of them at each start."""

from types import SimpleNamespace
from typing import Any

from agents.executor.control_follower import ControlTail
from agents.executor.requests import InvalidRequest
from schemas.step_events import LeaseRevoked, QueueChanged
from streams.kafka.envelope import BATCH_HEADERS, batch, structured
from streams.settings import Settings

PAUSED = QueueChanged(step="noop", paused=True, changed_at=1.0)
REVOKED = LeaseRevoked(job_id="j", asset_id="a", run=1, step="noop", attempt=1, lease_id="lease", reason="cancelled")


async def test_one_that_cannot_be_followed_ends_nobody() -> None:
    followed: list[Any] = []
    unusable: list[InvalidRequest] = []

    def fail(message: Any) -> None:
        raise RuntimeError("a bug")

    async def bury(found: InvalidRequest) -> None:
        unusable.append(found)

    tail = ControlTail(Settings(), "media.control", "e", on_revoke=fail, on_queue=followed.append, on_unusable=bury)
    tail.positioned.set()
    events = [structured(m, event_id="e", source="test", subject="a") for m in (REVOKED, PAUSED)]
    await tail._take(
        SimpleNamespace(topic="media.control", partition=0, offset=4, value=batch(events), headers=BATCH_HEADERS)
    )
    assert followed == [PAUSED]
    assert [found.error.code for found in unusable] == ["internal-error"]
    assert list(tail._next.values()) == [5]
