"""Garbage as other clients write it: librdkafka in transactions with every codec, kcat with header names in Latin-1.

kcat is librdkafka's command line; UploadProducer.java covers the JVM's client.
"""

import subprocess
import uuid
from collections.abc import Callable, Sequence

from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
#: Key of each record; dead letters carry it.
KEY = b"chaos"
_TIMEOUT_S = 15.0
#: Not one of them is a message.
_VALUES: tuple[bytes | None, ...] = (None, b"", b"\x00\xff", b'{"specversion": "1.0"}', b"[" * 500, b"x" * 50_000)
#: Header values that are no text, no value at all, and one name twice.
_HEADERS: list[tuple[str, str | bytes | None]] = [
    ("ce_type", b"\xff\xfe"),
    ("ce_type", None),
    ("ce_specversion", b"1.0"),
    ("ce_id", b""),
    ("content-type", b"application/json; charset=\xe4"),
    ("überschrift", "ä".encode("latin-1")),
]

#: Called with topic, partition and offset of each record that the broker has.
Note = Callable[[str, int, int], None]


class NotThrown(Exception):
    """The broker did not take everything."""


def throw(bootstrap: str, topics: Sequence[str], note: Note) -> None:
    """Write garbage to partition 0 of the topics. Blocking. Raises NotThrown; some of it is there then."""
    try:
        for codec in CODECS:
            _throw_in_transactions(bootstrap, topics, codec, note)
        for topic in topics:
            before = _end(bootstrap, topic)
            throw_with_kcat(bootstrap, topic, b"unparsable")
            for offset in range(before, _end(bootstrap, topic)):  # one of them: kcat does not say which
                note(topic, 0, offset)
    except KafkaException as error:
        raise NotThrown(str(error)) from error


def _end(bootstrap: str, topic: str) -> int:
    """The end offset of partition 0."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "chaos"})
    try:
        _, end = consumer.get_watermark_offsets(TopicPartition(topic, 0), _TIMEOUT_S)
        return end
    finally:
        consumer.close()


def _throw_in_transactions(bootstrap: str, topics: Sequence[str], codec: str, note: Note) -> None:
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "transactional.id": f"chaos-{uuid.uuid4()}",
            "transaction.timeout.ms": 10_000,
            "compression.type": codec,
        }
    )
    producer.init_transactions(_TIMEOUT_S)

    def delivered(error: object, message: Message) -> None:
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        if error is None and topic is not None and partition is not None and offset is not None:
            note(topic, partition, offset)

    for end in (producer.abort_transaction, producer.commit_transaction, producer.abort_transaction):
        producer.begin_transaction()
        for topic in topics:
            for value in _VALUES:
                producer.produce(topic, value, KEY, 0, delivered, headers=_HEADERS)
        end(_TIMEOUT_S)


def throw_with_kcat(bootstrap: str, topic: str, value: bytes, codec: str = "lz4") -> None:
    """Write a record whose header has a name that is not UTF-8. Raises NotThrown."""
    arguments: list[str | bytes] = [
        "-P",
        "-b",
        bootstrap,
        "-t",
        topic,
        "-p",
        "0",
        "-k",
        KEY.decode(),
        "-z",
        codec,
        "-H",
        b"\xfcber=1",
    ]
    try:
        done = subprocess.run(["kcat", *arguments], input=value, capture_output=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise NotThrown("kcat found no broker") from error
    if done.returncode:
        raise NotThrown(done.stderr.decode(errors="replace"))
