"""A power cut loses nothing that was acknowledged, and no command that comes afterwards."""

import asyncio
import json
import sys
from pathlib import Path

import pytest


@pytest.mark.timeout(600)
async def test_a_power_cut_loses_no_acknowledged_job_and_no_later_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.chaos.power", "--cuts", "1", "--seed", "5", "--folder", str(tmp_path)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    text = output.decode()
    assert process.returncode == 0, text
    if "cannot mount" not in text:
        assert json.loads(text.splitlines()[-1])["acknowledged"] > 0, text
