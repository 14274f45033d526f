"""What the embedded broker keeps in `<data_dir>/kafka`: lock, cluster id, ports, configuration, log."""

import asyncio
import base64
import fcntl
import os
import shutil
import subprocess
import time
import uuid
from pathlib import Path
from typing import IO

from processors.tools.child_process import tethered
from streams.broker.jvm import BrokerError, Jvm
from streams.process.ports import free_port, is_free

#: What the node is told, besides its addresses.
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
    # After a SIGKILL a node waits out its own old registration: 10.8 s with the default of 9 s. With 1 s a starved
    # machine fenced a living broker (NotLeaderForPartition for 50 s); 3 s rides that out.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
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


async def take_lock(folder: Path) -> IO[str]:
    """The open lock file of `folder`, ours until it is closed. Raises BrokerError: data-dir-in-use, foreign-data."""
    lock = _open_lock(folder)
    deadline = time.monotonic() + _PREDECESSOR_S
    while not _locked(lock):
        owner = _owner(lock)
        if (owner and _alive(owner)) or time.monotonic() > deadline:
            lock.close()
            raise BrokerError(
                "data-dir-in-use",
                f"{folder} belongs to the running process {owner or '?'}: end it, or set another KINOLOG_DATA_DIR",
            )
        await asyncio.sleep(0.05)
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock


def _open_lock(folder: Path) -> IO[str]:
    """A folder with content but without a lock file was made by something else."""
    if folder.exists() and not (folder / "lock").exists() and any(folder.iterdir()):
        raise BrokerError(
            "foreign-data", f"{folder} was not made by kinolog: move it away, or set another KINOLOG_DATA_DIR"
        )
    folder.mkdir(parents=True, exist_ok=True)
    return (folder / "lock").open("a+")


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


async def format_log(folder: Path, jvm: Jvm) -> None:
    """Make the node's log in `folder`, once: prepared beside its place and renamed, so that it is whole or absent.

    Raises BrokerError: foreign-data when there is one of another cluster or node, broker-failed.
    """
    cluster = _cluster_id(folder)
    if not require_same_cluster(folder / "log", cluster):
        room = _fresh_folder(folder / "format")
        write_properties(room / "server.properties", 9092, 9093)
        arguments = ["format", "--standalone", "--ignore-formatted", "-t", cluster, "-c", "server.properties"]
        await _run_tool(jvm.command("kafka.tools.StorageTool", *arguments), room)
        (room / "log").rename(folder / "log")
        shutil.rmtree(room)


async def _run_tool(command: list[str], folder: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *tethered(command), cwd=folder, env=environment(folder), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    output, _ = await process.communicate()
    if process.returncode:
        text = output.decode(errors="replace").strip()
        raise BrokerError("broker-failed", f"Kafka could not format {folder}:\n{text}")


def _cluster_id(folder: Path) -> str:
    path = folder / "cluster-id"
    if not path.exists():
        fresh = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "0")
        _write_whole(path, fresh)
    return path.read_text().strip()


def require_same_cluster(logs: Path, cluster: str) -> bool:
    """Whether there is a formatted log. Raises BrokerError (foreign-data) when it is not node 1 of `cluster`."""
    if not logs.exists():
        return False
    meta = logs / "meta.properties"
    lines = meta.read_text().splitlines() if meta.exists() else []
    found = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    if (found.get("cluster.id"), found.get("node.id")) != (cluster, PROPERTIES["node.id"]):
        theirs = f"node {found.get('node.id', '?')} of cluster {found.get('cluster.id', '?')}"
        raise BrokerError(
            "foreign-data",
            f"{logs} holds {theirs}, not node 1 of {cluster}: move it away, or set another KINOLOG_DATA_DIR",
        )
    return True


def choose_ports(folder: Path, wanted: int) -> tuple[int, int]:
    """Client and controller port: those of the last time where they are free, so that a restart is found again.

    Raises BrokerError (port-taken) when `wanted` is neither 0 nor free.
    """
    if wanted and not is_free(wanted):
        raise BrokerError(
            "port-taken", f"port {wanted} is in use: end that process, or set KINOLOG_KAFKA__PORT (0: a free one)"
        )
    path = folder / "ports"
    last = [int(word) for word in path.read_text().split()] if path.exists() else [0, 0]
    port, controller = wanted or _again_or_free(last[0]), _again_or_free(last[1])
    _write_whole(path, f"{port} {controller}")
    return port, controller


def kept_port(folder: Path) -> int:
    """The client port of the last start; 0 when there was none."""
    path = folder / "ports"
    return int(path.read_text().split()[0]) if path.exists() else 0


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


def environment(folder: Path) -> dict[str, str]:
    """What java is started with in `folder`: paths are UTF-8 whatever the locale, and its temporary folder is empty."""
    _fresh_folder(folder / "tmp")
    return {**os.environ, "LC_ALL": "C.UTF-8"}


def _fresh_folder(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder
