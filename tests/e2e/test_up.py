"""`kinolog up` begins, stays and ends as one thing, and the command line finds it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import aiohttp

from streams.settings import load, to_environ
from tests.conftest import eventually
from tests.e2e.system import System

PARTS = {"broker", "control", "executor", "web"}


def kinolog(system: System, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line in another terminal: it knows the data dir and nothing else."""
    command = [sys.executable, "-m", "streams.cli", *arguments]
    return subprocess.run(command, env=system.environ(), check=False, capture_output=True, text=True, timeout=120)


def lives(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return stat_fields(pid)[0] != "Z"
    return False


def descendants(pid: int) -> set[int]:
    """Every living process below `pid`."""
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):  # it may end while we look
                parents[int(folder.name)] = int(stat_fields(int(folder.name))[1])
    found, fresh = set[int](), {pid}
    while fresh:
        fresh = {child for child, parent in parents.items() if parent in fresh}
        found |= fresh
    return found


def stat_fields(pid: int) -> list[str]:
    """State, parent and what follows. Source: proc(5)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


async def test_the_living_table_is_what_the_log_makes_of_it(system: System) -> None:
    async with system.client() as api:
        body = [{"input": {"object": "nothing"}, "pipeline": name} for name in ("noop", "noop", "video")]
        status, answer = await api.post("/v1/assets", body)
        assert status == 202
        for item in answer["data"]:
            await api.ended(item["job_id"], 60)
    proof = kinolog(system, "doctor", "--rebuild-check", "--json")
    assert proof.returncode == 0, proof.stdout + proof.stderr
    partitions = [json.loads(line) for line in proof.stdout.splitlines()]
    assert len(partitions) == 8
    assert sum(found["jobs"] for found in partitions) >= 3
    assert all(found["log_checksum"] == found["table_checksum"] for found in partitions)


async def test_up_says_once_where_everything_is_and_all_of_it_answers(system: System) -> None:
    ready = system.ready_line
    assert set(ready) == {"ready", "url", "token", "bootstrap", "pids"}
    assert ready["ready"] is True and set(ready["pids"]) == (PARTS if system.has_broker else PARTS - {"broker"})
    assert all(lives(pid) for pid in ready["pids"].values())
    async with aiohttp.ClientSession() as session, session.get(f"{system.url}/readyz") as answer:
        assert answer.status == 200


async def test_a_job_can_be_submitted_watched_and_listed_from_another_terminal(system: System, tmp_path: Path) -> None:
    path = tmp_path / "anything.bin"
    path.write_bytes(b"noop reads nothing of this")
    submitted = kinolog(system, "submit", str(path), "--pipeline", "noop", "--watch", "--json")
    first, *states = [json.loads(line) for line in submitted.stdout.splitlines()]
    assert submitted.returncode == 0, submitted.stderr
    assert states[-1]["id"] == first["job_id"] and states[-1]["status"] == "completed"

    listed = kinolog(system, "jobs", "list", "--json", "--status", "completed")
    assert first["job_id"] in [job["id"] for job in json.loads(listed.stdout)["data"]]
    assert first["job_id"] in kinolog(system, "jobs", "show", first["job_id"]).stdout


async def test_a_file_at_fault_ends_the_watch_with_1_and_its_reason(system: System, tmp_path: Path) -> None:
    path = tmp_path / "text.mp4"
    path.write_text("this is no video")
    watched = kinolog(system, "submit", str(path), "--watch")
    assert watched.returncode == 1, watched.stdout + watched.stderr
    assert "failed" in watched.stdout


async def test_what_cannot_be_done_ends_with_2_and_a_sentence(system: System) -> None:
    unknown = kinolog(system, "jobs", "cancel", "job_nowhere")
    assert unknown.returncode == 2 and "not-found" in unknown.stderr
    assert kinolog(system, "jobs", "list", "--token", "wrong").returncode == 2


async def test_topics_apply_finds_nothing_to_do_after_up(system: System) -> None:
    command = [sys.executable, "-m", "streams.cli", "topics", "apply", "--json"]
    environ = {**os.environ, **to_environ(load({}).with_cluster(system.cluster))}
    done = subprocess.run(command, env=environ, check=True, capture_output=True, text=True, timeout=60)
    assert json.loads(done.stdout) == {"created": [], "altered": [], "differing": [], "too_few_replicas": []}


async def test_doctor_finds_the_running_system_whole(system: System) -> None:
    done = kinolog(system, "doctor", "--json")
    found = {one["check"]: one for one in json.loads(done.stdout)["checks"]}
    assert done.returncode == 0, done.stdout + done.stderr
    assert system.cluster.bootstrap in found["log"]["message"] and system.url in found["web"]["message"]
    assert [found[part]["level"] for part in ("python", "java", "ffmpeg", "log", "web")] == ["ok"] * 5


async def test_the_sandbox_of_the_executors_tools_is_shown_and_counted(system: System) -> None:
    async with system.client() as api:
        executors = await api.get("/v1/executors")  # one, and maybe one that another test has killed
        [sandbox] = {executor["sandbox"] for executor in executors}
        assert sandbox in ("bubblewrap", "namespaces")
        async with api.session.get("/metrics") as response:
            assert f'kinolog_executors{{sandbox="{sandbox}"}} {len(executors)}.0' in await response.text()


async def test_a_second_up_over_the_same_data_dir_is_refused_and_the_first_is_not_disturbed(system: System) -> None:
    second = kinolog(system, "up", "--json")
    assert second.returncode == 2 and str(system.process.pid) in second.stderr and second.stdout == ""
    assert lives(system.process.pid)


async def test_up_ends_in_15_seconds_and_leaves_no_process_whether_asked_or_killed(tmp_path: Path) -> None:
    running = System(tmp_path / "data")
    below, token = descendants(running.process.pid), running.token
    assert set(running.ready_line["pids"].values()) <= below
    began = time.monotonic()
    assert running.stop() == 0
    assert time.monotonic() - began < 15
    assert not [pid for pid in below if lives(pid)]

    again = System(tmp_path / "data")  # what was asked to end can begin again, with the same link
    assert again.token == token
    below = descendants(again.process.pid)
    again.process.send_signal(signal.SIGKILL)
    again.process.wait()
    await eventually(lambda: not [pid for pid in below if lives(pid)], within_s=10)
    assert again.process.stdout is not None
    again.process.stdout.close()
