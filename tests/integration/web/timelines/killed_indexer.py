"""Indexes the records of a file, batch by batch, until it is killed: `python killed_indexer.py INDEX RECORDS`."""

import asyncio
import pickle
import sys
from pathlib import Path

from web.timelines.event_index import EventIndex


async def main(path: Path, records_path: Path) -> None:
    """Go on where the index ends."""
    records = pickle.loads(records_path.read_bytes())
    index = EventIndex(path)
    next_offsets = await index.next_offsets("log")
    sys.stdout.write("started\n")
    sys.stdout.flush()
    for start in range(next_offsets[0], len(records), 7):
        await index.add(records[start : start + 7])
    sys.stdout.write("finished\n")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
