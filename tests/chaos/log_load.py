"""Work that arrives without HTTP: upload events, for whomever they name, and commands that control refuses."""

import asyncio
import json
import random
import time
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from streams.kafka.partitioner import partition_of
from tests.chaos.callers import EDITORS, OWNERS, marker
from tests.chaos.client import PAUSE_S
from tests.chaos.ledger import Ledger
from tests.chaos.submissions import Submissions
from tests.chaos.world import PARTITIONS, World

#: More steps, and more text, than a job may have.
_STEPS, _TEXT = 40, 70_000


class LogLoad:
    """Events and commands of other producers."""

    def __init__(self, world: World, submissions: Submissions, ledger: Ledger, chance: random.Random) -> None:
        self._made, self._ledger, self._chance = submissions, ledger, chance
        self._producer: Any = AIOKafkaProducer(bootstrap_servers=world.nodes.bootstrap, acks="all")

    async def start(self) -> None:
        """Connect."""
        await self._producer.start()

    async def stop(self) -> None:
        """Disconnect."""
        await self._producer.stop()

    async def event(self) -> None:
        """An upload event of the operator or an owner; twice now and then."""
        owner = self._chance.choice((None, *OWNERS))
        name = self._made.name("event")
        for _ in range(self._chance.choice((1, 1, 2))):
            await self._upload(name, f"asset-{name}", owner)
        self._note(f"asset-{name}", owner)

    async def event_for_another(self) -> None:
        """An upload event with the asset of another owner: control refuses it, and its owner sees why."""
        owner = self._chance.choice(OWNERS)
        others = [job for job in self._made.jobs if job.owner not in (None, owner)]
        if others:
            asset_id = self._chance.choice(others).asset_id
            await self._upload(self._made.name("foreign"), asset_id, owner)

    async def event_with_used_id(self) -> None:
        """Two different upload events with one id: the second is a dead letter, the first one's job exists."""
        owner, name = self._chance.choice(OWNERS), self._made.name("event")
        await self._upload(name, f"asset-{name}", owner)
        await self._upload(name, f"asset-{name}", owner, filename="another.mp4")
        self._note(f"asset-{name}", owner)
        self._ledger.note("used-id", asset_id=f"asset-{name}")

    async def command_to_refuse(self) -> None:
        """A command with too many steps, or too long a text: its job has failed before it starts, and says why."""
        editor, name = self._chance.choice(EDITORS), self._made.name("refused")
        steps, text = self._chance.choice(((_STEPS, ""), (1, "x" * _TEXT)))
        ids = {"job_id": f"job-{name}", "asset_id": f"asset-{name}", "owner": editor.owner}
        command: dict[str, Any] = {**ids, "pipeline": "noop", "input": {"object": "x"}, "submitted_at": time.time()}
        command["steps"] = [{"name": "noop"} for _ in range(steps)]
        command["passthrough"] = marker(editor.owner) + text
        about = {"specversion": "1.0", "id": name, "source": "chaos", "type": "media.job.submit.v1"}
        record = json.dumps([{**about, "data": command}]).encode()
        headers = [("content-type", b"application/cloudevents-batch+json")]
        await self._produce("media.commands", record, partition_of(f"asset-{name}", PARTITIONS), headers)
        self._ledger.note("to-refuse", **ids)

    def _note(self, asset_id: str, owner: str | None) -> None:
        self._ledger.note("submitted", asset_id=asset_id, job_id=None, status=0, by="log", owner=owner)

    async def _upload(self, name: str, asset_id: str, owner: str | None, **more: str) -> None:
        upload = {"input": {"object": "x"}, "asset_id": asset_id, "pipeline": "noop", "passthrough": marker(owner)}
        upload |= {**more, **({"owner": owner} if owner else {})}
        about = {"specversion": "1.0", "id": name, "source": "chaos", "type": "media.upload.completed.v1"}
        headers = [(f"ce_{key}", value.encode()) for key, value in about.items()]
        headers.append(("content-type", b"application/json"))
        partition = self._chance.randrange(PARTITIONS)
        await self._produce("media.uploads", json.dumps(upload).encode(), partition, headers)

    async def _produce(self, topic: str, value: bytes, partition: int, headers: list[tuple[str, bytes]]) -> None:
        while True:
            try:
                await self._producer.send_and_wait(topic, value, partition=partition, headers=headers)
            except KafkaError:
                await asyncio.sleep(PAUSE_S)
            else:
                return
