"""Makes the faults of a schedule happen."""

import asyncio
import random
import signal
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from tests.chaos import clockwork, disks, garbage, network
from tests.chaos.abuse import abuse
from tests.chaos.ledger import Ledger
from tests.chaos.nodes import ThreeNodes
from tests.chaos.schedule import ROLES, Fault
from tests.chaos.world import World

#: What no program of ours would write; the last is as large as a record can be.
_GARBAGE = [
    b"\x00\xff\xfe",
    b"",
    None,
    b"{",
    b"[]",
    b"[1, {}, null]",
    b'{"type": 3}',
    b"[" * 20_000,
    b'[{"specversion":"1.0","id":"x","source":"s","type":"media.job.cancel.v1","data":{"job_id":7}}]',
    b"x" * 1_000_000,
]
#: Between the processes of one role in a rolling restart.
_ROLL_S = 3.0
#: How long an executor that comes and goes works: its leases last 4 s.
_CHURN_S = (0.5, 4.0)


class Faults:
    """Executes one schedule against one world."""

    def __init__(self, world: World, ledger: Ledger, say: Callable[[str], None]) -> None:
        self._world, self._ledger, self._say = world, ledger, say
        #: One broker is in trouble at a time: of three, two must go on.
        self._nodes = asyncio.Lock()
        #: A bucket fails in one way at a time, and a disk is slowed once.
        self._bucket = asyncio.Lock()
        self._slowing: defaultdict[Path, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def run(self, faults: Sequence[Fault]) -> None:
        """Return when the last one is over."""
        began = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as group:
            for fault in faults:
                await asyncio.sleep(max(0.0, began + fault.at_s - asyncio.get_running_loop().time()))
                self._say(str(fault))
                self._ledger.note("fault", kind=fault.kind, target=fault.target)
                group.create_task(_awaited(self._happen(fault)))

    async def _happen(self, fault: Fault) -> None:
        act: Callable[[Fault], Awaitable[None]] = getattr(self, f"_{fault.kind.replace('-', '_')}")
        await act(fault)

    # Processes

    async def _kill(self, fault: Fault) -> None:
        self._world.services[fault.target].send(signal.SIGKILL)

    async def _die(self, fault: Fault) -> None:
        """SIGKILL of a process of the role that lives, or of any where none of the role does."""
        services = self._world.services
        living = [name for names in ROLES.values() for name in names if services[name].is_running]
        candidates = [name for name in living if name in ROLES[fault.target]] or living
        if candidates:
            services[candidates[int(fault.amount) % len(candidates)]].send(signal.SIGKILL)

    async def _freeze(self, fault: Fault) -> None:
        await self._world.services[fault.target].freeze(fault.lasts_s)

    async def _stop(self, fault: Fault) -> None:
        self._world.services[fault.target].send(signal.SIGTERM)

    async def _roll(self, fault: Fault) -> None:
        for name in ROLES[fault.target]:
            self._world.services[name].send(signal.SIGTERM)
            await asyncio.sleep(_ROLL_S)

    async def _churn(self, fault: Fault) -> None:
        """An executor joins, and leaves and dies before a lease of its could end."""
        chance, until = random.Random(fault.at_s), asyncio.get_running_loop().time() + fault.lasts_s
        guest = await self._world.join(fault.target)
        while asyncio.get_running_loop().time() < until:
            await self._starts(fault.target, until)
            await asyncio.sleep(chance.uniform(*_CHURN_S))
            guest.send(chance.choice((signal.SIGKILL, signal.SIGTERM)))
        await guest.retire()

    async def _starts(self, name: str, until: float) -> None:
        """Return when the process has begun once more to take work."""
        before = self._world.times_ready(name)
        while asyncio.get_running_loop().time() < until and self._world.times_ready(name) == before:
            await asyncio.sleep(0.2)

    async def _clock(self, fault: Fault) -> None:
        clockwork.set_clock(self._world.clocks[fault.target], fault.amount)
        await asyncio.sleep(fault.lasts_s)
        clockwork.set_clock(self._world.clocks[fault.target], 0.0)

    async def _abuse(self, fault: Fault) -> None:
        outcomes = await abuse(self._world.urls[fault.target], fault.lasts_s)
        self._ledger.note("abused", replica=fault.target, outcomes=outcomes)

    # What they lean on

    async def _redis_kill(self, _fault: Fault) -> None:
        self._world.services["redis"].send(signal.SIGKILL)

    async def _origin_down(self, fault: Fault) -> None:
        self._world.origin.down = True
        await asyncio.sleep(fault.lasts_s)
        self._world.origin.down = False

    async def _broker_kill(self, fault: Fault) -> None:
        async with self._nodes:
            await self._world.nodes.down(fault.target, 0.0)

    async def _broker_down(self, fault: Fault) -> None:
        async with self._nodes:
            await self._world.nodes.down(fault.target, fault.lasts_s)

    async def _broker_freeze(self, fault: Fault) -> None:
        async with self._nodes:
            await self._world.nodes.freeze(fault.target, fault.lasts_s)

    async def _broker_full(self, fault: Fault) -> None:
        """A broker that cannot write ends; there is room again when it is started."""
        async with self._nodes:
            await self._fill(self._world.nodes.folder(fault.target), fault.lasts_s)
            await self._world.nodes.down(fault.target, 0.0)

    async def _power_cut(self, fault: Fault) -> None:
        """Another node's power only goes when all have all records again."""
        nodes = self._world.nodes
        assert isinstance(nodes, ThreeNodes)
        async with self._nodes:
            await nodes.in_step()
            await nodes.cut_power(fault.target, self._world.power[fault.target], fault.lasts_s)

    async def _cut(self, fault: Fault) -> None:
        """The node lives, and nobody reaches it."""
        async with self._nodes:
            ports = self._world.nodes.ports(fault.target)
            await asyncio.to_thread(network.cut, *ports)
            await asyncio.sleep(fault.lasts_s)
            await asyncio.to_thread(network.mend, *ports)

    async def _disk_full(self, fault: Fault) -> None:
        await self._fill(self._world.data_dir(fault.target), fault.lasts_s)

    async def _disk_slow(self, fault: Fault) -> None:
        if fault.target in self._world.nodes.names:
            async with self._nodes:
                await self._slow(self._world.nodes.folder(fault.target), fault)
        else:
            await self._slow(self._world.data_dir(fault.target), fault)

    async def _store_full(self, fault: Fault) -> None:
        await self._fill(self._world.store, fault.lasts_s)

    async def _store_slow(self, fault: Fault) -> None:
        await self._slow(self._world.store, fault)

    async def _store_errors(self, fault: Fault) -> None:
        await self._fail_store(fault.lasts_s, wholly=False)

    async def _store_down(self, fault: Fault) -> None:
        await self._fail_store(fault.lasts_s, wholly=True)

    async def _fail_store(self, seconds: float, *, wholly: bool) -> None:
        assert self._world.bucket is not None
        async with self._bucket:
            await self._world.bucket.fail(seconds, wholly=wholly)

    async def _slow(self, folder: Path, fault: Fault) -> None:
        async with self._slowing[folder]:
            await disks.slow(folder, fault.amount, fault.lasts_s)

    async def _fill(self, folder: Path, seconds: float) -> None:
        await asyncio.to_thread(disks.fill, folder)
        await asyncio.sleep(seconds)
        disks.free(folder)

    async def _garbage(self, _fault: Fault) -> None:
        """Garbage on every topic that somebody reads; where each piece fell stands in the ledger."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self._world.nodes.bootstrap, max_request_size=1_048_576, request_timeout_ms=5_000
        )
        try:
            await producer.start()
            for topic in self._world.read_topics():
                for value in _GARBAGE:
                    place = await producer.send_and_wait(topic, value, key=b"chaos", partition=0)
                    self._note_garbage(topic, place.partition, place.offset)
            bootstrap, topics = self._world.nodes.bootstrap, self._world.read_topics()
            await asyncio.to_thread(garbage.throw, bootstrap, topics, self._note_garbage)
        except (KafkaError, garbage.NotThrown) as error:
            self._ledger.note("garbage-stopped", error=repr(error))
        finally:
            await producer.stop()

    def _note_garbage(self, topic: str, partition: int, offset: int) -> None:
        self._ledger.note("garbage", topic=topic, partition=partition, offset=offset)


async def _awaited(act: Awaitable[None]) -> None:
    await act
