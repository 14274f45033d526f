"""What the store has returned from survives a power cut, on a real file system that forgets what is not synced."""

import asyncio
import json
import sys
from pathlib import Path

from tests.integration.processors.storage.on_a_cut_disk import SIZE_BYTES


async def test_nothing_that_is_stored_is_lost_with_the_power(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.integration.processors.storage.on_a_cut_disk", str(tmp_path)]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, errors = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 0, errors.decode()
    sizes = json.loads(output)
    if sizes is None:
        return  # no disks can be mounted here
    assert sizes.get("unsynced", 0) == 0, "the power was never cut"
    assert {path: sizes.get(path) for path in expected()} == dict.fromkeys(expected(), SIZE_BYTES)


def expected() -> list[str]:
    return [
        *(f"store/uploads/{asset}/source" for asset in "abc"),
        *(f"store/assets/a/thumbnails/1/below/{number}.m4s" for number in range(2)),
        *(f"store/assets/a/transcode/1/below/{number}.m4s" for number in range(40)),
        "tus/tus_part/data",
    ]
