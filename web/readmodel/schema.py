"""The read model's tables and the statements that write them. Everything in it can be rebuilt from the log."""

#: Version of the tables below; a file of another version is recreated.
VERSION = 8

TABLES = """
-- One row: the source log, the last time at which nothing was missing, and the sequence number of the last change.
CREATE TABLE log (cluster TEXT NOT NULL, partitions INTEGER NOT NULL, current_at REAL NOT NULL, seq INTEGER NOT NULL);
-- Read position of each changelog partition. `tail`: checksum of the last record; `changes` is complete from `floor`.
CREATE TABLE positions (
  changelog TEXT NOT NULL, partition INTEGER NOT NULL,
  next_offset INTEGER NOT NULL, tail INTEGER NOT NULL, floor INTEGER NOT NULL,
  PRIMARY KEY (changelog, partition)
) WITHOUT ROWID;
-- Highest offset of a source partition that control has applied, according to a changelog.
CREATE TABLE applied (
  changelog TEXT NOT NULL, topic TEXT NOT NULL, partition INTEGER NOT NULL, offset INTEGER NOT NULL,
  PRIMARY KEY (changelog, topic, partition)
) WITHOUT ROWID;
-- Groups of jobs with the same owner ('' for none), pipeline, status, states of their steps and error code ('' for
-- none). There are few, so filters and statistics read these. `states` has "step=status" of each step, each between two
-- spaces; `jobs` is the number of jobs, never 0.
CREATE TABLE groups (
  g INTEGER PRIMARY KEY, owner TEXT NOT NULL, pipeline TEXT NOT NULL, status TEXT NOT NULL, states TEXT NOT NULL,
  code TEXT NOT NULL, jobs INTEGER NOT NULL
);
-- Columns for searches and sorts are separate from the rows: a scan touches a tenth of the pages. `duration_s` is -1
-- where there is none. `live`: live progress that no row has, as JSON, see job_table.py.
CREATE TABLE jobs (
  n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, asset_id TEXT NOT NULL, g INTEGER NOT NULL, ended INTEGER NOT NULL,
  created_at REAL NOT NULL, updated_at REAL NOT NULL, duration_s REAL NOT NULL, progress REAL NOT NULL,
  words TEXT NOT NULL, live BLOB
);
CREATE TABLE job_rows (n INTEGER PRIMARY KEY, row BLOB NOT NULL);
-- Covers every filter and sort but the words: 100,000 entries are scanned in some 7 ms, and mostly far fewer. An index
-- for each filter and sort would be faster to read, but written with every change of a job.
CREATE INDEX jobs_narrow ON jobs (created_at, id, g, updated_at, duration_s, progress);
CREATE INDEX jobs_open ON jobs (created_at) WHERE ended = 0;
CREATE INDEX jobs_live ON jobs (updated_at) WHERE live IS NOT NULL;
CREATE INDEX jobs_asset ON jobs (asset_id, created_at, id);
-- Read position of each partition of `media.progress`.
CREATE TABLE progress_positions (partition INTEGER PRIMARY KEY, next_offset INTEGER NOT NULL);
-- Ids of deleted jobs, for as long as control remembers them: a repeated submission must not return one of these.
CREATE TABLE deleted_jobs (id TEXT PRIMARY KEY) WITHOUT ROWID;
-- Steps whose queue was ever changed, and the changelog record of the last pause or resume.
CREATE TABLE queues (
  step TEXT PRIMARY KEY, paused INTEGER NOT NULL, changed_at REAL NOT NULL, changed_by TEXT,
  partition INTEGER NOT NULL, offset INTEGER NOT NULL, max_active INTEGER
);
CREATE TABLE assets (
  n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, status TEXT NOT NULL, owner TEXT,
  created_at REAL NOT NULL, updated_at REAL NOT NULL, words TEXT NOT NULL
);
CREATE TABLE asset_rows (n INTEGER PRIMARY KEY, row BLOB NOT NULL);
CREATE INDEX assets_created ON assets (created_at, id);
CREATE INDEX assets_status ON assets (status, created_at, id);
CREATE INDEX assets_owner ON assets (owner, created_at, id);
-- The latest state changes of jobs, for clients that resume. Of a deleted job only the deletion is kept, without a row.
CREATE TABLE changes (
  seq INTEGER PRIMARY KEY, partition INTEGER NOT NULL, offset INTEGER NOT NULL,
  job_id TEXT NOT NULL, asset_id TEXT NOT NULL, owner TEXT, steps TEXT NOT NULL, row BLOB
);
CREATE INDEX changes_place ON changes (partition, offset);
CREATE INDEX changes_job ON changes (job_id);
"""

FIND_JOB = "SELECT n, g FROM jobs WHERE id = ?"
JOB_AUDIENCE = "SELECT asset_id, g FROM jobs WHERE id = ?"
ADD_JOB = """
INSERT INTO jobs (g, ended, updated_at, duration_s, progress, words, live, n, id, asset_id, created_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
CHANGE_JOB = """
UPDATE jobs SET g = ?, ended = ?, updated_at = ?, duration_s = ?, progress = ?, words = ?, live = ? WHERE n = ?
"""
PUT_PROGRESS = "UPDATE jobs SET progress = ifnull(?, progress), live = ? WHERE id = ? AND ended = 0"
PUT_PROGRESS_POSITION = "INSERT OR REPLACE INTO progress_positions VALUES (?, ?)"
PUT_JOB_ROW = "INSERT OR REPLACE INTO job_rows VALUES (?, ?)"
DELETE_JOB_ROW = "DELETE FROM job_rows WHERE n = ?"
DELETE_JOB = "DELETE FROM jobs WHERE n = ?"

ADD_GROUP = "INSERT INTO groups VALUES (?, ?, ?, ?, ?, ?, 0)"
COUNT_GROUP = "UPDATE groups SET jobs = jobs + ? WHERE g = ?"
DELETE_GROUP = "DELETE FROM groups WHERE g = ?"

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

PUT_DELETED_JOB = "INSERT OR IGNORE INTO deleted_jobs VALUES (?)"
FORGET_DELETED_JOB = "DELETE FROM deleted_jobs WHERE id = ?"

PUT_QUEUE = """
INSERT INTO queues VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (step)
DO UPDATE SET paused = excluded.paused, changed_at = excluded.changed_at, changed_by = excluded.changed_by,
partition = excluded.partition, max_active = excluded.max_active,
offset = CASE WHEN paused != excluded.paused THEN excluded.offset ELSE offset END
"""

PUT_CHANGE = "INSERT INTO changes VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
DELETE_CHANGES = "DELETE FROM changes WHERE job_id = ? AND row IS NOT NULL"
PUT_POSITION = """
INSERT INTO positions VALUES (?, ?, ?, ?, ?) ON CONFLICT (changelog, partition)
DO UPDATE SET next_offset = excluded.next_offset, tail = excluded.tail, floor = excluded.floor
"""
VOID_APPLIED = "DELETE FROM applied WHERE changelog = ? AND topic = ? AND partition = ?"
PUT_APPLIED = """
INSERT INTO applied VALUES (?, ?, ?, ?) ON CONFLICT (changelog, topic, partition)
DO UPDATE SET offset = max(offset, excluded.offset)
"""
