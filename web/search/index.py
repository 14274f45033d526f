"""The search index of transcripts: passages in SQLite with a full-text index, and one file of vectors per space.

Everything is derived from the log and the store. Files that are missing, damaged or of another version are recreated,
empty; the indexer (web/search/indexer.py) notices by `sources` and fills them again.
"""

import asyncio
import logging
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from schemas.embed import Passage, Space
from web.http.fair_semaphore import MAX_WAITING, FairSemaphore
from web.readmodel import database_file
from web.readmodel.projector import transaction
from web.search import schema as sql
from web.search.erasure import IndexErasure
from web.search.text_query import gathered, spread
from web.search.vector_file import Floats, Row, Vectors, VectorsMissing

log = logging.getLogger("kinolog.web")

T = TypeVar("T")

_READERS = 2
_spaces = msgspec.json.Decoder(Space)


class Embedded(NamedTuple):
    """Vectors of passages and the space that they belong to."""

    space: Space
    #: One row per passage.
    vectors: Floats


class Entry(NamedTuple):
    """The indexed content of one asset."""

    asset_id: str
    owner: str | None
    #: Names of the artifacts that it was made from; an entry with another source replaces it.
    source: str
    passages: Sequence[Passage]
    embedded: Embedded | None = None


class Hit(NamedTuple):
    """A passage that matches a search."""

    #: Number of the passage in this index.
    n: int
    asset_id: str
    start_ms: int
    end_ms: int
    text: str
    #: Higher is better; comparable within one search only.
    score: float


class _OpenSpace(NamedTuple):
    """A space and its open file of vectors."""

    n: int
    space: Space
    vectors: Vectors


class SearchIndex:
    """The files and their threads: one writer, several readers."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._folder = path, path.with_suffix(".vectors")
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="search-writer")
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="search-reader")
        self._slots = FairSemaphore(_READERS, per_caller=_READERS - 1, queue=MAX_WAITING)
        #: Numbers of owners in the rows of vectors, for the lifetime of this process.
        self._owners: dict[str | None, int] = {}
        self._spaces: dict[str, _OpenSpace] = {}
        #: Set when the index was recreated: everything must be indexed again.
        self.emptied = threading.Event()
        #: Set when the file may have something of what was removed; also at start: the last process may have died.
        self.needs_erasure = threading.Event()
        self.needs_erasure.set()
        self._db = self._opened()
        self._erasure = IndexErasure(self._db, self._path)

    def close(self) -> None:
        """Close the files after the running work has ended."""
        self._readers.shutdown(cancel_futures=True)
        self._writer.shutdown(cancel_futures=True)
        self._close_files()

    async def sources(self) -> dict[str, str]:
        """Sources of all indexed assets, by id."""
        return await self._write(lambda: dict(self._db.execute("SELECT id, source FROM assets").fetchall()))

    async def source(self, asset_id: str) -> str | None:
        """Source of one indexed asset; None when it is not indexed."""
        row = await self._write(
            lambda: self._db.execute("SELECT source FROM assets WHERE id = ?", (asset_id,)).fetchone()
        )
        return row[0] if row else None

    async def put(self, entry: Entry) -> None:
        """Index an asset, replacing its entry. A repeat is harmless."""
        await self._write(lambda: self._put(entry))

    async def remove(self, asset_ids: Iterable[str]) -> None:
        """Remove assets. A repeat is harmless."""
        removed = list(asset_ids)
        await self._write(lambda: self._remove(removed))

    async def erase(self) -> bool:
        """Erase what removed assets left in a part of the file; True at its end. Raises sqlite3.Error, OSError."""
        return await self._write(self._erase_step)

    async def find_words(self, query: str, owner: str | None, limit: int) -> list[Hit]:
        """Passages that match an FTS5 query, by BM25; of one owner, or of all (None)."""
        return await self._read(lambda db: _find_words(db, query, owner, limit))

    async def nearest(self, space_id: str, query: Floats, owner: str | None, limit: int) -> list[Hit]:
        """Passages whose vectors are nearest to `query`, a vector of that space; of one owner, or of all (None)."""
        return await self._read(lambda db: self._nearest(db, space_id, query, owner, limit))

    def spaces(self) -> list[Space]:
        """Spaces with vectors in this index, the largest first."""
        largest_first = sorted(self._spaces.values(), key=lambda each: (-len(each.vectors), each.space.id))
        return [each.space for each in largest_first if len(each.vectors)]

    async def _write(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._writer, lambda: self._repairing(work))

    async def _read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        async with self._slots.slot():
            return await self._read_in_turn(query)

    async def _read_in_turn(self, query: Callable[[sqlite3.Connection], T]) -> T:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._readers, self._query, query)
        except sqlite3.DatabaseError as error:
            if not self._is_broken(error):
                raise
            await loop.run_in_executor(self._writer, self._recreate, f"it cannot be read: {error}")
            return await loop.run_in_executor(self._readers, self._query, query)

    def _is_broken(self, error: sqlite3.DatabaseError) -> bool:
        return database_file.is_damage(error) or not self._path.exists()

    # In the writer's thread

    def _repairing(self, work: Callable[[], T]) -> T:
        """Do `work`; a damaged file is recreated first, and `work` is repeated."""
        try:
            return work()
        except sqlite3.DatabaseError as error:
            if not self._is_broken(error):
                raise
            self._recreate(f"it is damaged: {error}")
            return work()

    def _put(self, entry: Entry) -> None:
        opened = self._space(entry.embedded.space) if entry.embedded else None
        slots = opened.vectors.write(entry.embedded.vectors) if opened and entry.embedded else []
        passage_slots: Sequence[int | None] = slots or [None] * len(entry.passages)
        try:
            with transaction(self._db):
                freed = self._delete(entry.asset_id)
                self._db.execute(sql.PUT_ASSET, (entry.asset_id, entry.owner, entry.source))
                numbers = [
                    self._insert(entry.asset_id, passage, opened.n if opened else None, slot)
                    for passage, slot in zip(entry.passages, passage_slots, strict=True)
                ]
        except BaseException:
            if opened:
                opened.vectors.release(slots)
            raise
        self._release(freed)
        if opened:
            owner = self._owner(entry.owner)
            opened.vectors.publish([Row(slot, n, owner) for slot, n in zip(slots, numbers, strict=True)], [])

    def _insert(self, asset_id: str, passage: Passage, space: int | None, slot: int | None) -> int:
        values = (asset_id, passage.start_ms, passage.end_ms, spread(passage.text), space, slot)
        number = self._db.execute(sql.PUT_PASSAGE, values).lastrowid
        assert number is not None
        return number

    def _remove(self, asset_ids: Sequence[str]) -> None:
        with transaction(self._db):
            freed = [slot for asset_id in asset_ids for slot in self._delete(asset_id)]
        self._release(freed)

    def _delete(self, asset_id: str) -> list[tuple[int, int]]:
        """Delete an asset's passages; returns the (space, slot) of each vector."""
        slots = self._db.execute(sql.SLOTS_OF_ASSET, (asset_id,)).fetchall()
        self._db.execute("DELETE FROM passages WHERE asset_id = ?", (asset_id,))
        if self._db.execute("DELETE FROM assets WHERE id = ?", (asset_id,)).rowcount:
            self.needs_erasure.set()
        return slots

    def _release(self, freed: Sequence[tuple[int, int]]) -> None:
        for each in self._spaces.values():
            slots = [slot for space, slot in freed if space == each.n]
            if slots:
                each.vectors.publish([], slots)

    def _space(self, space: Space) -> _OpenSpace:
        if space.id not in self._spaces:
            [[number]] = self._db.execute(sql.PUT_SPACE, (space.id, msgspec.json.encode(space))).fetchall()
            self._spaces = {**self._spaces, space.id: self._load(number, space)}
        return self._spaces[space.id]

    def _load(self, number: int, space: Space) -> _OpenSpace:
        rows = self._db.execute(sql.SLOTS_OF_SPACE, (number,)).fetchall()
        known = [Row(slot, n, self._owner(owner)) for slot, n, owner in rows]
        return _OpenSpace(number, space, Vectors(self._folder / f"{space.id}.f32", space.dim, known))

    def _owner(self, owner: str | None) -> int:
        return self._owners.setdefault(owner, len(self._owners))

    def _opened(self) -> sqlite3.Connection:
        """The connection to the existing index, or to a new, empty one."""
        if reason := database_file.reason_to_replace(self._path, sql.VERSION):
            return self._recreated(reason)
        try:
            db = self._db = database_file.connect(self._path)
            self._folder.mkdir(exist_ok=True)
            rows = db.execute("SELECT n, space FROM spaces").fetchall()
            self._spaces = {(space := _spaces.decode(raw)).id: self._load(n, space) for n, raw in rows}
        except (VectorsMissing, msgspec.MsgspecError, sqlite3.DatabaseError) as error:
            return self._recreated(str(error))
        return db

    def _recreate(self, reason: str) -> None:
        self._db = self._recreated(reason)
        self._erasure = IndexErasure(self._db, self._path)

    def _recreated(self, reason: str) -> sqlite3.Connection:
        log.info("search index is recreated", extra={"reason": reason})
        self._close_files()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()
        database_file.create(self._path, sql.TABLES, sql.VERSION)
        db = database_file.connect(self._path)
        self.emptied.set()
        return db

    def _close_files(self) -> None:
        for each in self._spaces.values():
            each.vectors.close()
        self._spaces = {}
        if db := getattr(self, "_db", None):
            db.close()

    def _erase_step(self) -> bool:
        return self._erasure.step()  # of the file as it is now: it may have been created again

    # In a reader's thread

    def _query(self, query: Callable[[sqlite3.Connection], T]) -> T:
        with closing(database_file.connect_to_read(self._path)) as db:
            return query(db)

    def _nearest(
        self, db: sqlite3.Connection, space_id: str, query: Floats, owner: str | None, limit: int
    ) -> list[Hit]:
        opened, number = self._spaces.get(space_id), None if owner is None else self._owners.get(owner)
        if opened is None or (owner is not None and number is None):
            return []
        hits = []
        for n, score in opened.vectors.nearest(query, limit, number):
            row = db.execute(sql.GET_PASSAGE, {"n": n, "owner": owner}).fetchone()
            if row is not None:  # it may have been removed meanwhile
                hits.append(_hit((*row, score)))
        return hits


def _find_words(db: sqlite3.Connection, query: str, owner: str | None, limit: int) -> list[Hit]:
    return [_hit(row) for row in db.execute(sql.FIND_WORDS, {"words": query, "owner": owner, "limit": limit})]


def _hit(row: tuple[Any, ...]) -> Hit:
    hit = Hit._make(row)
    return hit._replace(text=gathered(hit.text))
