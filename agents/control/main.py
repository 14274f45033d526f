"""media.commands, media.step-events -> the state machine -> tables jobs and assets, facts, revokes; and the dispatcher.

One agent with concurrency 1 is the only writer of the tables. A decision takes well under a millisecond.
"""

import asyncio
import logging
from pathlib import Path
from typing import IO, Any

from agents.control.cache_flusher import CacheFlusher
from agents.control.cache_follower import CacheFollower
from agents.control.control import Control
from agents.control.dispatch.host import DispatcherHost
from agents.control.source_topics import watch_topics
from agents.control.uploads import add_uploads_agent
from streams.data_files import pipelines_dir
from streams.kafka import record_parsing
from streams.kafka.consumer_groups import require_own_group
from streams.kafka.topics import control_group, names
from streams.process import sd_notify
from streams.process.folders import require_data_dir
from streams.process.locks import claim_first, host
from streams.process.logs import configure
from streams.settings import Settings
from streams.worker import patch_membership
from streams.worker.app import KinologApp, make_app, new_loop, run
from streams.worker.fence import Fence
from streams.worker.guard import Guard
from tables.cache.row_cache import RowCache, open_cache
from tables.changelog_table import ChangelogTable
from tables.pipelines import Pipelines, load_pipelines

log = logging.getLogger(__name__)

_TICK_S = 1.0


def main(settings: Settings) -> int:
    """Run control until SIGTERM. Returns the exit code. Raises InvalidPipeline, SettingsError."""
    configure(settings, "control")
    require_data_dir(settings)
    pipelines = load_pipelines(pipelines_dir(settings))
    member_id, lock = claim(settings)
    with lock:
        loop = new_loop()
        loop.run_until_complete(require_own_group(settings, control_group(settings)))
        app = make_app(settings, control_group(settings), member_id)
        patch_membership.watch(member_id, settings.kafka.session_timeout_s)
        assemble(app, settings, pipelines, open_cache(settings.data_path / "control" / Path(lock.name).stem))
        return run(app, loop, settings.watchdog)


def claim(settings: Settings) -> tuple[str, IO[str]]:
    """A unique member id across machines, and the lock that reserves it and its row cache."""
    name, lock = claim_first(settings.data_path / "locks", "control")
    return f"{control_group(settings)}-{host()}-{name}", lock


def tables(app: KinologApp, settings: Settings, cache: RowCache | None) -> tuple[ChangelogTable, ChangelogTable]:
    """The tables `jobs` and `assets`; their rows in memory get into the cache."""
    jobs, assets = (ChangelogTable(app, name, settings.partitions, cache) for name in ("jobs", "assets"))
    if cache is not None:
        follower = CacheFollower(app, (jobs, assets), names(settings).commands, settings.partitions)
        app.prepare = follower.prepare
        app.task(CacheFlusher(app, cache, (jobs, assets), settings.kafka.flush_ms).run)
        app.task(follower.run)
    return jobs, assets


def assemble(app: KinologApp, settings: Settings, pipelines: Pipelines, cache: RowCache | None = None) -> None:
    """Add agents, tables and timers to `app`. `cache`: None keeps all rows in memory."""
    topics = names(settings)
    jobs, assets = tables(app, settings, cache)
    dispatcher = DispatcherHost(app, settings)
    control = Control(app, settings, jobs, assets, dispatcher)
    fence = Fence(settings.kafka.session_timeout_s)
    guard = Guard(app, fence)
    app.continuity.skipped.watch((topics.commands, topics.step_events, topics.uploads))
    record_parsing.install(app.continuity.skipped.add)
    source = app.topic(
        topics.commands,
        topics.step_events,
        value_type=bytes,
        value_serializer="raw",
        key_serializer="raw",
        allow_empty=True,
    )

    @app.agent(source, name="control")
    async def handle(stream: Any) -> None:
        async for event in stream.events():
            await guard.check(event.message)
            await control.handle(event.message)

    add_uploads_agent(app, settings, pipelines, guard, control.mark_later)
    jobs.on_recover(control.recovered)
    app.on_partitions_revoked.connect(lambda *_, **__: dispatcher.stop(), weak=False)
    app.write_watermarks = control.write_watermarks

    @app.task
    async def stay_alive() -> None:
        sd_notify.ready()
        await fence.run()

    @app.task
    async def watch() -> None:
        while not app.is_reading:
            await asyncio.sleep(_TICK_S)
        await watch_topics(settings, app.conf.broker_client_id).run()

    @app.timer(_TICK_S)
    async def tick() -> None:
        try:
            await control.tick()
        except Exception:  # a timer that raises kills the worker; the next tick repeats what this one missed
            log.exception("tick failed")
