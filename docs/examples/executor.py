"""An executor that shares no code with kinolog: the protocol of docs/executors.md over aiokafka, for one step."""

import asyncio
import contextlib
import json
import os
import signal
import uuid
import zlib
from datetime import UTC, datetime
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition  # noqa: TID251 - it shares no code with kinolog

BOOTSTRAP, PREFIX = os.environ["BOOTSTRAP"], os.environ.get("PREFIX", "media.")
NAME, STEP, SLOTS = os.environ["NAME"], os.environ["STEP"], 2
HEARTBEAT_S, REPORT_S = float(os.environ.get("HEARTBEAT_S", "10")), 2.0
#: Credentials and TLS, as aiokafka's clients take them, in JSON.
OPTIONS = json.loads(os.environ.get("KAFKA_OPTIONS", "{}"))
HEADERS = [("content-type", b"application/cloudevents-batch+json")]
Event = dict[str, Any]


async def work(request: Event) -> Event:
    """Do the work. Returns the outputs; docs/executors.md says where files belong."""
    await asyncio.sleep(request.get("params", {}).get("sleep_s", 0.1))
    return {"by": NAME, "note": f"{request['step']} of {request['asset_id']}"}


class Executor:
    """One session: fresh at each start."""

    def __init__(self, producer: AIOKafkaProducer, partitions: int) -> None:
        self.producer, self.session, self.seq, self.draining = producer, f"session_{uuid.uuid4().hex}", 0, False
        self.address = zlib.crc32(NAME.encode()) % partitions
        self.poke = self.answered = self.claiming = 0
        self.changed = asyncio.Event()
        self.refused: list[Event] = []
        self.running: dict[str, tuple[Event, asyncio.Task[None]]] = {}  # by lease

    async def send(self, topic: str, kind: str, key: str, about: str, data: Event) -> None:
        """Write one event; returns when the broker has it. The default partitioner (murmur2 of the key) is right."""
        event = {"specversion": "1.0", "id": about, "source": f"example/{NAME}", "type": kind, "data": data}
        event |= {"subject": key, "time": datetime.now(UTC).isoformat(timespec="milliseconds")}
        value, partition = json.dumps([event]).encode(), 0 if topic == "executors" else None
        await self.producer.send_and_wait(PREFIX + topic, value, key.encode(), partition, headers=HEADERS)

    def take(self, event: Event) -> None:
        """An event of the address: others' requests lie there, too."""
        data = event["data"]
        if data.get("to") != self.session:
            return
        if event["type"] == "media.executor.poke.v1":
            self.poke = max(self.poke, data["poke"])
        elif event["type"] == "media.step.requested.v1" and data.get("dispatcher", 0) >= self.poke:
            if any(key_of(data) == key_of(request) for request, _ in self.running.values()):
                return
            if data["step"] != STEP or self.draining or len(self.running) >= SLOTS:
                self.refused.append(key_of(data))
            else:
                lease, self.claiming = f"lease_{uuid.uuid4().hex}", self.claiming + 1
                self.running[lease] = (data, asyncio.create_task(self.attempt(lease, data)))
        self.changed.set()

    async def attempt(self, lease: str, request: Event) -> None:
        """Accept, keep the lease alive, work, and end with exactly one event."""
        about, asset = f"{request['job_id']}/{request['step']}/{lease}", request["asset_id"]
        fields = key_of(request) | {"asset_id": asset, "lease_id": lease}
        claim = fields | {"executor_id": NAME, "session_id": self.session, "requested_at": request["requested_at"]}
        end, more = "finished", dict[str, Any]()
        await self.send("step-events", "media.step.accepted.v1", asset, f"{about}/accepted", claim)
        self.claiming -= 1
        self.changed.set()
        beating = asyncio.create_task(self.beat(about, fields | {"executor_id": NAME}))
        try:
            more = {"outputs": await work(request)}
        except asyncio.CancelledError:
            end = "revoked"
        except Exception as error:  # noqa: BLE001 - an attempt ends with an event, never the process
            end, more = (
                "attempt-failed",
                {"error": {"code": "example-failed", "message": str(error), "retriable": True}},
            )
        beating.cancel()
        await self.send("step-events", f"media.step.{end}.v1", asset, f"{about}/{end}", fields | more)
        del self.running[lease]
        self.changed.set()

    async def beat(self, about: str, fields: Event) -> None:
        """Renew the lease."""
        for n in range(1_000_000):
            await asyncio.sleep(HEARTBEAT_S)
            await self.send("step-events", "media.step.heartbeat.v1", fields["asset_id"], f"{about}/beat-{n}", fields)

    async def report(self) -> None:
        """Report on change, else every two seconds. Pokes are answered once earlier claims are on the log."""
        while True:
            self.changed.clear()
            self.seq, refused, self.refused = self.seq + 1, self.refused, []
            self.answered = self.answered if self.claiming else self.poke
            held = [key_of(request) for request, _ in self.running.values()]
            now = {"executor_id": NAME, "session_id": self.session, "address": self.address, "lane": "example"}
            now |= {"version": "example-1", "seq": self.seq, "steps": {STEP: {"slots": SLOTS}}, "attempts": held}
            now |= {"draining": self.draining, "poke": self.answered, "refused": refused}
            await self.send("executors", "media.executor.reported.v1", NAME, f"{self.session}/{self.seq}", now)
            await asyncio.sleep(0.05)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.changed.wait(), REPORT_S)


def key_of(request: Event) -> Event:
    """The fields that name an attempt."""
    return {name: request[name] for name in ("job_id", "run", "step", "attempt")}


async def main() -> None:
    """Run until SIGTERM, then end what runs."""
    async with (
        AIOKafkaProducer(bootstrap_servers=BOOTSTRAP, **OPTIONS, acks="all", enable_idempotence=True) as producer,
        AIOKafkaConsumer(bootstrap_servers=BOOTSTRAP, **OPTIONS, fetch_max_wait_ms=500) as consumer,
    ):
        executor = Executor(producer, len(await producer.partitions_for(PREFIX + "step-requests")))
        control, requests = (
            TopicPartition(PREFIX + name, n) for name, n in (("control", 0), ("step-requests", executor.address))
        )
        consumer.assign([control, requests])
        await consumer.seek_to_end()
        await asyncio.gather(consumer.position(control), consumer.position(requests))
        reporting = asyncio.create_task(executor.report())
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: setattr(executor, "draining", True))
        while not (executor.draining and not executor.running):
            for part, records in (await consumer.getmany(timeout_ms=500)).items():
                for event in (event for record in records for event in json.loads(record.value)):
                    if part == requests:
                        executor.take(event)
                    elif event["type"] == "media.lease.revoked.v1" and event["data"]["lease_id"] in executor.running:
                        executor.running[event["data"]["lease_id"]][1].cancel()
        reporting.cancel()


asyncio.run(main())
