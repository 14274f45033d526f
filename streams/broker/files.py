"""The files of the embedded broker in `<data_dir>/kafka`: lock, cluster id, ports, configuration, log."""

import asyncio
import base64
import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Container, Mapping
from pathlib import Path
from typing import IO, NamedTuple

from processors.storage.durability import sync, sync_tree
from processors.tools.child_process import tethered
from streams.broker.jvm import BrokerError, Jvm
from streams.process.files import write_atomically
from streams.process.locks import Locked, lock
from streams.process.ports import free_port, is_free, refusal

#: Configuration of the node, without its listeners and their authentication.
PROPERTIES = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
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
    "num.io.threads": "8",
    "num.recovery.threads.per.data.dir": "2",
    "background.threads": "2",
    "queued.max.requests": "100",
    "log.cleaner.threads": "1",
    "log.cleaner.dedupe.buffer.size": "2097152",
    "log.retention.check.interval.ms": "30000",
    # How often `flush.ms` of topics is looked at: see KINOLOG_KAFKA__FLUSH_MS.
    "log.flush.scheduler.interval.ms": "250",
}

_LOCK = "lock"
#: Seconds that the broker of a killed parent may take to die.
_PREDECESSOR_S = 5.0


async def take_lock(folder: Path) -> IO[str]:
    """The lock of `folder`, held until the file is closed. Raises BrokerError: data-dir-in-use, foreign-data."""
    _require_own(folder)
    deadline = time.monotonic() + _PREDECESSOR_S
    while True:
        try:
            return lock(folder / _LOCK)
        except Locked as error:
            if _is_alive(error.pid) or time.monotonic() > deadline:
                raise BrokerError(
                    "data-dir-in-use",
                    f"{folder} is in use by process {error.pid or 'unknown'}. "
                    "Stop it, or choose another KINOLOG_DATA_DIR.",
                ) from error
        await asyncio.sleep(0.05)


def _is_alive(pid: int | None) -> bool:
    return pid is not None and Path(f"/proc/{pid}").exists()


def _require_own(folder: Path) -> None:
    """Create the folder. One that has content but no lock file was made by something else. Raises BrokerError."""
    if folder.exists() and not (folder / _LOCK).exists() and any(folder.iterdir()):
        raise BrokerError(
            "foreign-data", f"{folder} was not made by kinolog. Move it away, or choose another KINOLOG_DATA_DIR."
        )
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)  # the log has what all owners uploaded


async def format_log(folder: Path, jvm: Jvm, access: Mapping[str, str]) -> None:
    """Format the node's log in `folder` unless it is; it is renamed into place, so that it is complete or absent.

    Raises BrokerError: foreign-data for the log of another cluster or node, broker-failed.
    """
    cluster = _cluster_id(folder)
    if not require_same_cluster(folder / "log", cluster):
        staging = _fresh_folder(folder / "format")
        write_properties(staging / "server.properties", Ports(9092, 9093, 9094), access)
        arguments = ["format", "--standalone", "--ignore-formatted", "-t", cluster, "-c", "server.properties"]
        await _run_tool(jvm.command("kafka.tools.StorageTool", *arguments), staging)
        await asyncio.to_thread(_move_synced, staging / "log", folder / "log")
        shutil.rmtree(staging)


def _move_synced(source: Path, target: Path) -> None:
    """Kafka does not sync what it formats, and an empty file of it keeps the broker from starting for ever."""
    sync_tree(source, [path for path in source.rglob("*") if path.is_file()])
    source.rename(target)
    sync(target.parent)


async def _run_tool(command: list[str], folder: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *tethered(command), cwd=folder, env=environment(folder), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    output, _ = await process.communicate()
    if process.returncode:
        text = output.decode(errors="replace").strip()
        raise BrokerError("broker-failed", f"Kafka cannot format {folder}:\n{text}")


def _cluster_id(folder: Path) -> str:
    path = folder / "cluster-id"
    if not path.exists():
        new_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "0")
        write_atomically(path, new_id)
    return path.read_text().strip()


def require_same_cluster(logs: Path, cluster: str) -> bool:
    """Whether there is a formatted log. Raises BrokerError (foreign-data) if it is not that of node 1 of `cluster`."""
    if not logs.exists():
        return False
    meta = logs / "meta.properties"
    lines = meta.read_text().splitlines() if meta.exists() else []
    properties = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    if (properties.get("cluster.id"), properties.get("node.id")) != (cluster, PROPERTIES["node.id"]):
        owner = f"node {properties.get('node.id', '?')} of cluster {properties.get('cluster.id', '?')}"
        raise BrokerError(
            "foreign-data",
            f"{logs} belongs to {owner}, not to node 1 of {cluster}. Move it away, or choose another KINOLOG_DATA_DIR.",
        )
    return True


class Ports(NamedTuple):
    """The ports of the node, all on loopback."""

    #: For clients without a credential; 0: there is none.
    client: int
    controller: int
    #: For clients with the credential.
    internal: int

    @property
    def public(self) -> int:
        """The port that clients other than kinolog's processes use."""
        return self.client or self.internal


def choose_ports(folder: Path, configured: int, *, anonymous: bool) -> Ports:
    """The last ports if they are free, so that clients find a restarted broker; otherwise any free ones.

    `anonymous`: whether clients without a credential get a port. Raises BrokerError (port-taken) if `configured`, the
    public port, is neither 0 nor free.
    """
    if configured and (refused := refusal(configured, section="KAFKA")) is not None:
        raise BrokerError("port-taken", f"{refused.reason} {refused.remedy}")
    last = last_ports(folder)
    public = configured or _same_or_free(last.public, ())
    controller = _same_or_free(last.controller, (public,))
    internal = _same_or_free(last.internal, (public, controller))
    ports = Ports(public, controller, internal) if anonymous else Ports(0, controller, public)
    write_atomically(folder / "ports", " ".join(map(str, ports)))
    return ports


def last_ports(folder: Path) -> Ports:
    """The ports of the last start; 0 for each that there was not."""
    path = folder / "ports"
    kept = [int(word) for word in path.read_text().split()] if path.exists() else []
    return Ports(*[*kept, 0, 0, 0][:3])


def _same_or_free(last: int, taken: Container[int]) -> int:
    port = last if last and is_free(last) else free_port()
    while port in taken:
        port = free_port()
    return port


def write_properties(path: Path, ports: Ports, access: Mapping[str, str]) -> None:
    """Write the node's configuration file. `access`: of `streams.broker.access.properties`."""
    listeners = {"PLAINTEXT": ports.client, "INTERNAL": ports.internal, "CONTROLLER": ports.controller}
    addresses = {
        "listeners": ",".join(f"{name}://127.0.0.1:{port}" for name, port in listeners.items() if port),
        "controller.quorum.bootstrap.servers": f"127.0.0.1:{ports.controller}",
    }
    lines = [f"{name}={value}\n" for name, value in (PROPERTIES | dict(access) | addresses).items()]
    write_atomically(path, "".join(lines), 0o600)


def environment(folder: Path) -> dict[str, str]:
    """Environment of java in `folder`: UTF-8 paths in any locale, and an empty temporary folder."""
    _fresh_folder(folder / "tmp")
    return {**os.environ, "LC_ALL": "C.UTF-8"}


def _fresh_folder(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder
