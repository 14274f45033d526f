"""The RocksDB of the row cache, with bounds on its memory."""

from pathlib import Path
from typing import Any

from rocksdict import BlockBasedOptions, Cache, DBCompressionType, Options, Rdict

#: Version of the keys: a cache with another one is not read.
_FORMAT = b"1"
_FORMAT_KEY = b"\0format"
#: Memory for decompressed blocks, and for rows that are not in a file yet (there may be four of these), bytes.
_BLOCKS_BYTES, _WRITES_BYTES = 32 * 1024**2, 16 * 1024**2
#: Bits of the Bloom filter per key, in memory: 1 % of the lookups of new ids read a block. Source: RocksDB's wiki.
_BLOOM_BITS = 10
_MAX_OPEN_FILES = 256
#: Files that compaction has not merged yet hold no write back: the event loop would wait for it, measured for 10 s.
_NEVER = 10_000
#: RocksDB's own log, and its list of files, bytes.
_LOG_BYTES = 4 * 1024**2


def opened(folder: Path, rewrite_s: int) -> Any:
    """The database in `folder`; an empty one where there is none. Raises what RocksDB raises, and OSError.

    Files older than `rewrite_s` are rewritten without what was deleted since.
    """
    folder.mkdir(parents=True, exist_ok=True)
    database = Rdict(str(folder), _options())
    database.set_options({"periodic_compaction_seconds": str(rewrite_s)})
    known = database.get(_FORMAT_KEY)
    if known not in (None, _FORMAT):
        database.close()
        raise OSError(f"a row cache of another version: {known!r}")
    if known is None:
        database.put(_FORMAT_KEY, _FORMAT)
    return database


def _options() -> Any:
    options, blocks = Options(raw_mode=True), BlockBasedOptions()
    options.create_if_missing(True)
    blocks.set_bloom_filter(_BLOOM_BITS, False)
    blocks.set_block_cache(Cache(_BLOCKS_BYTES))
    options.set_block_based_table_factory(blocks)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_write_buffer_size(_WRITES_BYTES)
    options.set_max_write_buffer_number(4)
    options.set_max_background_jobs(2)
    options.set_level_zero_slowdown_writes_trigger(_NEVER)
    options.set_level_zero_stop_writes_trigger(_NEVER)
    options.set_soft_pending_compaction_bytes_limit(0)
    options.set_hard_pending_compaction_bytes_limit(0)
    options.set_max_open_files(_MAX_OPEN_FILES)
    options.set_keep_log_file_num(2)
    options.set_max_log_file_size(_LOG_BYTES)
    options.set_max_manifest_file_size(_LOG_BYTES)
    return options
