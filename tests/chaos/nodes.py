"""The log of a chaos run: the embedded broker, or three combined KRaft nodes on loopback."""

import asyncio
import contextlib
import os
import signal
import subprocess
from pathlib import Path
from typing import Protocol

from aiokafka.errors import KafkaError

from processors.tools.child_process import tethered
from streams.broker.files import PROPERTIES
from streams.broker.jvm import Jvm, find_jvm
from streams.broker.process import Broker, responds
from streams.cluster import Cluster
from streams.kafka.admin_client import admin_client
from streams.process.ports import free_port
from streams.settings import load
from tests.chaos.processes import Service
from tests.power_cut import Disk

_CLUSTER_ID = "Y2hhb3MtY2hhb3MtY2hhbw"
_READY_S = 60.0
#: Until a node that comes back has all records again.
_IN_STEP_S = 120.0
#: For one question about it.
_ASK_S = 5.0

#: What three nodes need beside the embedded broker's settings.
_THREE = {
    "inter.broker.listener.name": "PLAINTEXT",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
    "default.replication.factor": "3",
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "share.coordinator.state.topic.replication.factor": "3",
    "share.coordinator.state.topic.min.isr": "2",
    "controller.quorum.election.timeout.ms": "500",
    "controller.quorum.fetch.timeout.ms": "1000",
    "replica.lag.time.max.ms": "5000",
}


class Nodes(Protocol):
    """The brokers of a run."""

    names: tuple[str, ...]
    #: Replicas of each topic.
    replicas: int

    @property
    def bootstrap(self) -> str:
        """Where clients find them."""

    async def start(self) -> None:
        """Return when topics can be created."""

    async def down(self, name: str, seconds: float) -> None:
        """SIGKILL one, and start it again after `seconds`."""

    async def freeze(self, name: str, seconds: float) -> None:
        """SIGSTOP one for `seconds`."""

    def ports(self, name: str) -> tuple[int, ...]:
        """Where one listens."""

    def folder(self, name: str) -> Path:
        """Where one keeps its log. There before it starts."""

    async def stop(self) -> None:
        """End all."""


class OneNode:
    """The broker that comes with `kinolog up`."""

    names: tuple[str, ...] = ("broker-1",)
    replicas = 1

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._broker = Broker(
            load({"KINOLOG_DATA_DIR": str(folder), "KINOLOG_KAFKA__PORT": "0", "KINOLOG_KAFKA__ANONYMOUS": "all"})
        )

    @property
    def bootstrap(self) -> str:
        """See Nodes."""
        return self._broker.bootstrap

    async def start(self) -> None:
        """See Nodes."""
        await self._broker.start()
        await self._broker.wait_ready(_READY_S)

    async def down(self, name: str, seconds: float) -> None:
        """See Nodes."""
        with contextlib.suppress(ProcessLookupError):  # it has ended by itself
            os.kill(self._broker.pid, signal.SIGKILL)
        await self._broker.wait()
        await asyncio.sleep(seconds)
        await self.start()

    async def freeze(self, name: str, seconds: float) -> None:
        """See Nodes."""
        pid = self._broker.pid
        os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(seconds)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    def ports(self, name: str) -> tuple[int, ...]:
        """See Nodes."""
        return (int(self.bootstrap.rpartition(":")[2]),)

    def folder(self, name: str) -> Path:
        """See Nodes."""
        return self._folder

    async def stop(self) -> None:
        """See Nodes."""
        await self._broker.stop()


class ThreeNodes:
    """Three nodes, each broker and controller; every topic on all of them, two must have a record."""

    names: tuple[str, ...] = ("broker-1", "broker-2", "broker-3")
    replicas = 3

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = {name: (free_port(), free_port()) for name in self.names}
        self._nodes: dict[str, Service] = {}

    @property
    def bootstrap(self) -> str:
        """See Nodes."""
        return ",".join(f"127.0.0.1:{port}" for port, _ in self._ports.values())

    async def start(self) -> None:
        """See Nodes."""
        jvm = await find_jvm()
        for number, name in enumerate(self.names, 1):
            self._format(jvm, number, name)
            await self._node(jvm, name).start()
        async with asyncio.timeout(_READY_S):
            for port, _ in self._ports.values():
                while not await responds(Cluster(f"127.0.0.1:{port}")):
                    await asyncio.sleep(0.2)

    def _format(self, jvm: Jvm, number: int, name: str) -> None:
        home = self.folder(name)
        (home / "tmp").mkdir(parents=True)
        client, controller = self._ports[name]
        voters = ",".join(f"{n}@127.0.0.1:{self._ports[peer][1]}" for n, peer in enumerate(self.names, 1))
        own = {
            "node.id": str(number),
            "controller.quorum.voters": voters,
            "listeners": f"PLAINTEXT://127.0.0.1:{client},CONTROLLER://127.0.0.1:{controller}",
        }
        lines = [f"{name}={value}\n" for name, value in (PROPERTIES | _THREE | own).items()]
        (home / "server.properties").write_text("".join(lines))
        command = jvm.command("kafka.tools.StorageTool", "format", "-t", _CLUSTER_ID, "-c", "server.properties")
        subprocess.run(tethered(command), cwd=home, check=True, capture_output=True, timeout=_READY_S)
        os.sync()  # whoever set a machine up did that long ago

    def _node(self, jvm: Jvm, name: str) -> Service:
        home = self.folder(name)
        shared = [f"-XX:SharedArchiveFile={jvm.archive}", "-Xshare:auto"] if jvm.archive.exists() else []
        argv = jvm.command("kafka.Kafka", "server.properties", options=shared)
        self._nodes[name] = Service(name, ["env", "-C", str(home), *argv], os.environ, self._folder / f"{name}.log")
        return self._nodes[name]

    async def down(self, name: str, seconds: float) -> None:
        """See Nodes."""
        node = self._nodes[name]
        node.hold_s = seconds
        node.send(signal.SIGKILL)
        await asyncio.sleep(seconds)

    async def freeze(self, name: str, seconds: float) -> None:
        """See Nodes."""
        await self._nodes[name].freeze(seconds)

    async def in_step(self) -> None:
        """Return when every replica has all records."""
        async with asyncio.timeout(_IN_STEP_S):
            while not await self._are_in_step():
                await asyncio.sleep(0.5)

    async def _are_in_step(self) -> bool:
        """Whether all three have every partition's records, as each of the living says."""
        try:
            async with admin_client(Cluster(self.bootstrap), _ASK_S) as admin:
                topics = await admin.describe_topics()
        except (KafkaError, OSError, TimeoutError):
            return False
        partitions = [partition for topic in topics for partition in topic["partitions"]]
        return all(len(partition["isr"]) == self.replicas for partition in partitions)

    async def cut_power(self, name: str, disk: Disk, seconds: float) -> None:
        """End one without what it has not synced to its disk, and start it again after `seconds`."""
        node = self._nodes[name]
        node.send(signal.SIGSTOP)
        await asyncio.to_thread(disk.cut)
        async with node.held:
            node.send(signal.SIGKILL)
            await asyncio.to_thread(disk.unplug)
            await asyncio.sleep(seconds)
            await asyncio.to_thread(disk.plug_in)

    def ports(self, name: str) -> tuple[int, ...]:
        """See Nodes."""
        return self._ports[name]

    def folder(self, name: str) -> Path:
        """See Nodes."""
        return self._folder / name

    async def stop(self) -> None:
        """See Nodes."""
        await asyncio.gather(*(node.retire() for node in self._nodes.values()))
