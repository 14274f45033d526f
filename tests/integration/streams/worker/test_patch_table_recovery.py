"""A table is read from its changelog in batches, whole, and from where it stood."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from faust.types import TP

from streams.broker.process import Broker
from streams.worker import patch_table_recovery
from streams.worker.cached_changelog import CacheNotWritten
from streams.worker.patch_table_recovery import follow_changelogs, read_changelogs
from tables.cache.row_cache import open_cache
from tables.cache.table_rows import TableRows

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


async def test_a_cache_is_read_on_from_where_it_ends_and_rebuilt_where_it_is_not_of_this_log(
    broker: Broker, tmp_path: Path
) -> None:
    """The rows of the log, whatever the cache of the process before says."""
    first, cache = TP(_TOPIC, 0), open_cache(tmp_path / "cache")
    assert cache is not None
    rows, offsets, last = TableRows("jobs", {}, {}, cache), {first: -1}, _ROWS // 2 + _ROWS // 6 - 1
    store = {_TOPIC: SimpleNamespace(rows=rows)}
    await read_changelogs(broker.cluster, store, {first: last}, offsets)
    expected = {str(n).encode(): b"new" if n % 3 == 0 else b"old" for n in range(0, _ROWS, 2) if n % 6}
    assert (offsets, dict(rows.items())) == ({first: last}, expected)
    position = rows.position(0)
    assert position is not None and position.offset == last
    for offset, timestamp_ms in ((last // 2, 1), (last + 1, position.timestamp_ms), (last, position.timestamp_ms)):
        cache.write("jobs", [(b"ghost", b"of another log", 0)])
        cache.advance("jobs", {0: (offset, timestamp_ms)})
        offsets = {first: offset}
        await read_changelogs(broker.cluster, store, {first: last}, offsets)
        is_trusted = (offset, timestamp_ms) == (last, position.timestamp_ms)
        assert dict(rows.items()) == expected | ({b"ghost": b"of another log"} if is_trusted else {})
        assert offsets == {first: last} and rows.position(0) == position
    cache.close()


async def test_on_a_full_disk_all_rows_are_read_into_memory(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, cache, last = TP(_TOPIC, 0), open_cache(tmp_path / "cache"), _ROWS // 2 + _ROWS // 6 - 1
    assert cache is not None
    rows, write, writes = TableRows("jobs", {}, {}, cache), cache.write, list[int]()

    def write_until_full(*arguments: Any, **more: Any) -> None:
        writes.append(1)
        if len(writes) > 1:
            raise CacheNotWritten("no space left")
        write(*arguments, **more)

    monkeypatch.setattr(cache, "write", write_until_full)
    monkeypatch.setattr(patch_table_recovery, "_SLICE", 500)
    offsets = {first: -1}
    await read_changelogs(broker.cluster, {_TOPIC: SimpleNamespace(rows=rows)}, {first: last}, offsets)
    rows.freeze()
    assert (offsets, len(writes), rows.is_cached) == ({first: last}, 2, False)
    assert len(rows.recent) == _ROWS // 3 and rows.get(b"2") == b"old" and rows.get(b"3") is None
    cache.close()


async def test_a_cache_follows_the_partitions_of_other_processes_until_they_are_this_one_s(
    broker: Broker, tmp_path: Path
) -> None:
    first, cache, last = TP(_TOPIC, 0), open_cache(tmp_path / "cache"), _ROWS // 2 + _ROWS // 6 - 1
    assert cache is not None
    rows = TableRows("jobs", {}, {}, cache)

    async def never() -> float:
        raise AssertionError("the time is not needed")

    await follow_changelogs(broker.cluster, {_TOPIC: rows}, {first: last}, never, lambda: False)
    assert rows.position(0) is None and not dict(rows.items()), "a recovery has begun"
    for _ in range(2):
        await follow_changelogs(broker.cluster, {_TOPIC: rows}, {first: last}, never, lambda: True)
        position = rows.position(0)
        assert position is not None and position.offset == last
        assert len(dict(rows.items())) == _ROWS // 3
    cache.close()
