"""The executors that are alive, by their reports on `media.executors`."""

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from aiokafka import TopicPartition

from schemas.executors import ExecutorReport
from schemas.steps import step_kinds
from streams.cluster import Cluster
from streams.kafka.envelope import Entry, read
from streams.kafka.reader import open_reader, read_between
from streams.kafka.topics import names
from streams.settings import Settings

#: Seconds without a report until an executor counts as silent: three reports.
SILENT_S = 6.0
#: Reports that are read, of the time before the newest one.
RECENT_S = 60.0
#: Seconds by which this machine's clock may be ahead of the broker's without an executor being overlooked.
_CLOCKS_DIFFER_S = 10.0
_TIMEOUT_S = 5.0


class DatedReport(NamedTuple):
    """A report and the time of its record, seconds since the epoch by the broker's clock."""

    report: ExecutorReport
    at: float


def reports_of(record: Any) -> list[DatedReport]:
    """The reports in a record of `media.executors`."""
    if record.value is None:
        return []
    messages = [entry.message for entry in read(record.value, record.headers) if isinstance(entry, Entry)]
    return [
        DatedReport(message, record.timestamp / 1000) for message in messages if isinstance(message, ExecutorReport)
    ]


async def read_recent(reader: Any, part: TopicPartition) -> tuple[list[DatedReport], int]:
    """The reports of the minute before the newest one, and the offset after them. `part` is assigned to the reader and
    paused.

    This machine's clock plays no part: one that is ahead found no executor until the next report.
    """
    starts, ends = await reader.beginning_offsets([part]), await reader.end_offsets([part])
    last = {part: max(starts[part], ends[part] - 1)}
    newest_ms = max([record.timestamp async for record in read_between(reader, last, ends)], default=None)
    if newest_ms is None:
        return [], ends[part]
    [found] = (await reader.offsets_for_times({part: int(newest_ms - RECENT_S * 1000)})).values()
    start = found.offset if found is not None else last[part]
    records = [record async for record in read_between(reader, {part: start}, ends)]
    return [report for record in records for report in reports_of(record)], ends[part]


async def latest_reports(settings: Settings, cluster: Cluster) -> list[DatedReport]:
    """The latest report of each executor that has reported in the last minute. Raises KafkaError, TimeoutError."""
    part = TopicPartition(names(settings).executors, 0)
    async with asyncio.timeout(_TIMEOUT_S), open_reader(cluster, [part], reset="earliest") as reader:
        reports, _ = await read_recent(reader, part)
    return list({dated.report.executor_id: dated for dated in reports}.values())


async def executors_by_step(settings: Settings, cluster: Cluster) -> dict[str, int]:
    """Number of executors per step. Raises KafkaError, TimeoutError."""
    return count_by_step(await latest_reports(settings, cluster), time.time())


def silent_before(reports: Iterable[DatedReport], now: float) -> float:
    """Executors whose latest report is not after this time are silent. `now`: this machine's time."""
    newest = max((dated.at for dated in reports), default=0.0)
    return max(newest, now - _CLOCKS_DIFFER_S) - SILENT_S


def count_by_step(reports: Iterable[DatedReport], now: float) -> dict[str, int]:
    """Number of executors per step: those that report and stay. `now`: this machine's time."""
    alive = _alive(reports, now)
    return {step: sum(step in report.steps for report in alive) for step in step_kinds()}


def slots_by_step(reports: Iterable[DatedReport], now: float) -> dict[str, int]:
    """Attempts of each step that these executors run at a time."""
    offers = [report.steps for report in _alive(reports, now)]
    return {step: sum(steps[step].slots for steps in offers if step in steps) for step in step_kinds()}


def _alive(reports: Iterable[DatedReport], now: float) -> list[ExecutorReport]:
    latest = {dated.report.executor_id: dated for dated in reports}
    since = silent_before(latest.values(), now)
    return [report for report, at in latest.values() if at > since and not report.draining]


def unserved_steps(executors: Mapping[str, int]) -> list[str]:
    """Steps without an executor."""
    return [step for step, count in executors.items() if not count]
