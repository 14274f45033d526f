"""An executor where no namespace can be made, as in containers with the default profiles: it refuses to run ffmpeg."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.deployments import compose
from tests.e2e.deploy.sealed import Deployment

[EXECUTOR] = [part for part in compose() if part.name == "executor"]


async def _end(folder: Path, port: int, argv: list[str], **environ: str) -> "subprocess.CompletedProcess[str]":
    """How a command ends in the executor's container; no broker is there."""
    deployment = Deployment([EXECUTOR], folder, {"KINOLOG_KAFKA__BOOTSTRAP": f"127.0.0.1:{port}", **environ})
    return await deployment.run("executor", argv, "--disable-userns")


async def test_it_does_not_start_and_names_the_setting(tmp_path: Path, free_port: Callable[[], int]) -> None:
    ended = await _end(tmp_path, free_port(), EXECUTOR.argv)
    assert ended.returncode == 2, ended.stderr
    assert "No sandbox for ffmpeg works on this machine" in ended.stderr
    assert "KINOLOG_LIMITS__SANDBOX=best-effort" in ended.stderr
    assert "broker" not in ended.stderr and "Traceback" not in ended.stderr


@pytest.mark.parametrize("policy, line", [("best-effort", "tools run without a sandbox"), ("off", "sandbox is off")])
async def test_it_starts_where_that_is_allowed_and_logs_it(
    tmp_path: Path, free_port: Callable[[], int], policy: str, line: str
) -> None:
    ended = await _end(tmp_path, free_port(), EXECUTOR.argv, KINOLOG_LIMITS__SANDBOX=policy)
    assert line in ended.stderr
    assert "the broker is unreachable" in ended.stderr, "it went no further"


async def test_a_lane_that_runs_no_tool_needs_none(tmp_path: Path, free_port: Callable[[], int]) -> None:
    lanes = '{"fetch": ["download", "captions"]}'
    argv = ["kinolog", "executor", "--lane", "fetch"]
    ended = await _end(tmp_path, free_port(), argv, KINOLOG_EXECUTOR__LANES=lanes)
    assert "sandbox" not in ended.stderr.lower()
    assert "the broker is unreachable" in ended.stderr, "it went no further"


async def test_doctor_sees_it_too(tmp_path: Path, free_port: Callable[[], int]) -> None:
    ended = await _end(tmp_path, free_port(), ["kinolog", "doctor"])
    assert ended.returncode == 2
    [line] = [line for line in ended.stdout.splitlines() if line.split()[1:2] == ["sandbox"]]
    assert line.startswith("problem") and "No executor starts here" in line
