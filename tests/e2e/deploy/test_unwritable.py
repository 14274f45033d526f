"""A folder that is not writable is a wrong setting: exit code 2, with the folder and the setting, before all else."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.deployments import Part, compose
from tests.e2e.deploy.sealed import Deployment

PARTS = {part.name: part for part in compose()}


async def _end(part: Part, folder: Path, port: int, argv: list[str]) -> "subprocess.CompletedProcess[str]":
    """How a command ends where the part runs; no broker is there."""
    return await Deployment([part], folder, {"KINOLOG_KAFKA__BOOTSTRAP": f"127.0.0.1:{port}"}).run(part.name, argv)


def _without(part: Part, mounted: str) -> Part:
    return part._replace(volumes={path: name for path, name in part.volumes.items() if path != mounted})


@pytest.mark.parametrize(
    "name, mounted, setting",
    [
        ("control", "/data", "KINOLOG_DATA_DIR"),
        ("executor", "/data", "KINOLOG_DATA_DIR"),
        ("executor", "/media", "KINOLOG_STORE__URL"),
        ("web", "/data", "KINOLOG_DATA_DIR"),
        ("web", "/media", "KINOLOG_STORE__URL"),
    ],
)
async def test_a_part_names_the_folder_and_the_setting(
    tmp_path: Path, free_port: Callable[[], int], name: str, mounted: str, setting: str
) -> None:
    part = _without(PARTS[name], mounted)
    ended = await _end(part, tmp_path, free_port(), part.argv)
    assert ended.returncode == 2, ended.stderr
    assert f"{setting}: {mounted} is not writable: Read-only file system" in ended.stderr
    assert "broker" not in ended.stderr and "Traceback" not in ended.stderr


async def test_everything_in_one_names_the_folder_that_is_taken_where_none_is_set(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    part = PARTS["web"]._replace(environ={"PATH": PARTS["web"].environ["PATH"]})
    ended = await _end(part, tmp_path, free_port(), ["kinolog", "up"])
    assert ended.returncode == 2
    assert "KINOLOG_DATA_DIR: /kinolog-data is not writable: Read-only file system" in ended.stderr


async def test_doctor_sees_it_too(tmp_path: Path, free_port: Callable[[], int]) -> None:
    part = _without(_without(PARTS["executor"], "/data"), "/media")
    ended = await _end(part, tmp_path, free_port(), ["kinolog", "doctor"])
    assert ended.returncode == 2
    problems = {line.split()[1]: line for line in ended.stdout.splitlines() if line.startswith("problem")}
    assert "not writable" in problems["disk"] and "not writable" in problems["store"]
