"""A table is read from its changelog in batches, whole, and from where it stood."""

from types import SimpleNamespace
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from faust.types import TP

from streams.broker.process import Broker
from streams.worker.patch_table_recovery import read_changelogs

_TOPIC, _ROWS = "recovery-changelog", 3_000


async def _write(bootstrap: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(_TOPIC, 2, 1)])
    await admin.close()
    producer: Any = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    for number in range(_ROWS):
        await producer.send(_TOPIC, b"old", key=str(number).encode(), partition=number % 2)
    for number in range(0, _ROWS, 3):
        value = None if number % 6 == 0 else b"new"
        await producer.send(_TOPIC, value, key=str(number).encode(), partition=number % 2)
    await producer.stop()


async def test_rows_and_tombstones_are_applied_in_order_up_to_the_end(broker: Broker) -> None:
    await _write(broker.bootstrap)
    store = SimpleNamespace(data={}, _key_partition={})
    first, second = TP(_TOPIC, 0), TP(_TOPIC, 1)
    ends = {first: _ROWS // 2 + _ROWS // 6 - 1, second: _ROWS // 2 + _ROWS // 6 - 1}
    offsets = {first: -1, second: _ROWS // 2 - 1}  # the second one's first half is known already
    await read_changelogs(broker.cluster, {_TOPIC: store}, ends, offsets)
    assert offsets == ends
    expected = {str(n).encode(): b"new" if n % 3 == 0 else b"old" for n in range(0, _ROWS, 2) if n % 6}
    expected |= {str(n).encode(): b"new" for n in range(3, _ROWS, 6)}
    assert store.data == expected
    assert store._key_partition == {key: int(key) % 2 for key in expected}
    await read_changelogs(broker.cluster, {_TOPIC: store}, ends, offsets)  # nothing is left to do
    assert store.data == expected


async def test_what_was_written_meanwhile_moves_no_offset_beyond_the_end(broker: Broker) -> None:
    store, first = SimpleNamespace(data={}, _key_partition={}), TP(_TOPIC, 0)
    offsets = {first: -1}
    await read_changelogs(broker.cluster, {_TOPIC: store}, {first: 10}, offsets)
    assert offsets == {first: 10}
    assert len(store.data) > 10
