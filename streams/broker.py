"""The embedded broker: one combined KRaft node on loopback, a child process that dies with us and can be started again."""

import asyncio
import base64
import contextlib
import fcntl
import logging
import os
import shutil
import subprocess
import threading
import time
import uuid
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from streams.jvm import BrokerError, Jvm, find_jvm
from streams.ports import free_port, is_free
from streams.settings import Settings
from streams.tether import tethered

log = logging.getLogger("kinolog.broker")

#: What the node is told, besides its addresses. Measured on 2 cores; see docs/broker.md for each figure.
PROPERTIES = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    "log.dirs": "log",  # relative to the working directory: a comma in a path would make it two folders
    "auto.create.topics.enable": "false",
    "num.partitions": "4",
    "offsets.topic.num.partitions": "4",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    # With the default of 9 s a restarted node waits out its own old registration: 10.8 s instead of 1.9 s.
    "broker.session.timeout.ms": "1000",
    "broker.heartbeat.interval.ms": "250",
    # No empty records while nothing happens: each is an fsync, every half second.
    "metadata.max.idle.interval.ms": "0",
    "controlled.shutdown.enable": "false",
    "num.network.threads": "1",
    "num.io.threads": "2",
    "num.recovery.threads.per.data.dir": "2",
    "background.threads": "2",
    "queued.max.requests": "100",
    "log.cleaner.threads": "1",
    "log.cleaner.dedupe.buffer.size": "2097152",
    "log.retention.check.interval.ms": "30000",
}

#: Seconds that a predecessor's broker is given to die after its parent did.
_PREDECESSOR_S = 5.0


class Broker:
    """One broker over `<data_dir>/kafka`. Nothing runs before `start`; after `stop`, or its death, `start` works again.

    Not bound to an event loop: it may be started in one and stopped in another.
    """

    def __init__(self, settings: Settings, jvm_options: Sequence[str] = ()) -> None:
        self._jvm_options = jvm_options
        self._folder = settings.data_path / "kafka"
        self._wanted_port = settings.kafka.port
        self._home = settings.kafka.home
        self._lock: IO[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._output: deque[str] = deque(maxlen=20)
        self._reader: threading.Thread | None = None
        self._port = 0
        self._jvm: Jvm | None = None
        self._suspect: Path | None = None  # the class-data archive in use, until the broker was ready with it

    @property
    def pid(self) -> int:
        """Process id of the broker. Raises BrokerError (not-started) before the first start."""
        if self._process is None:
            raise BrokerError("not-started", "the embedded broker was not started")
        return self._process.pid

    @property
    def bootstrap(self) -> str:
        """Where clients find it, "127.0.0.1:port"; known after the first start, and the same after every other."""
        return f"127.0.0.1:{self._port}"

    @property
    def running(self) -> bool:
        """Whether the process lives; it may not be ready yet."""
        return self._process is not None and self._process.poll() is None

    async def start(self) -> None:
        """Start the process and return at once; see `wait_ready`.

        Raises BrokerError: java-missing, java-too-old, jars-missing, data-dir-in-use, foreign-data, port-taken,
        broker-failed.
        """
        if self.running:
            return
        self._jvm = await find_jvm(self._home)
        if self._lock is None:
            self._lock = await take_lock(self._folder)
        try:
            await self._prepare(self._jvm)
            self._run(self._jvm, self._jvm.archive)
        except BaseException:
            self._unlock()
            raise

    async def wait_ready(self, within_s: float = 120.0) -> None:
        """Return when topics can be created. Raises BrokerError (broker-failed, broker-slow) with its last lines."""
        deadline = time.monotonic() + within_s
        blamed: Path | None = None
        while not await answers(self.bootstrap):
            if not self.running:
                blamed = self._again_without_archive()
            if time.monotonic() > deadline:
                raise BrokerError("broker-slow", f"the embedded broker is not ready after {within_s:.0f} s:\n{self._last_lines()}")
            await asyncio.sleep(0.05)
        if blamed is not None:
            blamed.unlink(missing_ok=True)

    async def wait(self) -> int:
        """Return the exit code once the process has ended; negative: the signal that killed it."""
        process = self._process
        if process is None:
            raise BrokerError("not-started", "the embedded broker was not started")
        await _ended(process)
        return process.wait()

    async def stop(self, within_s: float = 8.0) -> None:
        """End the process, by force after `within_s`, and give the data dir free. Harmless to repeat."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                await asyncio.wait_for(_ended(self._process), within_s)
            except TimeoutError:
                self._process.kill()  # nothing is lost: the log is recovered at the next start
                await _ended(self._process)
        if self._reader is not None:
            self._reader.join(timeout=1.0)
        self._unlock()

    async def _prepare(self, jvm: Jvm) -> None:
        if self._wanted_port and not is_free(self._wanted_port):
            raise BrokerError(
                "port-taken", f"port {self._wanted_port} is in use: end that process, or set KINOLOG_KAFKA__PORT (0: a free one)"
            )
        await format_folder(self._folder, jvm)
        self._port, controller_port = _ports(self._folder, self._wanted_port)
        write_properties(self._folder / "server.properties", self._port, controller_port)

    def _again_without_archive(self) -> Path:
        """The archive that the ended process used, after starting one without it. Raises BrokerError (broker-failed)."""
        suspect, self._suspect = self._suspect, None
        if suspect is None or self._jvm is None:
            raise BrokerError("broker-failed", f"the embedded broker ended while starting:\n{self._last_lines()}")
        log.warning("broker started again without its class-data archive", extra={"archive": str(suspect)})
        self._run(self._jvm, None)
        return suspect

    def _run(self, jvm: Jvm, archive: Path | None) -> None:
        assert self._lock is not None
        self._suspect = archive if archive is not None and archive.exists() else None
        shared = [f"-XX:SharedArchiveFile={self._suspect}", "-Xshare:auto"] if self._suspect else []
        self._output.clear()
        self._process = subprocess.Popen(
            tethered(jvm.command("kafka.Kafka", "server.properties", options=[*shared, *self._jvm_options])),
            cwd=self._folder,
            env=_environment(self._folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # The broker holds the lock too: should it outlive us for a moment, nobody else starts on its files.
            pass_fds=[self._lock.fileno()],
            start_new_session=True,  # Ctrl-C is ours to pass on, after those who still write
        )
        assert self._process.stdout is not None
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,), name="broker-log", daemon=True)
        self._reader.start()

    def _read(self, output: IO[bytes]) -> None:
        with output:
            for line in output:
                text = line.decode(errors="replace").rstrip()
                self._output.append(text)
                log.debug(text)

    def _last_lines(self) -> str:
        return "\n".join(self._output) or "(it wrote nothing)"

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None


async def take_lock(folder: Path) -> IO[str]:
    """The open lock file of `folder`, ours until it is closed. Raises BrokerError: data-dir-in-use, foreign-data."""
    _require_ours(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / "lock").open("a+")
    deadline = time.monotonic() + _PREDECESSOR_S
    while not _locked(lock):
        owner = _owner(lock)
        if (owner and _alive(owner)) or time.monotonic() > deadline:
            lock.close()
            raise BrokerError(
                "data-dir-in-use", f"{folder} belongs to the running process {owner or '?'}: end it, or set another KINOLOG_DATA_DIR"
            )
        await asyncio.sleep(0.05)
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def _locked(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _owner(lock: IO[str]) -> int | None:
    lock.seek(0)
    text = lock.read().strip()
    return int(text) if text.isdigit() else None


def _alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def _require_ours(folder: Path) -> None:
    """A folder with content but without our mark was made by something else."""
    if not folder.exists() or (folder / "lock").exists():
        return
    if next(folder.iterdir(), None) is not None:
        raise BrokerError("foreign-data", f"{folder} was not made by kinolog: move it away, or set another KINOLOG_DATA_DIR")


async def format_folder(folder: Path, jvm: Jvm) -> None:
    """Make the node's storage in `folder`/log, once: prepared beside it and renamed, so that it is whole or absent.

    Raises BrokerError: foreign-data when there is storage of another cluster or node, broker-failed.
    """
    cluster = _cluster_id(folder)
    if (folder / "log").exists():
        return _require_same_cluster(folder / "log", cluster)
    room = folder / "format"
    shutil.rmtree(room, ignore_errors=True)
    room.mkdir()
    write_properties(room / "server.properties", 9092, 9093)
    arguments = ["format", "--standalone", "--ignore-formatted", "-t", cluster, "-c", "server.properties"]
    await _run_tool(jvm.command("kafka.tools.StorageTool", *arguments), room)
    (room / "log").rename(folder / "log")
    shutil.rmtree(room)


async def _run_tool(command: list[str], folder: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *tethered(command), cwd=folder, env=_environment(folder), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise BrokerError("broker-failed", f"Kafka could not format {folder}:\n{output.decode(errors='replace').strip()}")


def _cluster_id(folder: Path) -> str:
    path = folder / "cluster-id"
    if not path.exists():
        fresh = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "0")
        _write_whole(path, fresh)
    return path.read_text().strip()


def _require_same_cluster(logs: Path, cluster: str) -> None:
    meta = logs / "meta.properties"
    lines = meta.read_text().splitlines() if meta.exists() else []
    found = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    if (found.get("cluster.id"), found.get("node.id")) != (cluster, PROPERTIES["node.id"]):
        raise BrokerError(
            "foreign-data",
            f"{logs} holds node {found.get('node.id', '?')} of cluster {found.get('cluster.id', '?')}, not node 1 of {cluster}: "
            "move it away, or set another KINOLOG_DATA_DIR",
        )


def _ports(folder: Path, wanted: int) -> tuple[int, int]:
    """Client and controller port: those of the last time where they are free, so that a restart is found again."""
    path = folder / "ports"
    last = [int(word) for word in path.read_text().split()] if path.exists() else [0, 0]
    port = wanted or _again_or_free(last[0])
    controller = _again_or_free(last[1])
    _write_whole(path, f"{port} {controller}")
    return port, controller


def _again_or_free(last: int) -> int:
    return last if last and is_free(last) else free_port()


def write_properties(path: Path, port: int, controller_port: int) -> None:
    """The node's configuration file."""
    addresses = {
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "controller.quorum.bootstrap.servers": f"127.0.0.1:{controller_port}",
    }
    _write_whole(path, "".join(f"{name}={value}\n" for name, value in (PROPERTIES | addresses).items()))


def _write_whole(path: Path, text: str) -> None:
    beside = path.with_name(path.name + ".new")
    beside.write_text(text)
    beside.replace(path)


def _environment(folder: Path) -> dict[str, str]:
    """What java is started with in `folder`: paths are UTF-8 whatever the locale, and its temporary folder is empty."""
    scratch = folder / "tmp"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    return {**os.environ, "LC_ALL": "C.UTF-8"}


async def answers(bootstrap: str) -> bool:
    """Whether the broker at `bootstrap` (one "host:port") takes requests now."""
    host, _, port = bootstrap.rpartition(":")
    try:
        _, writer = await asyncio.open_connection(host, int(port))
    except OSError:
        return False  # nobody listens yet: found out without a Kafka client and its log lines
    writer.close()
    client = AIOKafkaClient(bootstrap_servers=bootstrap, request_timeout_ms=2_000)
    try:
        await client.bootstrap()
        return bool(client.cluster.brokers())
    except (KafkaError, OSError):
        return False  # not yet: the caller has the deadline
    finally:
        await client.close()


async def _ended(process: "subprocess.Popen[bytes]") -> None:
    """Wait without polling and without the event loop's own child watcher. Source: pidfd_open(2)."""
    if process.poll() is not None:
        return
    loop = asyncio.get_running_loop()
    ended = loop.create_future()
    fd = os.pidfd_open(process.pid)
    try:
        loop.add_reader(fd, lambda: ended.done() or ended.set_result(None))
        await ended
    finally:
        loop.remove_reader(fd)
        os.close(fd)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0)
