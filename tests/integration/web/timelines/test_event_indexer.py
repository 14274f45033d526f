"""Counts of the past come from an index that one reader keeps, over a real log."""

import asyncio
import pickle
import random
import signal
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.errors import KafkaError

from schemas.base import Message
from schemas.facts import JobCompleted, JobSubmitted
from schemas.jobs import Input
from streams.kafka.reader import ends_with_open_transactions, open_reader
from streams.kafka.topics import names
from streams.settings import Settings
from tests.broker_requests import Requests, requests
from tests.conftest import eventually
from tests.integration.web.logs import Make, log, make
from tests.integration.web.timelines.test_event_log import ASSET, facts_of, publish, send
from tests.unit.web.readmodel.log_records import log_record
from web.http.problems import Problem
from web.readmodel.position import Position
from web.readmodel.queries import Counts
from web.timelines import event_indexer
from web.timelines.event_index import EventIndex
from web.timelines.event_indexer import EventIndexer
from web.timelines.event_log import EventLog
from web.timelines.past_counts import TooOld

__all__ = ["log", "make", "requests"]  # fixtures are found by their name in this module


@pytest.fixture
async def index(tmp_path: Path) -> AsyncIterator[EventIndex]:
    found = EventIndex(tmp_path / "events")
    yield found
    found.close()


def indexer_of(settings: Settings, index: EventIndex) -> EventIndexer:
    position = Position(names(settings).commands)
    position.restart("mark", [0] * settings.partitions, rebuilding=False)
    position.caught_up.set()
    return EventIndexer(settings, position, index)


@pytest.fixture
async def indexer(make: Make, index: EventIndex) -> AsyncIterator[EventIndexer]:
    """It runs."""
    found = indexer_of(make(), index)
    running = asyncio.create_task(found.run())
    yield found
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


def jobs(counts: Counts) -> int:
    return sum(row.jobs for row in counts.rows if not row.step)


async def test_twelve_requests_for_counts_of_the_past_read_the_log_once(
    make: Make, requests: Requests, indexer: EventIndexer
) -> None:
    facts = [fact for n in range(100) for fact in facts_of(f"many_{n}", passthrough="x" * 1000)]
    await publish(make(), facts)
    requests.fetched_bytes = 0
    found = await asyncio.gather(*(indexer.counts_at(time.time(), None) for _ in range(12)))
    assert {jobs(counts) for counts in found} == {jobs(found[0])} and jobs(found[0]) >= 100
    once = requests.fetched_bytes
    assert once < 2 * len(facts) * 1500
    await publish(make(), facts_of("one_more"))
    assert jobs(await indexer.counts_at(time.time(), None)) == jobs(found[0]) + 1
    assert requests.fetched_bytes - once < 100_000  # what is new, in all partitions


async def test_a_moment_of_which_all_is_known_is_answered_without_the_log(
    make: Make, requests: Requests, indexer: EventIndexer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_indexer, "SKEW_S", 0.0)
    before = time.time()
    await asyncio.sleep(0.01)  # the log's clock counts milliseconds
    await publish(make(), facts_of("known"))
    now = await indexer.counts_at(time.time(), None)
    monkeypatch.setattr(EventIndexer, "catch_up", None)
    assert jobs(await indexer.counts_at(before, None)) == jobs(now) - 1


async def test_while_the_index_is_behind_counts_are_refused_and_a_timeline_is_read_from_the_log(
    make: Make, index: EventIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = facts_of("early")
    await publish(make(), facts)
    monkeypatch.setattr(event_indexer, "_WAIT_S", 0.1)
    with pytest.raises(Problem) as refused:
        await indexer_of(make(), index).counts_at(time.time(), None)
    assert (refused.value.status, refused.value.code) == (503, "history-behind")
    history = await EventLog(make(), index).of_job(ASSET, "early", time.time() - 60)
    assert [fact.message for fact in history.facts] == facts


async def test_a_log_that_lost_events_before_they_were_indexed_has_counts_from_its_beginning_on(
    make: Make, index: EventIndex, indexer: EventIndexer
) -> None:
    settings = make()
    await publish(settings, facts_of("lost"))
    began = time.time()
    await asyncio.sleep(0.01)
    await publish(settings, facts_of("kept"))
    parts = [TopicPartition(names(settings).events, n) for n in range(settings.partitions)]
    await index.reset(indexer._name, dict.fromkeys(range(settings.partitions), 0))
    await _delete_all_but_the_last_two(settings, parts)
    assert jobs(await indexer.counts_at(time.time(), None)) == 1
    with pytest.raises(TooOld):
        await indexer.counts_at(began - 3600, None)


async def _delete_all_but_the_last_two(settings: Settings, parts: list[TopicPartition]) -> None:
    from streams.kafka.reader import open_reader

    async with open_reader(settings.cluster, parts, reset="earliest") as reader:
        ends = await reader.end_offsets(parts)
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap)
    await admin.start()
    await admin.delete_records({part: RecordsToDelete(max(end - 2, 0)) for part, end in ends.items()})
    await admin.close()


async def test_an_indexer_that_is_killed_again_and_again_ends_with_the_same_counts(tmp_path: Path) -> None:
    records = [log_record(message, n, n / 10) for n, message in enumerate(_story(400))]
    (tmp_path / "records").write_bytes(pickle.dumps(records))
    whole, killed = EventIndex(tmp_path / "whole"), EventIndex(tmp_path / "killed")
    for index in (whole, killed):
        await index.reset("log", {0: 0})
    await whole.add(records)
    killed.close()
    chance, finished, kills = random.Random(7), False, 0
    while not finished:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.integration.web.timelines.killed_indexer",
            str(tmp_path / "killed"), str(tmp_path / "records"), stdout=PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        assert await process.stdout.readline() == b"started\n"
        if kills < 5:
            await asyncio.sleep(chance.random() / 5)
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)
        kills += 1
        finished = await process.stdout.read() == b"finished\n"
        await process.wait()
    killed = EventIndex(tmp_path / "killed")
    for moment_ms in range(0, len(records) * 100, 1700):
        expected = await whole.counts_at("log", moment_ms, None, final=False)
        assert await killed.counts_at("log", moment_ms, None, final=False) == expected
    for n in range(400):
        assert await killed.of_job(0, f"job_{n}") == await whole.of_job(0, f"job_{n}")
    whole.close()
    killed.close()


def _story(count: int) -> list[Message]:
    about: dict[str, Any] = {"pipeline": "p", "run": 1, "owner": "anna"}
    return [
        message
        for n in range(count)
        for job in ({"job_id": f"job_{n}", "asset_id": f"asset_{n // 2}", **about},)
        for message in (JobSubmitted(**job, input=Input(object="k")), JobCompleted(**job))
    ]


async def _no_transaction_is_open(settings: Settings) -> None:
    """Wait until the broker has written the markers of what was committed or aborted: it answers before."""
    parts = [TopicPartition(names(settings).events, n) for n in range(settings.partitions)]
    async with open_reader(settings.cluster, parts, reset="none") as reader:

        async def is_over() -> bool:
            ends: dict[TopicPartition, int] = await reader.end_offsets(parts)
            return ends == await ends_with_open_transactions(settings.cluster, parts)

        await eventually(is_over)


@pytest.fixture
async def transactional(make: Make) -> AsyncIterator[AIOKafkaProducer]:
    bootstrap = make().bootstrap
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id="elsewhere") as producer:
        yield producer


async def test_records_of_an_aborted_transaction_at_the_end_of_the_log_are_read_once(
    make: Make, requests: Requests, index: EventIndex, indexer: EventIndexer, transactional: AIOKafkaProducer
) -> None:
    before = jobs(await indexer.counts_at(time.time(), None))
    await transactional.begin_transaction()
    await send(transactional, make(), facts_of("aborted", passthrough="x" * 4000)[:1] * 100)
    await transactional.abort_transaction()
    await _no_transaction_is_open(make())
    assert jobs(await indexer.counts_at(time.time(), None)) == before
    requests.fetched_bytes = 0
    assert jobs(await indexer.counts_at(time.time(), None)) == before
    history = await EventLog(make(), index).of_job(ASSET, "aborted", time.time() - 60)
    assert (history.facts, requests.fetched_bytes) == ([], 0)


async def test_an_open_transaction_delays_neither_timelines_nor_counts(
    make: Make, index: EventIndex, indexer: EventIndexer, transactional: AIOKafkaProducer
) -> None:
    facts = facts_of("before_it")
    await publish(make(), facts)
    await transactional.begin_transaction()
    await send(transactional, make(), facts_of("open"))
    async with asyncio.timeout(20):
        before = jobs(await indexer.counts_at(time.time(), None))
        history = await EventLog(make(), index).of_job(ASSET, "before_it", time.time() - 60)
    assert [fact.message for fact in history.facts] == facts
    await transactional.commit_transaction()
    await _no_transaction_is_open(make())
    async with asyncio.timeout(20):
        assert jobs(await indexer.counts_at(time.time(), None)) == before + 1


async def test_what_an_open_transaction_hides_is_counted_at_its_moment_later(
    make: Make, indexer: EventIndexer, transactional: AIOKafkaProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_indexer, "SKEW_S", 0.0)
    before = jobs(await indexer.counts_at(time.time(), None))
    await transactional.begin_transaction()
    await send(transactional, make(), facts_of("in_transaction"))
    await publish(make(), facts_of("hidden"))
    await asyncio.sleep(0.01)  # the log's clock counts milliseconds
    moment = time.time()
    assert jobs(await indexer.counts_at(moment, None)) == before
    await indexer.counts_at(time.time(), None)
    await transactional.commit_transaction()
    await _no_transaction_is_open(make())
    assert jobs(await indexer.counts_at(moment, None)) == before + 2


async def test_events_that_are_removed_while_they_are_to_be_read_do_not_count_as_read(
    make: Make, index: EventIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make()
    parts = [TopicPartition(names(settings).events, n) for n in range(settings.partitions)]
    await publish(settings, [*facts_of("removed"), *facts_of("newer")])
    await _delete_all_but_the_last_two(settings, parts)
    indexer = indexer_of(settings, index)
    await index.reset(indexer._name, dict.fromkeys(range(settings.partitions), 0))
    with monkeypatch.context() as patch:
        stale = dict.fromkeys(parts, 0)  # looked up just before the removal

        async def starts(*_: Any) -> dict[TopicPartition, int]:
            return stale

        patch.setattr(EventIndexer, "_starts", starts)
        with pytest.raises(KafkaError):
            await indexer.catch_up()
    assert await index.next_offsets(indexer._name) == dict.fromkeys(range(settings.partitions), 0)
    await indexer.catch_up()  # from the beginning that is left
    history = await EventLog(settings, index).of_job(ASSET, "newer", time.time() - 60)
    assert len(history.facts) == 2
