"""The changelog follower over a real log."""

import asyncio
from collections.abc import Iterable

from schemas.jobs import Asset
from streams.kafka.admin import apply_topics
from streams.kafka.topics import names
from tests.integration.web.control_stand_in import ControlStandIn
from tests.integration.web.logs import Make, log, make
from tests.integration.web.served import Site, serve
from tests.unit.web.rows import a_job
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
    model, position = (
        ReadModel(settings.data_path / "1.sqlite3", 100, progress.live),
        Position(names(settings).commands),
    )
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


async def _listed(site: Site) -> set[str]:
    """Ids of the jobs that a replica lists."""
    _, body = await site.ask("GET", "/v1/jobs", params={"limit": "500"})
    return {job["id"] for job in body["data"]}


async def test_with_another_topic_prefix_a_replica_forgets_the_jobs_of_the_first(make: Make) -> None:
    other = make(KINOLOG_TOPIC_PREFIX=f"{make().topic_prefix}other.")
    await apply_topics(other)
    cursors, statuses = list[str](), list[int]()
    for settings, numbers in ((make(), range(3)), (other, range(100, 140))):  # the second log is longer than the first
        jobs = [a_job(number, "waiting") for number in numbers]
        async with ControlStandIn(settings) as control:
            await control.put_all(jobs)
            async with serve(settings) as site:
                assert await _listed(site) == {job.id for job in jobs}
                item = {"input": {"object": "media/clip.mp4"}, "pipeline": "noop"}
                _, body = await site.ask("POST", "/v1/assets", json=item)
                cursors.append(body["cursor"])
                status, _ = await site.ask("GET", f"/v1/stats?after={cursors[0]}")
                statuses.append(status)
    assert statuses == [200, 400], "a cursor of another log"
