"""Erasure: what was deleted cannot be read in the file any more, and everything else can."""

import random
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from web.readmodel import database_file
from web.readmodel.erasure import Erasure

TABLES = """
CREATE TABLE jobs (n INTEGER PRIMARY KEY, words TEXT NOT NULL);
CREATE INDEX jobs_words ON jobs (words);
CREATE TABLE rows (n INTEGER PRIMARY KEY, row BLOB NOT NULL)
"""


def planted(n: int, chance: random.Random) -> str:
    """A text that names its row, of any length: in a cell, in several, or in pages of its own."""
    return f"row{n:06}|" * chance.choice([1, 3, 20, 60, 300, 900])


def change(db: sqlite3.Connection, seed: int) -> tuple[set[int], set[int]]:
    """Rows are written, changed and deleted; the numbers of those that are left, and of those that are not."""
    chance, left, deleted = random.Random(seed), set[int](), set[int]()
    for n in range(4000):
        # An earlier row, or the next one: rows that grow in place make SQLite distribute cells again.
        row = chance.choice(sorted(left)) if left and chance.random() < 0.6 else n
        if row != n and chance.random() < 0.5:
            db.execute("DELETE FROM jobs WHERE n = ?", (row,))
            db.execute("DELETE FROM rows WHERE n = ?", (row,))
            left.remove(row)
            deleted.add(row)
        else:
            text = planted(row, chance)
            db.execute("INSERT OR REPLACE INTO jobs VALUES (?, ?)", (row, text[:400]))
            db.execute("INSERT OR REPLACE INTO rows VALUES (?, ?)", (row, text.encode()))
            left.add(row)
    return left, deleted


def readable(path: Path) -> set[int]:
    """Numbers of rows with something in the file or its write-ahead log."""
    content = b"".join(file.read_bytes() for file in path.parent.glob(f"{path.name}*"))
    return {int(number) for number in re.findall(rb"row(\d{6})", content)}


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    found = tmp_path / "web-1.sqlite3"
    database_file.create(found, TABLES, 1)
    yield found
    with closing(sqlite3.connect(found)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


@pytest.mark.parametrize("seed", range(4))
def test_a_deleted_row_is_nowhere_in_the_file(path: Path, seed: int) -> None:
    with closing(database_file.connect(path)) as db:
        left, deleted = change(db, seed)
        assert readable(path) & deleted, "nothing to erase: this proves nothing"
        erasure = Erasure(db, path)
        while not erasure.step():
            pass
        assert readable(path) == left
        # What the connection has in its cache is not written again.
        db.execute("UPDATE jobs SET words = words || '!'")
        db.execute("UPDATE rows SET row = row || '!'")
        assert readable(path) & deleted == set()


def test_a_reader_of_an_older_state_is_not_disturbed_and_not_waited_for(path: Path) -> None:
    with closing(database_file.connect(path)) as db, closing(database_file.connect_to_read(path)) as reader:
        change(db, 1)
        reader.execute("BEGIN")
        before = reader.execute("SELECT count(*), sum(length(words)) FROM jobs").fetchone()
        db.execute("DELETE FROM jobs")
        erasure = Erasure(db, path)
        assert not erasure.step()
        assert reader.execute("SELECT count(*), sum(length(words)) FROM jobs").fetchone() == before
        reader.execute("ROLLBACK")
        while not erasure.step():
            pass
        assert reader.execute("SELECT count(*) FROM jobs").fetchone() == (0,)
