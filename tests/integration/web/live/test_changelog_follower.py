"""The changelog follower over a real log."""

import asyncio
from collections.abc import Iterable

from schemas.jobs import Asset
from tests.integration.web.logs import Make, log, make
from web.live.changelog_follower import ChangelogFollower
from web.live.hub import Hub
from web.live.progress import Progress
from web.readmodel.changelog import Change
from web.readmodel.position import Position
from web.readmodel.read_model import ReadModel

__all__ = ["log", "make"]  # fixtures are found by their name in this module


class Listener:
    """Notes what kept the replica from being ready when it had caught up."""

    def __init__(self) -> None:
        self.follower: ChangelogFollower | None = None
        self.troubles: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()

    def changed(self, changes: Iterable[Change[Asset]]) -> None:
        """Nothing to note."""

    def caught_up(self) -> None:
        assert self.follower is not None
        self.troubles.set_result(self.follower.troubles())


async def test_a_replica_is_ready_from_the_moment_it_has_caught_up(make: Make) -> None:
    settings, listener, progress = make(), Listener(), Progress()
    model, position = ReadModel(settings.data_path / "1.sqlite3", 100, progress.live), Position("media.commands")
    follower = ChangelogFollower(
        settings, model, position, progress, Hub(position, progress, 10_000), listener=listener
    )
    listener.follower = follower
    task = asyncio.create_task(follower.run())
    try:
        assert await asyncio.wait_for(listener.troubles, 60) == []
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        model.close()
