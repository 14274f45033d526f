"""`kinolog demo`: with everything started for it, and with a `kinolog up` that runs already."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from streams.cli.demo_clip import NARRATION
from tests.e2e.system import System, step_of


def demo(data_dir: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("KINOLOG_")}
    own = {"KINOLOG_DATA_DIR": str(data_dir), "KINOLOG_WEB__PORT": "0", **environ}
    command = [sys.executable, "-m", "streams.cli", "demo", "--exit", *arguments]
    return subprocess.run(command, env=inherited | own, check=False, capture_output=True, text=True, timeout=560)


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


@pytest.mark.timeout(600)
async def test_the_demo_submits_to_the_running_up_and_its_narration_is_understood(system: System) -> None:
    done = demo(system.data_dir, "--json")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert result["url"] == system.url
    assert words(result["transcript"]) == words(NARRATION)
    assert result["hit"]["asset_id"] == result["asset_id"] and result["hit"]["query"] in result["hit"]["text"]
    async with system.client() as api:
        job = await api.job(result["job_id"])
    assert job["status"] == "completed" and step_of(job, "transcribe")["status"] == "completed"


def test_the_demo_starts_everything_and_stops_it(tmp_path: Path) -> None:
    source = tmp_path / "any.bin"
    source.write_bytes(b"noop reads nothing of this")
    done = demo(tmp_path / "data", "--file", str(source), KINOLOG_KAFKA__PORT="0", KINOLOG_DEFAULT_PIPELINE="noop")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no transcript: the step transcribe is not part of the job" in done.stdout
    assert done.stdout.splitlines()[-1] == "Stopped." and not (tmp_path / "data" / "run" / "url").exists()
