"""The background tasks of a web process: started with the application, cancelled with it."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from aiohttp import web

from streams.data_files import pipelines_dir
from streams.process.tasks import cancel_all
from tables.pipelines import load_retention
from web.background.audit_writer import write_audit
from web.background.cache_eviction import CacheEviction
from web.background.erasing import Erasing
from web.background.retention import JobRetention
from web.background.store_cleanup import StoreCleanup, watch_store
from web.background.tus_sweep import TusSweep
from web.services import SERVICES, Services

log = logging.getLogger("kinolog.web")

#: Completes when a background task has ended that must run for as long as the process does.
BROKEN: web.AppKey[asyncio.Future[None]] = web.AppKey("broken", asyncio.Future)

_Task = Callable[[], Coroutine[Any, Any, None]]


async def background_tasks(app: web.Application) -> AsyncIterator[None]:
    """Cleanup context of the application: run every task until the application stops, then close what they used."""
    parts = app[SERVICES]
    app[BROKEN] = broken = asyncio.get_running_loop().create_future()
    running = [asyncio.create_task(run()) for run in _tasks(parts)]
    for task in running:
        task.add_done_callback(lambda ended: _report_broken(ended, broken))
    yield
    await cancel_all(running)
    await parts.query_vectors.close()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.to_thread(parts.model.close)
        await asyncio.to_thread(parts.index.close)
        await asyncio.to_thread(parts.event_index.close)


def _tasks(parts: Services) -> list[_Task]:
    tasks: list[_Task] = [
        parts.follower.run,
        parts.progress_follower.run,
        parts.control.run,
        parts.hub.run,
        parts.executors.run,
        parts.executor_changes.run,
        parts.commands.run,
        parts.clock.run,
        parts.access.run,
        parts.sessions.run,
        lambda: write_audit(parts.audit, parts.access_producer),
        parts.indexer.run,
        parts.event_indexer.run,
        lambda: watch_store(parts),
        StoreCleanup(parts).run,
        TusSweep(parts).run,
        job_retention(parts).run,
        Erasing("read model", parts.model.needs_erasure, parts.model.erase).run,
        Erasing("search index", parts.index.needs_erasure, parts.index.erase).run,
    ]
    if parts.settings.compat.signing_key or parts.settings.compat.next_signing_key:
        tasks.append(parts.signed_calls.run)
    if parts.settings.cache.max_bytes:
        tasks.append(CacheEviction(parts).run)
    if parts.cache_sharing is not None:
        tasks.append(parts.cache_sharing.run)
    return tasks


def job_retention(parts: Services) -> JobRetention:
    """The retention of this process's jobs, by its settings and the pipelines' own limits."""
    rules = load_retention(pipelines_dir(parts.settings))
    return JobRetention(parts.settings.retention, rules, parts)


def _report_broken(ended: asyncio.Task[None], broken: asyncio.Future[None]) -> None:
    """Stop the process when a task has ended on its own: it starts again, and the log restores the state."""
    if ended.cancelled() or broken.done():
        return
    log.critical("background task ended unexpectedly", exc_info=ended.exception())
    broken.set_result(None)
