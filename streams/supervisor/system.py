"""The system of `kinolog up`: broker, topics, control, executor and web, started, restarted and stopped together.

start   broker -> topics -> control, executor and web concurrently -> ready line
stop    executor and web concurrently -> control -> broker, all within 15 s
"""

import asyncio
import contextlib
import json
import logging
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any, BinaryIO

import click
import msgspec

from processors.tools.cpu_priority import NICE_CONTROL, NICE_EXECUTOR
from streams.broker.process import Broker
from streams.cluster import Cluster
from streams.kafka.acls import ANONYMOUS, anonymous_acls, create_acls
from streams.kafka.admin import apply_topics
from streams.process.exposure import require_closed
from streams.process.folders import require_data_dir
from streams.process.ports import free_port, refusal
from streams.settings import PREFIX, Settings, to_environ
from streams.settings.interface import Auth, Compat
from streams.supervisor import run_dir
from streams.supervisor.child import Child, kinolog_argv, python_path
from streams.supervisor.restarts import Part, RestartedPart, StartFailed

log = logging.getLogger("kinolog.up")

CHILDREN = ("control", "executor", "web")
#: Measured with 200 POSTs a second while ffmpeg has both cores, after the first seconds: p99 100 ms -> 38 to 69 ms.
_NICE = {"control": NICE_CONTROL, "executor": NICE_EXECUTOR}
#: Seconds until everything must be ready the first time, log recovery on a slow disk included.
START_S = 300.0
#: Seconds until an external cluster must have responded.
_CLUSTER_S = 30.0
#: Measured: the broker has 272 open without topics of others, and ends with 256.
_MIN_OPEN_FILES = 512
#: Seconds that running attempts may go on after a stop; then the executor releases them.
DRAIN_S = 5.0
#: Seconds until SIGKILL, in the order of the stop. Together they stay below the 15 s of the design.
_WORKERS_GRACE_S, _CONTROL_GRACE_S, _BROKER_GRACE_S = 8.0, 3.0, 2.5


class BrokerPart:
    """The embedded broker as a restarted part: when started it is ready."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    @property
    def pid(self) -> int:
        """Process id of the latest start."""
        return self._broker.pid

    async def start(self) -> None:
        """Start it and return when topics can be created. Raises BrokerError."""
        await self._broker.start()
        await self._broker.wait_ready(START_S)

    async def wait_ready(self) -> None:
        """Return at once: it is ready when started."""

    async def wait(self) -> int:
        """Its exit code, once it has exited."""
        return await self._broker.wait()


class Up:
    """The whole system with one data directory. Use within `run_dir.only_one`."""

    def __init__(self, settings: Settings, token: str, log_out: BinaryIO) -> None:
        self._settings = settings
        self._token = token
        self._log_out = log_out
        self._broker = Broker(settings) if settings.kafka.bootstrap is None else None
        self._children: dict[str, Child] = {}
        self._parts: dict[str, RestartedPart] = {}
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def token(self) -> str:
        """The admin token."""
        return self._token

    @property
    def url(self) -> str:
        """URL of the web interface, from this machine."""
        return run_dir.web_url(self._settings)

    @property
    def bootstrap(self) -> str:
        """Bootstrap servers of the log, for clients."""
        return self._broker.bootstrap if self._broker else self._settings.bootstrap

    @property
    def _cluster(self) -> Cluster:
        return self._broker.cluster if self._broker else self._settings.cluster

    def pids(self) -> dict[str, int]:
        """Process ids of the parts that were started, by name."""
        return {name: restarted.part.pid for name, restarted in self._parts.items() if restarted.started}

    def ready_line(self) -> dict[str, Any]:
        """What `up --json` prints."""
        return {"ready": True, "url": self.url, "token": self._token, "bootstrap": self.bootstrap, "pids": self.pids()}

    async def start(self) -> None:
        """Start all parts and return when they are ready. Raises StartFailed, TopicsError."""
        _require_open_files()
        if self._broker:
            await self._until_ready(self._restart("broker", BrokerPart(self._broker)))
        # The embedded broker is running, however slow the machine; an external cluster may be down.
        await apply_topics(self._settings_below(), START_S if self._broker else _CLUSTER_S)
        if self._broker and self._settings.kafka.anonymous == "uploads":
            await create_acls(self._broker.cluster, ANONYMOUS, anonymous_acls(self._settings))
        for name in CHILDREN:
            self._children[name] = self._child(name)
        await self._until_ready(*[self._restart(name, child) for name, child in self._children.items()])
        run_dir.announce(self._settings, self.url)

    async def failure(self) -> None:
        """Wait for a part that cannot be restarted; raises its error, never returns."""
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            await task

    async def stop(self) -> None:
        """Stop all parts in order, within 15 s. Harmless to repeat, also after a partial start."""
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
        """Kill all child processes; `stop` is then quick."""
        for child in self._children.values():
            child.kill()

    def _restart(self, name: str, part: Part) -> RestartedPart:
        restarted = RestartedPart(name, part, on_start=self._write_pids, on_end=self._write_exits)
        self._parts[name] = restarted
        self._tasks.append(asyncio.create_task(restarted.run(), name=f"restart {name}"))
        return restarted

    def _write_pids(self) -> None:
        with _logged_errors():
            run_dir.write_pids(self._settings, self.pids())

    def _write_exits(self) -> None:
        with _logged_errors():
            ends = {name: part.ends for name, part in self._parts.items() if part.ends is not None}
            run_dir.write_ends(self._settings, ends)

    async def _until_ready(self, *parts: RestartedPart) -> None:
        """Return when all have been ready once. Raises the error of one that cannot be restarted."""
        readiness, failure = asyncio.ensure_future(_all_ready(parts)), asyncio.ensure_future(self.failure())
        try:
            await asyncio.wait({readiness, failure}, timeout=START_S, return_when=asyncio.FIRST_COMPLETED)
            if failure.done():
                failure.result()
            if not readiness.done():
                late = ", ".join(part.name for part in parts if not part.was_ready.is_set())
                raise StartFailed(f"Not ready after {START_S:.0f} s: {late}.")
        finally:
            readiness.cancel()
            failure.cancel()

    def _child(self, name: str) -> Child:
        settings = self._settings_below() if name == "web" else without_secrets(self._settings_below())
        environ = child_environ(settings, dict(os.environ))
        argv, nice = kinolog_argv(name), _NICE.get(name, 0)
        return Child(name, argv, environ, log_format=self._settings.log_format, out=self._log_out, nice=nice)

    def _settings_below(self) -> Settings:
        return settings_below(self._settings, self._cluster, bootstrap=self.bootstrap, token=self._token)


@contextlib.contextmanager
def _logged_errors() -> Iterator[None]:
    """Log errors of writing run files: a full disk must not stop the system."""
    try:
        yield
    except OSError as error:
        log.warning("run files cannot be written", extra={"error": str(error)})


def settings_below(settings: Settings, cluster: Cluster, *, bootstrap: str, token: str) -> Settings:
    """Settings of the child processes: one cluster, one token, a drain time that fits into the stop.

    `bootstrap`: for clients, unless the settings name others.
    """
    replace = msgspec.structs.replace
    settings = settings.with_cluster(cluster)
    return replace(
        settings,
        data_dir=str(settings.data_path),
        kafka=replace(settings.kafka, public_bootstrap=settings.kafka.public_bootstrap or bootstrap),
        auth=replace(settings.auth, token=token),
        executor=replace(settings.executor, drain_s=min(settings.executor.drain_s, DRAIN_S)),
        web=replace(settings.web, drain_s=min(settings.web.drain_s, DRAIN_S)),
    )


def without_secrets(settings: Settings) -> Settings:
    """Settings without tokens and keys of the interface: executors, which handle hostile media, need none."""
    return msgspec.structs.replace(settings, auth=Auth(enabled=settings.auth.enabled), compat=Compat())


def child_environ(settings: Settings, environ: dict[str, str]) -> dict[str, str]:
    """`environ` with these settings in place of any others."""
    others = {name: value for name, value in environ.items() if not name.startswith(PREFIX)}
    colour = {"FORCE_COLOR": "1"} if sys.stderr.isatty() else {}
    return {**others, **python_path(environ), **colour, **to_environ(settings)}


def _require_open_files() -> None:
    """Raise StartFailed where parts could not start, or would fail for other reasons than they give."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < _MIN_OPEN_FILES:
        raise StartFailed(
            f"A process may have {most} open files here, and kinolog needs {_MIN_OPEN_FILES}. Raise the hard limit: "
            "`ulimit -n`, `docker run --ulimit nofile=…`, or `LimitNOFILE=` of a unit.",
            2,
        )


async def with_web_port(settings: Settings, *, patience_s: float = 3.0) -> Settings:
    """Settings with a free web port. Raises StartFailed when web cannot listen on the configured one.

    Waits for a moment: a predecessor that was just killed may still hold it.
    """
    if settings.web.port == 0:
        return msgspec.structs.replace(settings, web=msgspec.structs.replace(settings.web, port=free_port()))
    deadline = time.monotonic() + patience_s
    while (refused := refusal(settings.web.port, settings.web.host)) is not None:
        if not refused.is_taken or time.monotonic() > deadline:
            raise StartFailed(f"{refused.reason} {refused.remedy}", 2)
        await asyncio.sleep(0.1)
    return settings


#: Runs while everything is up.
Body = Callable[[Up], Coroutine[Any, Any, None]]


async def _all_ready(parts: Iterable[RestartedPart]) -> None:
    for part in parts:
        await part.was_ready.wait()


async def run(settings: Settings, body: Body, log_out: BinaryIO | None = None) -> int:
    """Start everything, run `body` until it returns or a signal comes, and stop everything. Returns 0.

    Log lines of the children go to `log_out`, or stderr. Raises SettingsError, AlreadyUp, StartFailed, TopicsError, and
    what `body` raises. All processes have exited when it returns or raises.
    """
    stopping = StopSignals()
    require_closed(settings)
    require_data_dir(settings)
    with run_dir.only_one(settings):
        settings = await with_web_port(settings)
        up = Up(settings, run_dir.token_for(settings), log_out or sys.stderr.buffer)
        stopping.then_kill(up.kill)
        try:
            await stopping.unless(_serve(up, body))
        finally:
            await up.stop()
    return 0


async def _serve(up: Up, body: Body) -> None:
    await up.start()
    await body(up)


class StopSignals:
    """Stop signals: the first stops the system, a second kills it. Belongs to the running event loop."""

    def __init__(self) -> None:
        self._received = asyncio.Event()
        self._kill: Callable[[], None] = lambda: None
        nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        hangup = [] if nohup else [signal.SIGHUP]
        for number in (signal.SIGINT, signal.SIGTERM, *hangup):
            asyncio.get_running_loop().add_signal_handler(number, self._on_signal)

    def then_kill(self, kill: Callable[[], None]) -> None:
        """Set what a second signal does."""
        self._kill = kill

    async def unless(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` until it returns, or cancel it at a signal. Raises what `work` raises."""
        running, signalled = asyncio.ensure_future(work), asyncio.ensure_future(self._received.wait())
        await asyncio.wait({running, signalled}, return_when=asyncio.FIRST_COMPLETED)
        signalled.cancel()
        if not running.done():
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        elif (error := running.exception()) is not None:
            raise error

    def _on_signal(self) -> None:
        if self._received.is_set():
            log.warning("second signal, killing all processes")
            self._kill()
        else:
            log.info("stopping")
        self._received.set()


def print_ready(up: Up, *, as_json: bool) -> None:
    """Print the ready line: JSON, or the link to the page."""
    if as_json:
        click.echo(json.dumps(up.ready_line()))
    else:
        click.echo(f"\n  kinolog is up:  {page_link(up.url, up.token)}\n\n  Press Ctrl-C to stop.\n")


def page_link(url: str, token: str) -> str:
    """URL of the page with the token in its fragment: it is never sent, and the page removes it."""
    return f"{url}/#token={token}"
