"""Upload events of producers that are not ours: in transactions, compressed, damaged. Each costs itself at most."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.util import calc_crc32c
from confluent_kafka import Producer

from schemas.facts import DeadLetter, JobSubmitted
from schemas.step_events import StepRequested
from streams.kafka.partitioner import partition_of
from tests.chaos import garbage
from tests.integration.agents.outside import START_S, Control, Outside, submit

Eventually = Callable[..., Awaitable[Any]]

#: Replaces bytes in a header's name that are not UTF-8.
_MARK, _NOT_UTF8 = "umlaute", "äöüßÄÖÜ".encode("latin-1")


def upload(asset_id: str) -> tuple[bytes, list[tuple[str, bytes]]]:
    """Value and headers of an upload event in binary mode, as a service in another language writes it."""
    attributes = {"specversion": "1.0", "id": asset_id, "source": "upstream", "type": "media.upload.completed.v1"}
    headers = [(f"ce_{name}", text.encode()) for name, text in attributes.items()]
    content = {"asset_id": asset_id, "input": {"object": f"media/{asset_id}.mp4"}, "pipeline": "noop"}
    return json.dumps(content).encode(), [("content-type", b"application/json"), *headers]


class Upstream:
    """A producer of upload events."""

    def __init__(self, world: Outside, kafka: Any) -> None:
        self._topic, self.kafka = world.topics.uploads, kafka

    async def send(self, *asset_ids: str, partition: int = 0, headers: Sequence[tuple[str, bytes]] = ()) -> None:
        for asset_id in asset_ids:
            value, own = upload(asset_id)
            await self.kafka.send_and_wait(
                self._topic, value, key=asset_id.encode(), headers=[*own, *headers], partition=partition
            )


@asynccontextmanager
async def upstream(world: Outside, **options: Any) -> AsyncIterator[Upstream]:
    kafka = AIOKafkaProducer(bootstrap_servers=world.settings.bootstrap, **options)
    await kafka.start()
    try:
        yield Upstream(world, kafka)
    finally:
        await kafka.stop()


async def configure(world: Outside, topic: str, configs: dict[str, str]) -> None:
    """Change the settings of a topic, as an operator does."""
    admin = AIOKafkaAdminClient(bootstrap_servers=world.settings.bootstrap)
    await admin.start()
    try:
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs)])
    finally:
        await admin.close()


async def has_jobs(world: Outside, eventually: Eventually, *asset_ids: str, within_s: float = START_S) -> None:
    """Each has one job, once."""
    expected = set(asset_ids)
    await eventually(lambda: expected <= {fact.asset_id for fact in world.all(JobSubmitted)}, within_s)
    ids = [event.id for event, message in world.received if isinstance(message, JobSubmitted)]
    assert len({message.job_id for message in world.all(JobSubmitted)}) == len(set(ids))


async def applied(world: Outside, eventually: Eventually, name: str) -> None:
    """A command on every partition is carried out: control lives, and reads on."""
    for partition in range(world.settings.partitions):
        asset_id = next(f"{name}-{n}" for n in range(1000) if partition_of(f"{name}-{n}", 8) == partition)
        await world.send(submit(f"job-{name}-{partition}", asset_id))
        await eventually(lambda p=partition: world.all(StepRequested, job_id=f"job-{name}-{p}"), START_S)


async def test_events_of_committed_transactions_become_jobs_and_those_of_aborted_ones_do_not(
    outside: tuple[Control, Outside], eventually: Eventually
) -> None:
    control, world = outside
    async with upstream(world, transactional_id="orders") as orders, upstream(world) as plain:
        for number in range(3):  # markers of both kinds, between records and at the end of the partition
            async with orders.kafka.transaction():
                await orders.send(f"kept-{number}")
            await orders.kafka.begin_transaction()
            await orders.send(f"aborted-{number}", f"aborted-too-{number}")
            await orders.kafka.abort_transaction()
        await plain.send("plain")
        await has_jobs(world, eventually, "kept-0", "kept-1", "kept-2", "plain")
        async with orders.kafka.transaction():
            await orders.send("last")
        await has_jobs(world, eventually, "last")
        await control.kill()  # what is committed now lies behind a marker
        await plain.send("after")
        await has_jobs(world, eventually, "after")
    await applied(world, eventually, "commands")
    assert not [fact for fact in world.all(JobSubmitted) if fact.asset_id.startswith("aborted")]
    assert control.ends == []
    assert world.letters() == []


async def test_events_of_an_open_transaction_wait_for_its_end(
    outside: tuple[Control, Outside], eventually: Eventually
) -> None:
    control, world = outside
    async with upstream(world, transactional_id="slow") as slow, upstream(world) as plain:
        await slow.kafka.begin_transaction()
        await slow.send("undecided")
        await plain.send("elsewhere", partition=1)
        await has_jobs(world, eventually, "elsewhere")
        await applied(world, eventually, "meanwhile")
        assert not world.all(JobSubmitted, asset_id="undecided")
        await slow.kafka.commit_transaction()
        await has_jobs(world, eventually, "undecided")
    assert control.ends == []


async def test_a_transaction_of_many_aborted_events_is_passed_at_once(
    outside: tuple[Control, Outside], eventually: Eventually
) -> None:
    """Stock Faust lists every offset between two records when it commits."""
    control, world = outside
    async with upstream(world, transactional_id="bulk", max_batch_size=900_000, linger_ms=20) as bulk:
        await bulk.kafka.begin_transaction()
        sent = [await bulk.kafka.send(world.topics.uploads, b"x", partition=0) for _ in range(100_000)]
        for delivery in sent:
            await delivery
        await bulk.kafka.abort_transaction()
        async with bulk.kafka.transaction():
            await bulk.send("behind")
        await has_jobs(world, eventually, "behind")
    await applied(world, eventually, "commands")
    assert control.ends == []


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
async def test_compressed_events_become_jobs(
    outside: tuple[Control, Outside], eventually: Eventually, codec: str
) -> None:
    control, world = outside
    async with upstream(world, compression_type=codec) as compressed:
        await compressed.send(f"{codec}-1", f"{codec}-2")
        await has_jobs(world, eventually, f"{codec}-1", f"{codec}-2")
    await applied(world, eventually, "commands")
    assert control.ends == []


async def test_what_kcat_and_librdkafka_write_becomes_jobs_whatever_garbage_lies_between(
    outside: tuple[Control, Outside], eventually: Eventually
) -> None:
    """Garbage in transactions, with every codec, on every topic that control reads; good events around it."""
    control, world = outside
    topics = [world.topics.uploads, world.topics.commands, world.topics.step_events]
    noted: list[tuple[str, int, int]] = []
    await kcat(world, "kcat-before")
    await librdkafka(world, "librdkafka-before")
    await asyncio.to_thread(garbage.throw, world.settings.bootstrap, topics, lambda *place: noted.append(place))
    await kcat(world, "kcat-behind")
    await librdkafka(world, "librdkafka-behind")
    await has_jobs(
        world, eventually, *(f"{kind}-{when}" for kind in ("kcat", "librdkafka") for when in ("before", "behind"))
    )
    await applied(world, eventually, "commands")
    assert control.ends == []
    assert {letter.message_key for letter in world.all(DeadLetter)} == {garbage.KEY.decode()}
    assert "unparsable-record" in world.letters()


async def test_another_event_with_a_used_id_is_a_dead_letter_and_a_repeat_is_none(
    outside: tuple[Control, Outside], eventually: Eventually
) -> None:
    """A producer that numbers its events anew after a restart."""
    control, world = outside
    async with upstream(world) as plain:
        await plain.send("once")
        await has_jobs(world, eventually, "once")  # partitions are read in any order
        await plain.send("once", partition=3)  # the same event again, wherever it lies
        value, headers = upload("other")
        reused = [(name, b"once" if name == "ce_id" else text) for name, text in headers]
        place = await plain.kafka.send_and_wait(world.topics.uploads, value, partition=5, headers=reused)
    [letter] = await eventually(lambda: world.all(DeadLetter), START_S)
    assert letter.error.code == "id-reused"
    for position in (f"{world.topics.uploads}/0/0", f"{world.topics.uploads}/5/{place.offset}"):
        assert position in letter.error.message
    await applied(world, eventually, "commands")
    # A fact may repeat with the same id, as of the repeated event.
    uploaded = {(fact.asset_id, fact.job_id) for fact in world.all(JobSubmitted) if "commands" not in fact.asset_id}
    assert [asset_id for asset_id, _ in uploaded] == ["once"]
    assert control.ends == []


async def kcat(world: Outside, asset_id: str) -> None:
    """An upload event as a shell script writes it, with zstd."""
    value, headers = upload(asset_id)
    named = [part for name, text in headers for part in ("-H", f"{name}={text.decode()}")]
    command = ["kcat", "-P", "-b", world.settings.bootstrap, "-t", world.topics.uploads, "-k", asset_id, "-z", "zstd"]
    running = await asyncio.create_subprocess_exec(*command, *named, stdin=asyncio.subprocess.PIPE)
    await running.communicate(value)
    assert running.returncode == 0


async def librdkafka(world: Outside, asset_id: str) -> None:
    """An upload event of a client with its default partitioner, in a transaction."""
    value, headers = upload(asset_id)

    def send() -> None:
        options = {"bootstrap.servers": world.settings.bootstrap, "transactional.id": asset_id, "linger.ms": 50}
        producer = Producer(options | {"compression.type": "lz4"})
        producer.init_transactions(30)
        producer.begin_transaction()
        producer.produce(world.topics.uploads, value, asset_id, headers=list[Any](headers))
        producer.commit_transaction(30)

    await asyncio.to_thread(send)


async def test_a_topic_that_the_broker_compresses_is_read_whatever_its_producers_do(
    outside: tuple[Control, Outside], eventually: Eventually
) -> None:
    """`compression.type` of a topic: the broker compresses again what came without."""
    control, world = outside
    for topic in (world.topics.uploads, world.topics.commands, world.topics.events):
        await configure(world, topic, {"compression.type": "zstd"})
    async with upstream(world) as plain:
        await plain.send("recompressed")
        await has_jobs(world, eventually, "recompressed")
    await applied(world, eventually, "commands")
    assert control.ends == []


async def test_a_segment_that_ends_with_a_marker_is_passed(
    outside: tuple[Control, Outside], eventually: Eventually
) -> None:
    """Segments are rolled after each transaction, so that the last offset of each is a marker's."""
    control, world = outside
    await configure(world, world.topics.uploads, {"segment.ms": "100"})
    async with upstream(world, transactional_id="rolled") as rolled:
        for number in range(4):
            await rolled.kafka.begin_transaction()
            await rolled.send(f"rolled-{number}")
            await (rolled.kafka.abort_transaction() if number == 2 else rolled.kafka.commit_transaction())
            await asyncio.sleep(0.3)  # longer than `segment.ms`: the next record begins a segment
        await has_jobs(world, eventually, "rolled-0", "rolled-1", "rolled-3")
        await control.kill()
        async with rolled.kafka.transaction():
            await rolled.send("behind")
        await has_jobs(world, eventually, "behind")
    assert not world.all(JobSubmitted, asset_id="rolled-2")
    await applied(world, eventually, "commands")
    assert control.ends == []


async def test_a_transaction_that_its_producer_left_open_holds_up_its_partition_only_until_the_broker_ends_it(
    outside: tuple[Control, Outside], eventually: Eventually
) -> None:
    """A producer that dies between begin and commit; the broker aborts after the producer's own timeout."""
    control, world = outside
    async with upstream(world, transactional_id="dies", transaction_timeout_ms=1_000) as dies, upstream(world) as plain:
        await dies.kafka.begin_transaction()
        await dies.send("never")
        await plain.send("behind")
        assert not world.all(JobSubmitted, asset_id="behind")
        await has_jobs(world, eventually, "behind", within_s=45)  # the broker looks every 10 s
        await applied(world, eventually, "commands")
    assert not world.all(JobSubmitted, asset_id="never")
    assert control.ends == []


async def test_a_header_name_that_is_not_utf8_costs_its_event_and_no_other(
    outside: tuple[Control, Outside], eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    control, world = outside
    async with upstream(world) as plain:
        await plain.send("before")
        monkeypatch.setattr(BatchBuilder, "_build", _build_with_latin1)
        await plain.send("unreadable", headers=[(_MARK, b"1")])
        await plain.send("behind")
        await has_jobs(world, eventually, "before", "behind")
    [letter] = await eventually(lambda: world.all(DeadLetter), START_S)
    assert (letter.topic, letter.partition, letter.offset) == (world.topics.uploads, 0, 1)
    assert letter.error.code == "unparsable-record"
    assert "utf-8" in letter.error.message
    assert letter.message_key == "unreadable"
    await applied(world, eventually, "commands")
    assert control.ends == []
    assert "cannot be parsed" in control.log()


_stock_build = BatchBuilder._build


def _build_with_latin1(self: Any) -> bytes:
    """As clients write it that do not look at a header's name."""
    built = bytes(_stock_build(self)).replace(_MARK.encode(), _NOT_UTF8)
    checksum: int = calc_crc32c(built[21:])
    return built[:17] + checksum.to_bytes(4, "big") + built[21:]
