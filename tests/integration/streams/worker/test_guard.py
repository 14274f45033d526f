"""What seems to be missing is read again from the log before it counts as lost."""

import asyncio

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from streams.broker.process import Broker
from streams.worker.guard import has_records


async def test_markers_and_aborted_records_are_nothing_and_a_record_is_something(broker: Broker) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic("holes", 1, 1)])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap, transactional_id="holes")
    await producer.start()
    async with producer.transaction():
        await producer.send_and_wait("holes", b"0", partition=0)  # and a marker at 1
    await producer.begin_transaction()
    await asyncio.gather(*[producer.send_and_wait("holes", b"2, 3, 4", partition=0) for _ in range(3)])
    await producer.abort_transaction()  # a marker at 5
    async with producer.transaction():
        await producer.send_and_wait("holes", b"6", partition=0)
    await producer.stop()
    found = {start: await has_records(broker.cluster, ("holes", 0), start, end) for start, end in SPANS}
    assert found == {0: True, 1: False, 2: False, 5: True, 6: True, 7: False}


#: First offset, and the one behind the last.
SPANS = [(0, 1), (1, 6), (2, 5), (5, 8), (6, 7), (7, 8)]
