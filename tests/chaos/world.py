"""A whole deployment for a chaos run: brokers, Redis, two controls, three executors, two web replicas, an origin."""

import asyncio
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import aiohttp

from streams.data_files import pipelines_dir
from streams.kafka.admin import apply_topics
from streams.kafka.topics import names, required_topics
from streams.process.ports import free_port
from streams.settings import Settings, load
from tests.chaos import clockwork, disks
from tests.chaos.bucket import Bucket
from tests.chaos.callers import OPERATOR, TOKENS
from tests.chaos.nodes import Nodes, OneNode, ThreeNodes
from tests.chaos.origin import Origin
from tests.chaos.processes import Service
from tests.chaos.schedule import CONTROLS, EXECUTORS, GUEST, SMALL_DISKS, WEBS, Allowed
from tests.power_cut import Disk

_ROOT = str(Path(__file__).resolve().parents[2])
PARTITIONS = 4
#: Room on the small disks, in the store, and for a broker's log.
_SMALL_MB, _STORE_MB, _BROKER_MB = 48, 400, 4096
_READY_S = 90.0

#: Beside the pipelines that kinolog comes with.
_PIPELINES = {
    "sleepy": {"sleep_s": 3.0, "progress_messages": 10},
    "failing": {"fail_with": "asked-to", "progress_messages": 2},
}

_TIMES = {
    "KINOLOG_PARTITIONS": str(PARTITIONS),
    "KINOLOG_LEASE__TTL_S": "4",
    "KINOLOG_LEASE__HEARTBEAT_S": "1",
    "KINOLOG_REDIS__LEASE_S": "3",
    "KINOLOG_EXECUTOR__DRAIN_S": "3",
    "KINOLOG_EXECUTOR__CPUS": "1",
    "KINOLOG_WEB__LIVE_SNAPSHOT_JOBS": "100000",
    "KINOLOG_AUTH__TOKEN": OPERATOR,
    "KINOLOG_AUTH__TOKENS": json.dumps(TOKENS),
    "KINOLOG_STORE__OWNER_PREFIXES": json.dumps({"*": ["x", "nowhere"]}),
    "KINOLOG_AUTH__SIGNING_SECRET": "chaos" * 7,
    "KINOLOG_DOWNLOAD__STALL_S": "5",
    "KINOLOG_LOG_FORMAT": "json",
}


class World:
    """Everything that runs, by name. Nothing runs before `start`."""

    def __init__(self, folder: Path, brokers: int, allowed: Allowed, *, bucket: bool) -> None:
        self.folder, self._allowed = folder, allowed
        #: Where artifacts are: there, or else in the folder `store`.
        self.bucket = Bucket(folder) if bucket else None
        self.store = folder / "store"
        self.clocks = {name: folder / f"{name}.clock" for name in (*CONTROLS, *EXECUTORS, *WEBS)}
        self.nodes: Nodes = OneNode(folder / "broker") if brokers == 1 else ThreeNodes(folder / "brokers")
        self.ports = {name: free_port() for name in (*WEBS, "redis")}
        self.services: dict[str, Service] = {}
        #: Disks of the brokers, by name, from which the power can be taken.
        self.power: dict[str, Disk] = {}
        self.origin = Origin()

    @property
    def urls(self) -> dict[str, str]:
        """Where each replica answers."""
        return {name: f"http://127.0.0.1:{self.ports[name]}" for name in WEBS}

    @property
    def logs(self) -> dict[str, Path]:
        """Where each process writes its log."""
        return {name: self.folder / f"{name}.log" for name in self.services}

    async def start(self) -> None:
        """Return when both replicas answer from a complete read model."""
        self._prepare_disks()
        self._write_pipelines()
        await self.origin.start()
        if self.bucket is not None:
            await self.bucket.start()
        await self.nodes.start()
        await apply_topics(self.settings())
        for service in self._make_services():
            self.services[service.name] = service
            await service.start()
        async with asyncio.timeout(_READY_S), aiohttp.ClientSession() as session:
            for url in self.urls.values():
                while not await _is_ready(session, url):
                    await asyncio.sleep(0.2)

    async def stop(self) -> dict[str, int | None]:
        """End everything but store and log; exit codes by name."""
        ends = await asyncio.gather(*(service.retire() for service in self.services.values()))
        await self.origin.stop()
        return dict(zip(self.services, ends, strict=True))

    async def stop_store_and_log(self) -> None:
        """End them too."""
        if self.bucket is not None:
            await self.bucket.stop()
        await self.nodes.stop()

    async def rebuild_check(self) -> list[dict[str, Any]]:
        """What `kinolog doctor --rebuild-check` says of the running system."""
        argv = [sys.executable, "-P", "-m", "streams.cli", "doctor", "--rebuild-check", "--json"]
        environ = {**os.environ, "PYTHONPATH": _ROOT, **self._environ("control-1")}
        process = await asyncio.create_subprocess_exec(*argv, env=environ, stdout=asyncio.subprocess.PIPE)
        output, _ = await process.communicate()
        return [json.loads(line) for line in output.splitlines()]

    def data_dir(self, name: str) -> Path:
        """Where a process keeps its own things. Who has a small disk stands for another machine."""
        return self.folder / (f"disk-{name}" if name in SMALL_DISKS else "data")

    def settings(self, name: str = "control-1") -> Settings:
        """Those of one process."""
        return load(self._environ(name))

    def read_topics(self) -> list[str]:
        """Topics that processes of ours read, but for the changelogs: nobody else may write those."""
        mute = names(self.settings())
        return [
            topic.name
            for topic in required_topics(self.settings())
            if not topic.name.endswith("-changelog") and topic.name not in (mute.events, mute.dead_letters, mute.audit)
        ]

    def _environ(self, name: str) -> dict[str, str]:
        return {
            **_TIMES,
            "KINOLOG_DATA_DIR": str(self.data_dir(name)),
            "KINOLOG_STORE__URL": self.store.as_uri() if self.bucket is None else self.bucket.url,
            **(self.bucket.environ if self.bucket is not None else {}),
            "KINOLOG_PIPELINES_DIR": str(self.folder / "pipelines"),
            "KINOLOG_KAFKA__BOOTSTRAP": self.nodes.bootstrap,
            "KINOLOG_KAFKA__REPLICATION_FACTOR": str(self.nodes.replicas),
            "KINOLOG_REDIS__URL": f"redis://127.0.0.1:{self.ports['redis']}/0",
            "KINOLOG_DOWNLOAD__ALLOW_HOSTS": f"127.0.0.1:{self.origin.port}",
            **({"KINOLOG_EXECUTOR__NAME": name} if name in (*EXECUTORS, GUEST) else {}),
            **({"KINOLOG_WEB__PORT": str(self.ports[name]), "KINOLOG_WEB__REPLICA": name} if name in WEBS else {}),
        }

    def times_ready(self, name: str) -> int:
        """How often an executor has begun to take work."""
        log = self.logs[name]
        return log.read_text(errors="replace").count('"executor ready"') if log.exists() else 0

    def _make_services(self) -> list[Service]:
        redis = ["redis-server", "--port", str(self.ports["redis"]), "--bind", "127.0.0.1", "--save", ""]
        services = [Service("redis", [*redis, "--dir", str(self.folder)], os.environ, self.folder / "redis.log")]
        return services + [self._service(name) for name in (*CONTROLS, *EXECUTORS, *WEBS)]

    def _service(self, name: str) -> Service:
        argv = [sys.executable, "-P", "-m", *self._module(name)]
        inherited = {n: value for n, value in os.environ.items() if not n.startswith("KINOLOG_")}
        environ = {**inherited, "PYTHONPATH": _ROOT, **self._environ(name)}
        return Service(name, argv, environ, self.folder / f"{name}.log")

    async def join(self, name: str) -> Service:
        """Start a process that is not always there."""
        service = self.services.setdefault(name, self._service(name))
        await service.start()
        return service

    def _module(self, name: str) -> list[str]:
        role = name.partition("-")[0]
        if name not in self.clocks:
            return ["streams.cli", role]
        clockwork.set_clock(self.clocks[name], 0.0)
        return ["tests.chaos.clockwork", str(self.clocks[name]), role]

    def _prepare_disks(self) -> None:
        self.store.mkdir(parents=True)
        if self._allowed.power:
            for name in self.nodes.names:
                self.power[name] = disk = Disk(self.folder / f"{name}.image", self.nodes.folder(name), _BROKER_MB)
                (disk.folder / "lost+found").rmdir()
        if not self._allowed.small_disks:
            return
        self._mount(self.store, _STORE_MB)
        for name in SMALL_DISKS:
            self._mount(self.data_dir(name), _SMALL_MB)
        if self._allowed.slow_disks:
            for name in self.nodes.names:
                self._mount(self.nodes.folder(name), _BROKER_MB)

    def _mount(self, folder: Path, megabytes: int) -> None:
        image = self.folder / "images" / folder.name if self._allowed.slow_disks else None
        disks.mount(folder, megabytes, image=image)

    def _write_pipelines(self) -> None:
        folder = self.folder / "pipelines"
        shutil.copytree(pipelines_dir(load({})), folder)
        for name, params in _PIPELINES.items():
            step = {"name": "noop", "params": params, "retry": {"attempts": 2, "delay_s": 0.5}}
            (folder / f"{name}.yaml").write_text(json.dumps({"name": name, "steps": [step]}))


async def _is_ready(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(f"{url}/readyz", timeout=aiohttp.ClientTimeout(total=2)) as answer:
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False
