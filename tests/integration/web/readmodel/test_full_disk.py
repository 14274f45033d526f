"""A replica goes on reading when its disk is full, and writing when there is room again."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


def test_a_full_disk_does_not_end_a_replica(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.integration.web.readmodel.on_a_full_disk", str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
    seen = json.loads(run.stdout)
    if seen is None:
        pytest.skip("this machine lets nobody mount a small disk")
    assert seen["batches_until_full"] > 0
    assert seen == seen | {
        "job_when_full": True,
        "source_when_full": "a source",
        "job_after": True,
        "job_in_the_end": True,
    }
