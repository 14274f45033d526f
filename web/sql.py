"""The read model's tables and the statements that write them. Everything in it can be made again from the log."""

#: Of the tables below; a file of another version is made anew.
VERSION = 1

TABLES = """
-- One row: the log that all of this comes from, when nothing was missing, and the number of the last change.
CREATE TABLE log (cluster TEXT NOT NULL, partitions INTEGER NOT NULL, current_at REAL NOT NULL, seq INTEGER NOT NULL);
-- Where each changelog partition is read to. `tail` marks its last record; from `floor` on `changes` has all.
CREATE TABLE positions (
  changelog TEXT NOT NULL, partition INTEGER NOT NULL,
  next_offset INTEGER NOT NULL, tail INTEGER NOT NULL, floor INTEGER NOT NULL,
  PRIMARY KEY (changelog, partition)
) WITHOUT ROWID;
-- Highest offset of a source topic that a changelog vouches for.
CREATE TABLE applied (
  changelog TEXT NOT NULL, topic TEXT NOT NULL, partition INTEGER NOT NULL, offset INTEGER NOT NULL,
  PRIMARY KEY (changelog, topic, partition)
) WITHOUT ROWID;
-- What is searched and sorted by stands apart from the rows themselves: a scan touches a tenth of the pages.
CREATE TABLE jobs (
  n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, asset_id TEXT NOT NULL, pipeline TEXT NOT NULL, status TEXT NOT NULL,
  ended INTEGER NOT NULL, owner TEXT, created_at REAL NOT NULL, updated_at REAL NOT NULL,
  steps TEXT NOT NULL, words TEXT NOT NULL
);
CREATE TABLE job_rows (n INTEGER PRIMARY KEY, row BLOB NOT NULL);
CREATE INDEX jobs_created ON jobs (created_at, id);
CREATE INDEX jobs_status ON jobs (status, created_at, id);
CREATE INDEX jobs_ended ON jobs (ended, created_at);
CREATE INDEX jobs_owner ON jobs (owner, created_at, id);
CREATE INDEX jobs_pipeline ON jobs (pipeline, created_at, id);
CREATE INDEX jobs_asset ON jobs (asset_id, created_at, id);
CREATE TABLE assets (
  n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, status TEXT NOT NULL, owner TEXT,
  created_at REAL NOT NULL, updated_at REAL NOT NULL, words TEXT NOT NULL
);
CREATE TABLE asset_rows (n INTEGER PRIMARY KEY, row BLOB NOT NULL);
CREATE INDEX assets_created ON assets (created_at, id);
CREATE INDEX assets_status ON assets (status, created_at, id);
CREATE INDEX assets_owner ON assets (owner, created_at, id);
-- The latest state changes of jobs, for clients that resume; a deleted job has no row.
CREATE TABLE changes (
  seq INTEGER PRIMARY KEY, partition INTEGER NOT NULL, offset INTEGER NOT NULL,
  job_id TEXT NOT NULL, asset_id TEXT NOT NULL, owner TEXT, steps TEXT NOT NULL, row BLOB
);
CREATE INDEX changes_place ON changes (partition, offset);
"""

PUT_JOB = """
INSERT INTO jobs (id, asset_id, pipeline, status, ended, owner, created_at, updated_at, steps, words)
VALUES (:id, :asset_id, :pipeline, :status, :ended, :owner, :created_at, :updated_at, :steps, :words)
ON CONFLICT (id) DO UPDATE
SET status = excluded.status, ended = excluded.ended, updated_at = excluded.updated_at, words = excluded.words
"""
PUT_JOB_ROW = """
INSERT INTO job_rows (n, row) SELECT n, :row FROM jobs WHERE id = :id ON CONFLICT (n) DO UPDATE SET row = excluded.row
"""
DELETE_JOB_ROW = "DELETE FROM job_rows WHERE n = (SELECT n FROM jobs WHERE id = ?)"
DELETE_JOB = "DELETE FROM jobs WHERE id = ?"

PUT_ASSET = """
INSERT INTO assets (id, status, owner, created_at, updated_at, words)
VALUES (:id, :status, :owner, :created_at, :updated_at, :words)
ON CONFLICT (id) DO UPDATE SET status = excluded.status, updated_at = excluded.updated_at, words = excluded.words
"""
PUT_ASSET_ROW = """
INSERT INTO asset_rows (n, row) SELECT n, :row FROM assets WHERE id = :id
ON CONFLICT (n) DO UPDATE SET row = excluded.row
"""
DELETE_ASSET_ROW = "DELETE FROM asset_rows WHERE n = (SELECT n FROM assets WHERE id = ?)"
DELETE_ASSET = "DELETE FROM assets WHERE id = ?"

PUT_CHANGE = "INSERT INTO changes VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
PUT_POSITION = """
INSERT INTO positions VALUES (?, ?, ?, ?, ?) ON CONFLICT (changelog, partition)
DO UPDATE SET next_offset = excluded.next_offset, tail = excluded.tail, floor = excluded.floor
"""
PUT_APPLIED = """
INSERT INTO applied VALUES (?, ?, ?, ?) ON CONFLICT (changelog, topic, partition)
DO UPDATE SET offset = max(offset, excluded.offset)
"""
