"""A store on a disk whose power is cut: `python -m tests.integration.processors.storage.on_a_cut_disk FOLDER`.

In a process of its own, with mounts of its own. Prints as JSON what is there afterwards, by key.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from processors.storage.local_store import LocalStore
from tests.chaos import disks
from tests.power_cut import Disk, can_cut
from web.upload_staging.tus_storage import TusStorage, TusUpload

SIZE_BYTES = 300_000
_DISK_MB = 64
_SEGMENTS = 40


async def _bytes() -> AsyncIterator[bytes]:
    yield b"k" * SIZE_BYTES


def _tree(folder: Path, files: int) -> Path:
    (folder / "below").mkdir(parents=True)
    for number in range(files):
        (folder / "below" / f"{number}.m4s").write_bytes(b"k" * SIZE_BYTES)
    return folder


async def _write(root: Path) -> None:
    store, scratch = LocalStore(root / "store"), root / "scratch"
    await store.put("uploads/a/source", _bytes(), SIZE_BYTES)
    await store.publish_tree(_tree(scratch / "few", 2), "assets/a/thumbnails/1")
    await store.publish_tree(_tree(scratch / "many", _SEGMENTS), "assets/a/transcode/1")
    await store.copy("uploads/a/source", "uploads/b/source")
    uploads = TusStorage(root / "tus", 60.0, lambda: None)
    for name in ("tus_whole", "tus_part"):
        uploads.create(TusUpload(id=name, size_bytes=SIZE_BYTES, asset_id="c", job_id="c"))
        uploads.append(name, b"k" * SIZE_BYTES)
        uploads.sync(name)
    taken = uploads.link_data("tus_whole")
    assert taken is not None
    await store.put_file(taken, "uploads/c/source")


def main(folder: Path) -> None:
    if not (disks.private_mounts() and can_cut(folder / "trial")):
        sys.stdout.write(json.dumps(None))
        return
    disk = Disk(folder / "image", folder / "disk", _DISK_MB)
    asyncio.run(_write(disk.folder))
    (disk.folder / "unsynced").write_bytes(b"k" * SIZE_BYTES)
    disk.cut()
    disk.unplug()
    disk.plug_in()
    files = {path for path in disk.folder.rglob("*") if path.is_file()}
    sys.stdout.write(json.dumps({str(path.relative_to(disk.folder)): path.read_bytes().count(b"k") for path in files}))
    disk.unplug()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
