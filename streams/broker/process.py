"""The embedded broker: a single KRaft node on loopback, as a child process that dies with its parent."""

import asyncio
import contextlib
import logging
import os
import subprocess
import threading
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from processors.tools.child_process import tethered
from streams.broker import access
from streams.broker.files import Ports, choose_ports, environment, format_log, last_ports, take_lock, write_properties
from streams.broker.jvm import BrokerError, Jvm, find_jvm
from streams.cluster import Cluster
from streams.settings import Settings

log = logging.getLogger("kinolog.broker")


def running_cluster(folder: Path) -> Cluster:
    """The embedded broker with its data in `folder`, which runs, as kinolog's processes reach it."""
    return access.own_cluster(folder, last_ports(folder).internal)


class Broker:
    """A broker with its data in `<data_dir>/kafka`. It can be started again after `stop` or after its exit.

    Not bound to an event loop: it may be started in one and stopped in another.
    """

    def __init__(self, settings: Settings, jvm_options: Sequence[str] = ()) -> None:
        self._folder = settings.data_path / "kafka"
        self._configured_port = settings.kafka.port
        self._home = settings.kafka.home
        self._jvm_options = jvm_options
        self._lock: IO[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._output: deque[str] = deque(maxlen=20)
        self._reader: threading.Thread | None = None
        self._anonymous = settings.kafka.anonymous
        self._ports = Ports(0, 0, 0)
        self._jvm: Jvm | None = None
        self._suspect: Path | None = None  # the class-data archive in use, until the broker was ready with it

    @property
    def pid(self) -> int:
        """Process id of the broker. Raises BrokerError (not-started) before the first start."""
        return self._started().pid

    @property
    def bootstrap(self) -> str:
        """Bootstrap server of clients, "127.0.0.1:port"; known after the first start, the same after a restart."""
        return f"127.0.0.1:{self._ports.public}"

    @property
    def cluster(self) -> Cluster:
        """The broker as kinolog's processes reach it, with all rights; known after the first start."""
        return access.own_cluster(self._folder, self._ports.internal)

    @property
    def running(self) -> bool:
        """Whether the process runs; it may not be ready yet."""
        return self._process is not None and self._process.poll() is None

    async def start(self) -> None:
        """Start the process unless it runs, and return at once; see `wait_ready`.

        Raises BrokerError: java-missing, java-too-old, jars-missing, data-dir-in-use, foreign-data, port-taken,
        broker-failed.
        """
        if self.running:
            return
        self._jvm = await find_jvm(self._home)
        if self._lock is None:
            self._lock = await take_lock(self._folder)
        try:
            properties = access.properties(access.password_in(self._folder), self._anonymous)
            await format_log(self._folder, self._jvm, properties)
            self._ports = choose_ports(self._folder, self._configured_port, anonymous=self._anonymous != "none")
            write_properties(self._folder / "server.properties", self._ports, properties)
            access.write_client_properties(self._folder, self.cluster)
            self._run(self._jvm, self._jvm.archive)
        except BaseException:
            self._unlock()
            raise

    async def wait_ready(self, within_s: float = 120.0) -> None:
        """Return when topics can be created. Raises BrokerError (broker-failed, broker-slow) with its output."""
        deadline = time.monotonic() + within_s
        suspect: Path | None = None
        while not await responds(self.cluster):
            if not self.running:
                suspect = self._again_without_archive()
            if time.monotonic() > deadline:
                raise BrokerError("broker-slow", self._with_output(f"is not ready after {within_s:.0f} s"))
            await asyncio.sleep(0.05)
        if suspect is not None:
            suspect.unlink(missing_ok=True)

    async def wait(self) -> int:
        """Return the exit code once the process has exited; negative: the signal that killed it."""
        process = self._started()
        await _exited(process)
        return process.wait()

    async def stop(self, within_s: float = 8.0) -> None:
        """Stop the process, with SIGKILL after `within_s`, and release the data directory. Harmless to repeat."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                await asyncio.wait_for(_exited(self._process), within_s)
            except TimeoutError:
                self._process.kill()  # nothing is lost: the log is recovered at the next start
                await _exited(self._process)
            self._process.wait()
        if self._reader is not None:
            self._reader.join(timeout=1.0)
        self._unlock()

    def _started(self) -> "subprocess.Popen[bytes]":
        if self._process is None:
            raise BrokerError("not-started", "The embedded broker was not started.")
        return self._process

    def _again_without_archive(self) -> Path:
        """Restart without the archive that was used, and return its path. Raises BrokerError (broker-failed)."""
        suspect, self._suspect = self._suspect, None
        if suspect is None or self._jvm is None:
            raise BrokerError("broker-failed", self._with_output("exited while starting"))
        log.warning("broker restarted without its class-data archive", extra={"archive": str(suspect)})
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
            env=environment(self._folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # The broker holds the lock too: if it outlives us for a moment, no other one starts with its files.
            pass_fds=[self._lock.fileno()],
            start_new_session=True,  # Ctrl-C must not reach it before its clients have stopped
        )
        self._reader = threading.Thread(target=self._read, args=[self._process.stdout], name="broker-log", daemon=True)
        self._reader.start()

    def _read(self, output: IO[bytes]) -> None:
        with output:
            for line in output:
                text = line.decode(errors="replace").rstrip()
                self._output.append(text)
                log.debug(text)

    def _with_output(self, what: str) -> str:
        return f"The embedded broker {what}:\n" + ("\n".join(self._output) or "(no output)")

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None


async def responds(cluster: Cluster) -> bool:
    """Whether a broker, the cluster's only bootstrap server, responds."""
    host, _, port = cluster.bootstrap.rpartition(":")
    try:
        _, writer = await asyncio.open_connection(host, int(port))
    except OSError:
        return False  # not listening yet: tested without a Kafka client and its log lines
    writer.close()
    with contextlib.suppress(OSError):  # reset by a broker that is starting
        await writer.wait_closed()
    client = AIOKafkaClient(**cluster.client_options(), request_timeout_ms=2_000)
    try:
        await client.bootstrap()
        return bool(client.cluster.brokers())
    except (KafkaError, OSError):
        return False  # not yet: the caller has the deadline
    finally:
        await client.close()


async def _exited(process: "subprocess.Popen[bytes]") -> None:
    """Wait without polling and without the event loop's own child watcher. Source: pidfd_open(2)."""
    if process.poll() is not None:
        return
    loop = asyncio.get_running_loop()
    exited = asyncio.Event()
    fd = os.pidfd_open(process.pid)
    try:
        loop.add_reader(fd, exited.set)
        await exited.wait()
    finally:
        loop.remove_reader(fd)
        os.close(fd)
