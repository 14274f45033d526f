"""The search index's tables and statements. Everything in it can be rebuilt from the log and the store."""

#: Version of the tables below; a file of another version is recreated.
VERSION = 1

TABLES = """
-- Indexed assets; `source`: names of the artifacts that the passages come from.
CREATE TABLE assets (id TEXT PRIMARY KEY, owner TEXT, source TEXT NOT NULL) WITHOUT ROWID;
-- Spaces of vectors; the file of each space has its id as name.
CREATE TABLE spaces (n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, space BLOB NOT NULL);
-- `slot`: row of its vector in the file of its space; none without vectors. `text`: see `spread` in
-- web/search/text_query.py.
CREATE TABLE passages (
  n INTEGER PRIMARY KEY, asset_id TEXT NOT NULL, start_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL,
  text TEXT NOT NULL, space INTEGER, slot INTEGER, UNIQUE (space, slot)
);
CREATE INDEX passages_asset ON passages (asset_id);
CREATE VIRTUAL TABLE words USING fts5 (
  text, content = 'passages', content_rowid = 'n', tokenize = 'unicode61 remove_diacritics 2'
);
CREATE TRIGGER passages_put AFTER INSERT ON passages BEGIN
  INSERT INTO words (rowid, text) VALUES (new.n, new.text);
END;
CREATE TRIGGER passages_gone AFTER DELETE ON passages BEGIN
  INSERT INTO words (words, rowid, text) VALUES ('delete', old.n, old.text);
END;
"""

PUT_ASSET = "INSERT INTO assets VALUES (?, ?, ?)"
PUT_SPACE = "INSERT INTO spaces (id, space) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET id = id RETURNING n"
PUT_PASSAGE = """
INSERT INTO passages (asset_id, start_ms, end_ms, text, space, slot) VALUES (?, ?, ?, ?, ?, ?)
"""
SLOTS_OF_ASSET = "SELECT space, slot FROM passages WHERE asset_id = ? AND slot IS NOT NULL"
SLOTS_OF_SPACE = """
SELECT slot, p.n, a.owner FROM passages p JOIN assets a ON a.id = p.asset_id WHERE space = ? ORDER BY slot
"""

# The lower bm25 is, the better. Source: https://www.sqlite.org/fts5.html, section 5.1.1
FIND_WORDS = """
SELECT p.n, p.asset_id, p.start_ms, p.end_ms, p.text, -bm25(words)
FROM words JOIN passages p ON p.n = words.rowid JOIN assets a ON a.id = p.asset_id
WHERE words MATCH :words AND (:owner IS NULL OR a.owner = :owner) ORDER BY bm25(words), p.n LIMIT :limit
"""
GET_PASSAGE = """
SELECT p.n, p.asset_id, p.start_ms, p.end_ms, p.text
FROM passages p JOIN assets a ON a.id = p.asset_id WHERE p.n = :n AND (:owner IS NULL OR a.owner = :owner)
"""
