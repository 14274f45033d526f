"""Erasure of what removed passages leave in the search index: their words in the full-text index, and their rows.

FTS5 keeps the words of a deleted passage, and a mark that hides them, until the segments that have them are merged with
the mark's. Its option `secure-delete` needs SQLite 3.42, and a rebuild would take one long transaction.
"""

import sqlite3
from pathlib import Path

from web.readmodel.erasure import Erasure

#: Pages of the index that one step merges: some 10 ms, at most 30 ms measured.
_STEP_PAGES = 64
#: Changed rows below which a step had nothing to merge. Source: https://www.sqlite.org/fts5.html, section 6.8
_MERGED = 2
_MERGE = "INSERT INTO words (words, rank) VALUES ('merge', ?)"


class WordMerge:
    """Merges all segments that exist at the first step into one. Used in the writer's thread."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._begun = False

    def step(self) -> bool:
        """Merge a part; True once nothing is left to merge. The next step begins again."""
        if not self._begun:  # a negative number takes all segments, whatever their sizes
            self._db.execute(_MERGE, (-_STEP_PAGES,))
            self._begun = True
            return False
        before = self._db.total_changes
        self._db.execute(_MERGE, (_STEP_PAGES,))
        self._begun = self._db.total_changes - before >= _MERGED
        return not self._begun


class IndexErasure:
    """A pass over the index's file: first words, in pages that are then free, then the file. Like `Erasure`."""

    def __init__(self, db: sqlite3.Connection, path: Path) -> None:
        self._words, self._file = WordMerge(db), Erasure(db, path)
        self._merged = False

    def step(self) -> bool:
        """Erase a part; True at the end of the pass. Raises sqlite3.Error, OSError."""
        if not self._merged:
            self._merged = self._words.step()
            return False
        ended = self._file.step()
        self._merged = not ended
        return ended
