"""Where a key lives: the partitioner of Java's and aiokafka's producers, computed by us and passed explicitly."""

from functools import lru_cache

from aiokafka.partitioner import murmur2


@lru_cache(maxsize=65536)
def partition_of(key: str, partitions: int) -> int:
    """Partition of `key`, from 0. Source: Kafka's BuiltInPartitioner, murmur2 with the sign bit off."""
    return int(murmur2(key.encode()) & 0x7FFFFFFF) % partitions
