"""deploy/setup/packages against made-up machines: what is installed, and what a user without rights is told."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "deploy" / "setup" / "packages"
#: What the script itself is written with.
TOOLS = ("bash", "dirname", "env", "readlink", "sed", "tr", "true")

Machine = Callable[..., Path]


def _add(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """`machine(uid=…, has=…)`: a folder to be the PATH; apt-get writes down what it is asked for."""

    def make(uid: int, has: tuple[str, ...] = (), java: str | None = None) -> Path:
        folder = tmp_path / "bin"
        folder.mkdir()
        for tool in TOOLS:
            (folder / tool).symlink_to(shutil.which(tool) or tool)
        for name in has:
            _add(folder, name, "exit 0")
        if java is not None:
            _add(folder, "java", f"echo 'openjdk version \"{java}\"' >&2")
        _add(folder, "id", f"echo {uid}")
        _add(folder, "apt-cache", "exit 0")
        _add(folder, "apt-get", f'echo "$@" >> {tmp_path}/apt.log')
        return folder

    return make


def _run(path: Path, *commands: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([SCRIPT, *commands], env={"PATH": str(path)}, capture_output=True, text=True, check=False)


def _asked(path: Path) -> list[str]:
    log = path.parent / "apt.log"
    return log.read_text().splitlines() if log.exists() else []


def test_nothing_is_installed_where_nothing_is_missing(machine: Machine) -> None:
    path = machine(uid=0, has=("mvn", "ffmpeg"), java="17.0.15")
    assert _run(path, "java", "mvn", "ffmpeg").returncode == 0
    assert _asked(path) == []


def test_root_gets_what_is_missing_and_no_more(machine: Machine) -> None:
    path = machine(uid=0, has=("ffmpeg",))
    assert _run(path, "java", "mvn", "ffmpeg", "bwrap").returncode == 0
    assert _asked(path) == [
        "update -q",
        "install -q -y --no-install-recommends openjdk-17-jre-headless maven bubblewrap",
    ]


def test_a_java_that_is_too_old_counts_as_missing(machine: Machine) -> None:
    path = machine(uid=0, java="11.0.20")
    assert _run(path, "java").returncode == 0
    assert _asked(path)[1].endswith("openjdk-17-jre-headless")


def test_a_user_without_rights_is_told_the_exact_command(machine: Machine) -> None:
    path = machine(uid=1000, has=("mvn",))
    done = _run(path, "mvn", "ffmpeg", "espeak-ng")
    assert done.returncode == 2
    assert "sudo apt-get update && sudo apt-get install -y --no-install-recommends ffmpeg espeak-ng\n" in done.stderr
    assert _asked(path) == []


def test_a_user_with_sudo_uses_it(machine: Machine) -> None:
    path = machine(uid=1000)
    _add(path, "sudo", 'shift; exec "$@"')
    assert _run(path, "ffmpeg").returncode == 0
    assert _asked(path)[1].endswith("ffmpeg")


def test_a_machine_without_apt_is_told_what_it_lacks(machine: Machine) -> None:
    path = machine(uid=0)
    (path / "apt-get").unlink()
    done = _run(path, "ffmpeg", "mvn")
    assert done.returncode == 2
    assert "missing: ffmpeg mvn" in done.stderr


def test_a_compiler_that_is_older_than_the_broker_needs_counts_as_missing(machine: Machine) -> None:
    path = machine(uid=0)
    _add(path, "javac", "echo 'javac 17.0.15' >&2")
    assert _run(path, "javac").returncode == 0
    assert _asked(path) == []
    _add(path, "javac", "echo 'javac 11.0.20' >&2")
    assert _run(path, "javac").returncode == 0
    assert _asked(path)[1].endswith("openjdk-17-jdk-headless")
