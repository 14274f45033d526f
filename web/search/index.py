"""What was said, to be searched: passages in SQLite with a full-text index, vectors in a file per space.

Everything here is derived from the log and the store. Files that are missing, damaged or of another version are made
anew, empty; whoever fills the index (web/search/indexer.py) notices by `sources`.
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
from web.readmodel import database_file
from web.readmodel.projector import transaction
from web.search import schema as sql
from web.search.text_query import gathered, spread
from web.search.vector_file import Floats, Row, Vectors, VectorsMissing

log = logging.getLogger("kinolog.web")

T = TypeVar("T")

_READERS = 2
_spaces = msgspec.json.Decoder(Space)


class Embedded(NamedTuple):
    """Vectors and the space that they are of."""

    space: Space
    #: One row per passage.
    vectors: Floats


class Entry(NamedTuple):
    """What is indexed of one asset."""

    asset_id: str
    owner: str | None
    #: Names the artifacts that it comes from: another source replaces it.
    source: str
    passages: Sequence[Passage]
    embedded: Embedded | None = None


class Hit(NamedTuple):
    """A passage that was found."""

    #: Its number in this index.
    n: int
    asset_id: str
    start_ms: int
    end_ms: int
    text: str
    #: The higher the better; comparable within one search only.
    score: float


class _Open(NamedTuple):
    """A space that has vectors here."""

    n: int
    space: Space
    vectors: Vectors


class SearchIndex:
    """The files and their threads: one writes, others read."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._folder = path, path.with_suffix(".vectors")
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="search-writer")
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="search-reader")
        #: Numbers of owners in the vectors' rows, as long as this process lives.
        self._owners: dict[str | None, int] = {}
        self._spaces: dict[str, _Open] = {}
        #: Set when it was begun anew: what should be in it must be put there again.
        self.emptied = threading.Event()
        self._db = self._opened()

    def close(self) -> None:
        """Let go of the files, after what is running in the threads has ended."""
        self._readers.shutdown(cancel_futures=True)
        self._writer.shutdown(cancel_futures=True)
        self._let_go()

    async def sources(self) -> dict[str, str]:
        """What is indexed: the source of each asset."""
        return await self._write(lambda: dict(self._db.execute("SELECT id, source FROM assets").fetchall()))

    async def source(self, asset_id: str) -> str | None:
        """What is indexed of one asset."""
        row = await self._write(
            lambda: self._db.execute("SELECT source FROM assets WHERE id = ?", (asset_id,)).fetchone()
        )
        return row[0] if row else None

    async def put(self, entry: Entry) -> None:
        """Index an asset, in place of what was indexed of it. A repeat is harmless."""
        await self._write(lambda: self._put(entry))

    async def remove(self, asset_ids: Iterable[str]) -> None:
        """Forget assets. A repeat is harmless."""
        gone = list(asset_ids)
        await self._write(lambda: self._remove(gone))

    async def find_words(self, query: str, owner: str | None, limit: int) -> list[Hit]:
        """Passages that match an FTS5 query, by BM25; of one owner, or of all (None)."""
        return await self._read(lambda db: _find_words(db, query, owner, limit))

    async def nearest(self, space_id: str, query: Floats, owner: str | None, limit: int) -> list[Hit]:
        """Passages of one space whose vectors are the nearest to `query`, a vector of that space."""
        return await self._read(lambda db: self._nearest(db, space_id, query, owner, limit))

    def spaces(self) -> list[Space]:
        """The spaces that have vectors here, those with most first."""
        held = sorted(self._spaces.values(), key=lambda found: (-len(found.vectors), found.space.id))
        return [found.space for found in held if len(found.vectors)]

    async def _write(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._writer, lambda: self._mending(work))

    async def _read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._readers, self._query, query)
        except sqlite3.DatabaseError as error:
            if not self._is_broken(error):
                raise
            await loop.run_in_executor(self._writer, self._begin_anew, f"it cannot be read: {error}")
            return await loop.run_in_executor(self._readers, self._query, query)

    def _is_broken(self, error: sqlite3.DatabaseError) -> bool:
        return database_file.is_damage(error) or not self._path.exists()

    # In the writer's thread

    def _mending(self, work: Callable[[], T]) -> T:
        """`work`; where the file turns out to be damaged, it is begun anew and `work` is done there."""
        try:
            return work()
        except sqlite3.DatabaseError as error:
            if not self._is_broken(error):
                raise
            self._begin_anew(f"it is damaged: {error}")
            return work()

    def _put(self, entry: Entry) -> None:
        opened = self._space(entry.embedded.space) if entry.embedded else None
        slots = opened.vectors.write(entry.embedded.vectors) if opened and entry.embedded else []
        places: Sequence[int | None] = slots or [None] * len(entry.passages)
        try:
            with transaction(self._db):
                gone = self._delete(entry.asset_id)
                self._db.execute(sql.PUT_ASSET, (entry.asset_id, entry.owner, entry.source))
                numbers = [
                    self._insert(entry.asset_id, passage, opened.n if opened else None, slot)
                    for passage, slot in zip(entry.passages, places, strict=True)
                ]
        except BaseException:
            if opened:
                opened.vectors.release(slots)
            raise
        self._forget(gone)
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
            gone = [place for asset_id in asset_ids for place in self._delete(asset_id)]
        self._forget(gone)

    def _delete(self, asset_id: str) -> list[tuple[int, int]]:
        gone = self._db.execute(sql.SLOTS_OF_ASSET, (asset_id,)).fetchall()
        self._db.execute("DELETE FROM passages WHERE asset_id = ?", (asset_id,))
        self._db.execute("DELETE FROM assets WHERE id = ?", (asset_id,))
        return gone

    def _forget(self, gone: Sequence[tuple[int, int]]) -> None:
        for found in self._spaces.values():
            slots = [slot for space, slot in gone if space == found.n]
            if slots:
                found.vectors.publish([], slots)

    def _space(self, space: Space) -> _Open:
        if space.id not in self._spaces:
            [[number]] = self._db.execute(sql.PUT_SPACE, (space.id, msgspec.json.encode(space))).fetchall()
            self._spaces = {**self._spaces, space.id: self._load(number, space)}
        return self._spaces[space.id]

    def _load(self, number: int, space: Space) -> _Open:
        rows = self._db.execute(sql.SLOTS_OF_SPACE, (number,)).fetchall()
        known = [Row(slot, n, self._owner(owner)) for slot, n, owner in rows]
        return _Open(number, space, Vectors(self._folder / f"{space.id}.f32", space.dim, known))

    def _owner(self, owner: str | None) -> int:
        return self._owners.setdefault(owner, len(self._owners))

    def _opened(self) -> sqlite3.Connection:
        """The index as it was left, or an empty one."""
        if reason := database_file.reason_to_replace(self._path, sql.VERSION):
            return self._begun_anew(reason)
        try:
            db = self._db = database_file.connect(self._path)
            self._folder.mkdir(exist_ok=True)
            rows = db.execute("SELECT n, space FROM spaces").fetchall()
            self._spaces = {(space := _spaces.decode(raw)).id: self._load(n, space) for n, raw in rows}
        except (VectorsMissing, msgspec.MsgspecError, sqlite3.DatabaseError) as error:
            return self._begun_anew(str(error))
        return db

    def _begin_anew(self, reason: str) -> None:
        self._db = self._begun_anew(reason)

    def _begun_anew(self, reason: str) -> sqlite3.Connection:
        log.info("search index is made anew", extra={"reason": reason})
        self._let_go()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()
        database_file.create(self._path, sql.TABLES, sql.VERSION)
        db = database_file.connect(self._path)
        self.emptied.set()
        return db

    def _let_go(self) -> None:
        for found in self._spaces.values():
            found.vectors.close()
        self._spaces = {}
        if db := getattr(self, "_db", None):
            db.close()

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
            if row is not None:  # it may have gone meanwhile
                hits.append(_hit((*row, score)))
        return hits


def _find_words(db: sqlite3.Connection, query: str, owner: str | None, limit: int) -> list[Hit]:
    return [_hit(row) for row in db.execute(sql.FIND_WORDS, {"words": query, "owner": owner, "limit": limit})]


def _hit(row: tuple[Any, ...]) -> Hit:
    hit = Hit._make(row)
    return hit._replace(text=gathered(hit.text))
