"""Media never takes the last of a disk, on which the log and the rows are, too."""

import asyncio
import json
import sys
from pathlib import Path

import pytest


@pytest.mark.timeout(600)
async def test_uploads_and_steps_leave_the_log_its_part_of_a_small_disk(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.e2e.on_a_small_disk", str(tmp_path)]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()[-3000:]
    seen = json.loads(output)
    if seen is None:
        return  # no disks can be mounted here
    offset = seen["uploads"].pop("tus offset")
    assert seen["uploads"] == {"announced": 507, "streamed": 507, "tus announced": 507, "tus streamed": 507}
    assert offset > 0, "the client of a resumable upload keeps what came"
    assert (seen["job"], seen["broker lives"]) == ("completed", True)
    assert seen["missing"] < 8 * 1024**2, "the reserve was used"
    assert seen["attempt"] == "out-of-capacity"
    assert seen["given up"] == ["tus_a"], "the oldest, and no more than needed"
