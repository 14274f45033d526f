"""CacheFollower: keeps the row cache near the end of the changelogs, so that a takeover has little to read.

Before this process joins the group, it reads what its cache lacks, if that is much; meanwhile other processes decide.
Later it reads the partitions of other processes every few seconds.
"""

import asyncio
import logging
import math
from collections.abc import Iterable, Sequence

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from faust.types import TP

from streams.kafka.topic_versions import ends_of_existing
from streams.worker.app import KinologApp
from streams.worker.cached_changelog import AnotherLog, CacheNotWritten
from streams.worker.patch_table_recovery import follow_changelogs
from tables.changelog_table import ChangelogTable

log = logging.getLogger(__name__)

_EVERY_S = 10.0
#: Records that a recovery reads in a second or two.
_FEW = 100_000


class CacheFollower:
    """Reads changelogs into the row cache. `source`: the topic whose assigned partitions are those of the tables."""

    def __init__(self, app: KinologApp, tables: Sequence[ChangelogTable], source: str, partitions: int) -> None:
        self._app, self._source, self._partitions = app, source, range(partitions)
        self._rows = {table.topic: table.rows for table in tables}

    async def prepare(self) -> None:
        """Return when a recovery has few records to read, and at once where the broker does not respond."""
        before = math.inf
        try:
            while _FEW < (lacking := self._lacks(ends := await self._ends(self._partitions))) < before:
                log.info("reading the changelogs into the row cache", extra={"records": lacking})
                await self._read_ahead(ends)
                before = lacking
        except CacheNotWritten as error:
            log.warning("row cache not read ahead", extra={"error": repr(error)})
        except (KafkaError, OSError, TimeoutError):
            return  # the start of the app reports it

    async def _read_ahead(self, ends: dict[TP, int]) -> None:
        try:
            await follow_changelogs(self._app.cluster, self._rows, ends, self._app.log_time, lambda: True)
        except AnotherLog as error:
            log.warning("the row cache is rebuilt", extra={"reason": str(error)})
            for rows in self._rows.values():
                rows.discard()

    async def run(self) -> None:
        """Follow the partitions of other processes."""
        while True:
            await asyncio.sleep(_EVERY_S)
            is_possible = self._app.is_reading and all(rows.is_cached for rows in self._rows.values())
            if is_possible and (others := [p for p in self._partitions if p not in self._owned()]):
                await self._follow(others)

    async def _follow(self, others: list[int]) -> None:
        recoveries = self._recoveries()
        try:
            await follow_changelogs(
                self._app.cluster,
                self._rows,
                await self._ends(others),
                self._app.log_time,
                lambda: self._recoveries() == recoveries,
            )
        except (
            KafkaError,
            OSError,
            TimeoutError,
            AnotherLog,
            CacheNotWritten,
        ) as error:  # the next recovery decides what to do about it
            log.warning("row cache not read ahead", extra={"error": repr(error)})

    def _recoveries(self) -> list[int]:
        return [rows.recoveries for rows in self._rows.values()]

    def _owned(self) -> set[int]:
        return {tp.partition for tp in self._app.consumer.assignment() if tp.topic == self._source}

    async def _ends(self, partitions: Iterable[int]) -> dict[TP, int]:
        """Offset of the last record of each changelog partition that exists. Raises KafkaError."""
        parts = [TopicPartition(topic, partition) for topic in self._rows for partition in partitions]
        return {TP(*part): end - 1 for part, end in (await ends_of_existing(self._app.cluster, parts)).items()}

    def _lacks(self, ends: dict[TP, int]) -> int:
        """Number of offsets that the cache has not seen."""
        known = ((end, self._rows[tp.topic].position(tp.partition)) for tp, end in ends.items())
        return sum(max(end - (position.offset if position is not None else -1), 0) for end, position in known)
