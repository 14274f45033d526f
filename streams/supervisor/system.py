"""`kinolog up`: broker, topics, control, executor and web as one thing that starts, stays up and ends together.

start   broker -> topics -> control, executor and web side by side -> ready line
stop    executor and web side by side -> control -> broker, all within 15 s
"""

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any, BinaryIO

import click
import msgspec

from processors.tools.cpu_priority import NICE_CONTROL, NICE_EXECUTOR
from streams.broker.process import Broker
from streams.kafka.admin import apply_topics
from streams.process.folders import require_data_dir
from streams.process.ports import free_port, is_free
from streams.settings import PREFIX, Settings, to_environ
from streams.supervisor import run_dir
from streams.supervisor.child import Child, kinolog_argv, python_path
from streams.supervisor.restarts import Part, RestartedPart, StartFailed

log = logging.getLogger("kinolog.up")

CHILDREN = ("control", "executor", "web")
#: Measured with 200 POSTs a second while ffmpeg has both cores, after the first seconds: p99 100 ms -> 38 to 69 ms.
_NICE = {"control": NICE_CONTROL, "executor": NICE_EXECUTOR}
#: Seconds until everything must be ready the first time; a slow disk's log recovery is in it.
START_S = 300.0
#: Seconds until an outside cluster must have answered.
_CLUSTER_S = 30.0
#: Seconds that running work may go on after a stop; above it the executor releases it.
DRAIN_S = 5.0
#: Seconds until SIGKILL, in the order of the stop. Together they stay below the 15 s of the design.
_WORKERS_GRACE_S, _CONTROL_GRACE_S, _BROKER_GRACE_S = 8.0, 3.0, 2.5


class BrokerPart:
    """The embedded broker as a part that can be kept: started means ready, for it starts itself again if need be."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    @property
    def pid(self) -> int:
        """Process id of the newest start."""
        return self._broker.pid

    async def start(self) -> None:
        """Start it and return when topics can be created. Raises BrokerError."""
        await self._broker.start()
        await self._broker.wait_ready(START_S)

    async def wait_ready(self) -> None:
        """It is ready since it was started."""

    async def wait(self) -> int:
        """Its exit code, once it has ended."""
        return await self._broker.wait()


class Up:
    """The whole system over one data dir. Use within `rundir.only_one`."""

    def __init__(self, settings: Settings, token: str, log_out: BinaryIO) -> None:
        self._settings = settings
        self._token = token
        self._log_out = log_out
        self._broker = Broker(settings) if settings.kafka.bootstrap is None else None
        self._children: dict[str, Child] = {}
        self._keepers: dict[str, RestartedPart] = {}
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def token(self) -> str:
        """The admin token."""
        return self._token

    @property
    def url(self) -> str:
        """Where the web interface is, from this machine."""
        return run_dir.web_url(self._settings)

    @property
    def bootstrap(self) -> str:
        """Where clients find the log."""
        return self._broker.bootstrap if self._broker else self._settings.bootstrap

    def pids(self) -> dict[str, int]:
        """Process ids of the parts that were started, by name."""
        return {name: keeper.part.pid for name, keeper in self._keepers.items() if keeper.started}

    def ready_line(self) -> dict[str, Any]:
        """What `up --json` prints (design section 8)."""
        return {"ready": True, "url": self.url, "token": self._token, "bootstrap": self.bootstrap, "pids": self.pids()}

    async def start(self) -> None:
        """Return when everything is ready. Raises StartFailed, TopicsError."""
        if self._broker:
            await self._until_ready(self._keep("broker", BrokerPart(self._broker)))
        # Our own broker is there, however slow the machine; an outside cluster may be down.
        await apply_topics(self._settings_below(), START_S if self._broker else _CLUSTER_S)
        for name in CHILDREN:
            self._children[name] = self._child(name)
        await self._until_ready(*[self._keep(name, child) for name, child in self._children.items()])
        run_dir.announce(self._settings, self.url)

    async def failure(self) -> None:
        """Never return; raise what ended a keeper, should one end."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            await task

    async def stop(self) -> None:
        """End every part in order, within 15 s. Harmless to repeat, also after half a start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        workers = [
            self._children[name].stop(_WORKERS_GRACE_S) for name in ("executor", "web") if name in self._children
        ]
        await asyncio.gather(*workers)
        if "control" in self._children:
            await self._children["control"].stop(_CONTROL_GRACE_S)
        if self._broker:
            await self._broker.stop(_BROKER_GRACE_S)
        run_dir.forget_run(self._settings)

    def kill(self) -> None:
        """End every part now; `stop` is then quick."""
        for child in self._children.values():
            child.kill()

    def _keep(self, name: str, part: Part) -> RestartedPart:
        keeper = RestartedPart(name, part, on_start=self._note_pids, on_end=self._note_ends)
        self._keepers[name] = keeper
        self._tasks.append(asyncio.create_task(keeper.run(), name=f"keep {name}"))
        return keeper

    def _note_pids(self) -> None:
        with _noted():
            run_dir.write_pids(self._settings, self.pids())

    def _note_ends(self) -> None:
        with _noted():
            ends = {name: keeper.ends for name, keeper in self._keepers.items() if keeper.ends is not None}
            run_dir.write_ends(self._settings, ends)

    async def _until_ready(self, *keepers: RestartedPart) -> None:
        """Return when all of them were ready once. Raises what ends a keeper before."""
        readiness, failure = asyncio.ensure_future(_all_ready(keepers)), asyncio.ensure_future(self.failure())
        try:
            await asyncio.wait({readiness, failure}, timeout=START_S, return_when=asyncio.FIRST_COMPLETED)
            if failure.done():
                failure.result()
            if not readiness.done():
                late = ", ".join(keeper.name for keeper in keepers if not keeper.was_ready.is_set())
                raise StartFailed(f"not ready after {START_S:.0f} s: {late}")
        finally:
            readiness.cancel()
            failure.cancel()

    def _child(self, name: str) -> Child:
        environ = child_environ(self._settings_below(), dict(os.environ))
        argv, nice = kinolog_argv(name), _NICE.get(name, 0)
        return Child(name, argv, environ, log_format=self._settings.log_format, out=self._log_out, nice=nice)

    def _settings_below(self) -> Settings:
        return settings_below(self._settings, bootstrap=self.bootstrap, token=self._token)


@contextlib.contextmanager
def _noted() -> Iterator[None]:
    """What is only written down for others must not end what is kept running: the disk may be full."""
    try:
        yield
    except OSError as error:
        log.warning("what runs cannot be written down now", extra={"error": str(error)})


def settings_below(settings: Settings, *, bootstrap: str, token: str) -> Settings:
    """What the children run with: one broker, one token, a drain that fits into our own end."""
    replace = msgspec.structs.replace
    return replace(
        settings,
        data_dir=str(settings.data_path),
        kafka=replace(settings.kafka, bootstrap=bootstrap),
        auth=replace(settings.auth, token=token),
        executor=replace(settings.executor, drain_s=min(settings.executor.drain_s, DRAIN_S)),
    )


def child_environ(settings: Settings, environ: dict[str, str]) -> dict[str, str]:
    """`environ` with the settings in place of whatever settings were in it."""
    others = {name: value for name, value in environ.items() if not name.startswith(PREFIX)}
    colour = {"FORCE_COLOR": "1"} if sys.stderr.isatty() else {}
    return {**others, **python_path(environ), **colour, **to_environ(settings)}


async def with_web_port(settings: Settings, *, patience_s: float = 3.0) -> Settings:
    """Settings with a web port that is free. Raises StartFailed when the wanted one is taken.

    A predecessor that was killed a moment ago may still hold it: that is waited out.
    """
    if settings.web.port == 0:
        return msgspec.structs.replace(settings, web=msgspec.structs.replace(settings.web, port=free_port()))
    deadline = time.monotonic() + patience_s
    while not is_free(settings.web.port, settings.web.host):
        if time.monotonic() > deadline:
            raise StartFailed(
                f"port {settings.web.port} is in use: end that process, or set KINOLOG_WEB__PORT (0: a free one)", 2
            )
        await asyncio.sleep(0.1)
    return settings


#: What is done while everything is up.
Body = Callable[[Up], Coroutine[Any, Any, None]]


async def _all_ready(keepers: Iterable[RestartedPart]) -> None:
    for keeper in keepers:
        await keeper.was_ready.wait()


async def run(settings: Settings, body: Body, log_out: BinaryIO | None = None) -> int:
    """Bring everything up, run `body` until it ends or a signal asks for the end, and take everything down (0).

    The children's log goes to `log_out`, or stderr.

    Raises SettingsError, AlreadyUp, StartFailed, TopicsError, and what `body` raises. Nothing runs any more when it
    returns or raises.
    """
    asked = Stopping()
    require_data_dir(settings)
    with run_dir.only_one(settings):
        settings = await with_web_port(settings)
        up = Up(settings, run_dir.token_for(settings), log_out or sys.stderr.buffer)
        asked.then_kill(up.kill)
        try:
            await asked.unless(_serve(up, body))
        finally:
            await up.stop()
    return 0


async def _serve(up: Up, body: Body) -> None:
    await up.start()
    await body(up)


class Stopping:
    """Signals that ask for the end; asked twice, the end is at once. Belongs to the running event loop."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self._kill: Callable[[], None] = lambda: None
        nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        hangup = [] if nohup else [signal.SIGHUP]
        for number in (signal.SIGINT, signal.SIGTERM, *hangup):
            asyncio.get_running_loop().add_signal_handler(number, self._ask)

    def then_kill(self, kill: Callable[[], None]) -> None:
        """What a second signal does."""
        self._kill = kill

    async def unless(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` until it ends or the end is asked for; then it is cancelled. Raises what `work` raises."""
        running, asked = asyncio.ensure_future(work), asyncio.ensure_future(self._asked.wait())
        await asyncio.wait({running, asked}, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        if not running.done():
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        elif (error := running.exception()) is not None:
            raise error

    def _ask(self) -> None:
        if self._asked.is_set():
            log.warning("asked twice: killing what still runs")
            self._kill()
        else:
            log.info("stopping")
        self._asked.set()


def print_ready(up: Up, *, as_json: bool) -> None:
    """The ready line on stdout: JSON for machines, the link for people."""
    if as_json:
        click.echo(json.dumps(up.ready_line()))
    else:
        click.echo(f"\n  kinolog is up:  {page_link(up.url, up.token)}\n\n  Ctrl-C ends it.\n")


def page_link(url: str, token: str) -> str:
    """The page's address with the token in its fragment: it is never sent, and the page removes it."""
    return f"{url}/#token={token}"
