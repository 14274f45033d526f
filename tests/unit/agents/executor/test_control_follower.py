"""An instruction that cannot be followed is a dead letter. An executor reads all of them at each start."""

from types import SimpleNamespace
from typing import Any

from agents.executor.control_follower import ControlFollower
from agents.executor.requests import InvalidRequest
from schemas.step_events import LeaseRevoked, QueueChanged
from streams.kafka.envelope import BATCH_HEADERS, batch, structured
from streams.settings import Settings

PAUSED = QueueChanged(step="noop", paused=True, changed_at=1.0)
REVOKED = LeaseRevoked(job_id="j", asset_id="a", run=1, step="noop", attempt=1, lease_id="lease", reason="cancelled")


async def test_a_control_message_that_fails_does_not_end_the_executor() -> None:
    invalid: list[InvalidRequest] = []

    def fail(message: Any) -> None:
        raise RuntimeError("a bug")

    async def dead_letter(request: InvalidRequest) -> None:
        invalid.append(request)

    async def never(record: Any) -> None:
        raise AssertionError("this is not a record of the address")

    follower = ControlFollower(Settings(), "e", 3, on_revoke=fail, on_requests=never, on_invalid=dead_letter)
    follower.caught_up.set()
    events = [structured(m, event_id="e", source="test", subject="a") for m in (REVOKED, PAUSED)]
    await follower._apply_record(
        SimpleNamespace(topic="media.control", partition=0, offset=4, value=batch(events), headers=BATCH_HEADERS)
    )
    assert [request.error.code for request in invalid] == ["internal-error"]
    assert list(follower._next.values()) == [5]
