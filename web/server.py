"""`kinolog web`: serves the application until SIGTERM or SIGINT."""

import asyncio
import contextlib
import logging
import resource
import signal
import sqlite3
from pathlib import Path
from typing import Any

import uvloop
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from streams.process import closed_streams
from streams.process.exit import EX_SOFTWARE
from streams.process.folders import require_data_dir, require_store, require_writable
from streams.process.interpreter import collect_rarely, take_short_turns
from streams.process.logs import configure
from streams.process.sd_notify import ready
from streams.process.watchdog import LoopBeat, Watch, Watchdog
from streams.settings import Settings, SettingsError
from streams.settings.interface import Web
from streams.worker import patch_fetch_wait, patch_metadata_retry
from tables.pipelines import InvalidPipeline
from web.app import make_app
from web.background.tasks import BROKEN
from web.connections.admission import Admission
from web.connections.listener import BoundedSite
from web.connections.patch_connections import BoundedRunner
from web.readmodel.read_model import ReplicaInUse
from web.services import SERVICES, STOPPING

log = logging.getLogger("kinolog.web")

#: Above the limits in web/http/middleware.py, so that those decide and respond. Source: aiohttp's web.Server options.
SERVER_OPTIONS: dict[str, Any] = {
    "max_line_size": 64 * 1024,
    "max_field_size": 128 * 1024,
    "auto_decompress": False,  # compressed bodies are refused: 300 KB become 300 MB in one turn of the event loop
}
#: Seconds that open requests get to finish after SIGTERM.
_DRAIN_S = 1.0
#: Files that are no connections: databases, the log's brokers, uploads to the disk.
_OTHER_FILES = 512


class ClientErrors(logging.Filter):
    """Drops aiohttp's errors about requests that are no HTTP: a client could write a traceback with each."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is about anything else."""
        return record.exc_info is None or not isinstance(record.exc_info[1], HttpProcessingError)


def main(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT: 0. 2: the settings cannot be used; 1: the port is taken; 70: a part broke."""
    configure(settings, "web")
    logging.getLogger("aiohttp.server").addFilter(ClientErrors())
    patch_fetch_wait.install()
    patch_metadata_retry.install()
    try:
        require_data_dir(settings)
        require_store(settings)
        if settings.web.tus_dir:
            require_writable(Path(settings.web.tus_dir), "KINOLOG_WEB__TUS_DIR")
        app = make_app(settings)
    except (InvalidPipeline, ReplicaInUse, SettingsError) as error:
        log.error("cannot start", extra={"reason": str(error)})  # noqa: TRY400  the message is enough
        return 2
    except (OSError, sqlite3.Error) as error:  # a full disk, perhaps: the next start may succeed
        log.error("cannot start now", extra={"reason": str(error)})  # noqa: TRY400  likewise
        return EX_SOFTWARE
    collect_rarely(short_pauses=True)
    take_short_turns()
    closed_streams.install()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(app, settings))


def make_runner(app: web.Application, settings: Web) -> BoundedRunner:
    """The server of the application, not set up yet."""
    most = _raise_file_limit(settings.max_connections)
    return BoundedRunner(
        app,
        most=most,
        stall_s=settings.send_stall_s,
        admission=admission_of(settings),
        keepalive_timeout=settings.idle_s,
        access_log=None,
        shutdown_timeout=_DRAIN_S,
        lingering_time=2.0,
        **SERVER_OPTIONS,
    )


def admission_of(settings: Web) -> Admission:
    """Which connections are accepted. Behind trusted proxies all have the proxies' addresses, and any number is."""
    if settings.trusted_proxies > 0:
        return Admission(per_address=0, per_s=0)
    return Admission(settings.connections_per_address, settings.connects_per_s)


def _raise_file_limit(most: int) -> int:
    """Allow as many open files as connections need. Returns how many connections are possible."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = most + _OTHER_FILES
    if soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft < needed:
        log.warning("fewer connections: the limit of open files is low", extra={"files": soft, "needed": needed})
    return max(min(most, soft - _OTHER_FILES), soft // 2)


async def _serve(app: web.Application, settings: Settings) -> int:
    stop, at_once = app[STOPPING], asyncio.Event()

    def end() -> None:
        (at_once if stop.is_set() else stop).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end)
    beat = LoopBeat()
    beating = asyncio.create_task(beat.run())
    Watchdog([Watch("its event loop is blocked", beat, settings.watchdog.loop_s)]).start()
    runner = make_runner(app, settings.web)
    await runner.setup()
    try:
        await BoundedSite(runner, settings.web.host, settings.web.port).start()
        log.info("listening", extra={"url": _url(runner)})
        code = await _wait_for_end(stop, app)
        if stop.is_set():
            await _drain(settings.web.drain_s, at_once)
        return code
    except OSError as error:
        log.error("cannot listen", extra={"host": settings.web.host, "port": settings.web.port, "reason": str(error)})  # noqa: TRY400
        return 1
    finally:
        await runner.cleanup()
        beating.cancel()


async def _wait_for_end(stop: asyncio.Event, app: web.Application) -> int:
    ends: list[asyncio.Future[Any]] = [asyncio.create_task(stop.wait()), app[BROKEN]]
    notifying = asyncio.create_task(_notify_ready(app))
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    notifying.cancel()
    return 0 if stop.is_set() else EX_SOFTWARE


async def _drain(most_s: float, at_once: asyncio.Event) -> None:
    """Serve on until load balancers have noticed that this replica is not ready."""
    if most_s > 0:
        log.info("draining", extra={"most_s": most_s})
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(most_s):
                await at_once.wait()


async def _notify_ready(app: web.Application) -> None:
    await app[SERVICES].position.caught_up.wait()
    ready()


def _url(runner: web.AppRunner) -> str:
    host, port = runner.addresses[0][:2]
    return f"http://{host}:{port}"
