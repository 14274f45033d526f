"""Everybody who writes to a topic must find the same partition."""

from aiokafka.partitioner import murmur2 as theirs
from hypothesis import given
from hypothesis import strategies as st

from streams.kafka.partitioner import murmur2, partition_of


@given(st.binary(max_size=600))
def test_the_hash_is_that_of_every_other_client(key: bytes) -> None:
    assert murmur2(key) == theirs(key) & 0xFFFFFFFF


def test_a_key_stays_where_java_puts_it() -> None:
    # Source: Kafka's UtilsTest.testMurmur2: murmur2("21") == -973932308, "foobar" == -790332482.
    assert murmur2(b"21") == -973932308 & 0xFFFFFFFF
    assert murmur2(b"foobar") == -790332482 & 0xFFFFFFFF
    for partitions in (1, 7, 8, 12, 48):
        assert partition_of("foobar", partitions) == (-790332482 & 0x7FFFFFFF) % partitions
