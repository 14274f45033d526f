"""SQLite files that can be rebuilt: a file that cannot be used is noticed, and a busy one is not thrown away."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from web.readmodel import database_file

TABLES = "CREATE TABLE things (n INTEGER)"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "things.sqlite3"
    database_file.create(path, TABLES, 3)
    return path


def test_a_file_of_this_version_is_kept(path: Path) -> None:
    assert database_file.reason_to_replace(path, 3) is None


def test_a_file_that_is_missing_old_or_damaged_is_replaced(path: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database at all" * 100)
    assert database_file.reason_to_replace(tmp_path / "missing", 3) == "it does not exist"
    assert database_file.reason_to_replace(path, 4) == "it has another version"
    assert "cannot be read" in (database_file.reason_to_replace(tmp_path / "text", 3) or "")


def test_a_new_file_holds_nothing_of_the_one_before(path: Path) -> None:
    with closing(database_file.connect(path)) as db:
        db.execute("INSERT INTO things VALUES (1)")
    database_file.create(path, TABLES, 3)
    with closing(database_file.connect_to_read(path)) as db:
        assert db.execute("SELECT count(*) FROM things").fetchone() == (0,)
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            db.execute("INSERT INTO things VALUES (1)")


def test_a_busy_file_is_not_damaged(path: Path) -> None:
    with closing(database_file.connect(path)) as one, closing(database_file.connect(path)) as other:
        one.execute("BEGIN IMMEDIATE")
        other.execute("PRAGMA busy_timeout = 0")
        with pytest.raises(sqlite3.OperationalError) as caught:
            other.execute("BEGIN IMMEDIATE")
        one.execute("ROLLBACK")
    assert not database_file.is_damage(caught.value)
