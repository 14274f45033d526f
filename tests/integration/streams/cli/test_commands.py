"""The command line against a real web replica over a real log."""

import asyncio
import json
import os
import pty
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from processors.storage.local_store import LocalStore
from streams.cli.main import cli
from tests.conftest import eventually
from tests.installations import Installation
from tests.integration.web.control_stand_in import ControlStandIn
from tests.integration.web.logs import control, log, make, site
from tests.integration.web.served import ADMIN, Site

__all__ = ["control", "log", "make", "site"]  # fixtures are found by their name in this module

Kinolog = Callable[..., Awaitable[Result]]


@pytest.fixture
def kinolog(site: Site) -> Kinolog:
    """Runs a command with an admin's token."""

    async def run(*arguments: str, token: str = ADMIN) -> Result:
        reach = ("--url", str(site.server.make_url("")), "--token", token)
        return await asyncio.to_thread(CliRunner().invoke, cli, [*arguments, *reach])

    return run


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Two files to submit."""
    paths = [tmp_path / "first talk.mp4", tmp_path / "second.mp4"]
    for path in paths:
        path.write_bytes(b"no step runs here")
    return [str(path) for path in paths]


async def submitted(kinolog: Kinolog, files: list[str], *options: str) -> list[str]:
    """Ids of jobs that were submitted and are visible."""
    result = await kinolog("submit", *files, "--pipeline", "noop", "--json", *options)
    assert result.exit_code == 0, result.output
    ids = [json.loads(line)["job_id"] for line in result.stdout.splitlines()]
    for job_id in ids:

        async def visible(job_id: str = job_id) -> bool:
            return (await kinolog("jobs", "show", job_id)).exit_code == 0

        await eventually(visible, 10)
    return ids


async def cancelled(kinolog: Kinolog, files: list[str]) -> list[str]:
    """Ids of jobs that have ended."""
    ids = await submitted(kinolog, files)
    for job_id in ids:
        assert (await kinolog("jobs", "cancel", job_id)).stdout == f"Cancelling {job_id}.\n"

        async def ended(job_id: str = job_id) -> bool:
            return bool(await value(kinolog, "jobs", "show", job_id, "status") == "cancelled")

        await eventually(ended, 10)
    return ids


async def value(kinolog: Kinolog, *words: str) -> Any:
    """A field of a command's JSON; None when the command fails."""
    result = await kinolog(*words[:-1], "--json")
    return json.loads(result.stdout)[words[-1]] if result.exit_code == 0 else None


async def test_several_files_are_submitted_and_each_gets_a_link_to_its_job(kinolog: Kinolog, files: list[str]) -> None:
    result = await kinolog("submit", *files, "--pipeline", "noop")
    assert result.exit_code == 0, result.output
    for line, path in zip(result.stdout.splitlines(), files, strict=True):
        job_id, rest = line.split("  ", 1)
        assert rest.startswith(Path(path).name) and rest.endswith(f"/?q={job_id}")


async def test_a_refused_file_is_named_and_the_others_are_submitted(kinolog: Kinolog, files: list[str]) -> None:
    refused = await kinolog("submit", "ftp://example.org/a.mp4", files[0], "--pipeline", "noop")
    assert refused.exit_code == 2 and "ftp://example.org/a.mp4: " in refused.stderr
    assert "first talk.mp4" in refused.stdout
    unknown = await kinolog("submit", files[0], "--pipeline", "nonsense")
    assert unknown.exit_code == 2 and "nonsense" in unknown.stderr and not unknown.stdout


async def test_jobs_are_listed_and_shown_with_owner_and_priority(kinolog: Kinolog, files: list[str]) -> None:
    first, second = await submitted(kinolog, files, "--priority", "high")
    listed = (await kinolog("jobs", "list", "--limit", "2")).stdout.splitlines()
    assert listed[0].split() == ["ID", "NAME", "STATUS", "AGE", "STEP"]
    assert second in listed[1] and first in listed[2] and "first talk.mp4" in listed[2]
    wide = (await kinolog("jobs", "list", "--wide", "--limit", "1")).stdout
    assert "PRIORITY" in wide and "high" in wide
    shown = (await kinolog("jobs", "show", first)).stdout
    assert "/source (object)" in shown
    assert "priority     high" in shown and "owner        -" in shown and f"/?q={first}" in shown


async def test_a_page_that_is_not_the_last_is_continued_by_its_cursor(kinolog: Kinolog, files: list[str]) -> None:
    first, second = await submitted(kinolog, files)
    page = (await kinolog("jobs", "list", "--limit", "1")).stdout
    cursor = page.splitlines()[-1].rpartition(" ")[2]
    assert second in page and first in (await kinolog("jobs", "list", "--limit", "1", "--cursor", cursor)).stdout


async def test_a_dry_run_counts_and_removes_nothing_and_yes_removes(kinolog: Kinolog, files: list[str]) -> None:
    ids = await cancelled(kinolog, files)
    clear = ("jobs", "clear", "cancelled", "--pipeline", "noop")
    would = await value(kinolog, *clear, "--dry-run", "count")
    assert would >= 2 and (await kinolog(*clear, "--dry-run")).stdout == f"{would} jobs would be removed\n"
    assert (await kinolog("jobs", "show", ids[0])).exit_code == 0
    assert (await kinolog(*clear, "--older-than", "1h", "--dry-run")).stdout == "0 jobs would be removed\n"
    assert (await kinolog(*clear, "--yes")).stdout == f"{would} jobs removed\n"
    assert (await kinolog("jobs", "show", ids[0])).exit_code == 2


async def test_retry_all_says_how_many_it_would_retry(kinolog: Kinolog, files: list[str]) -> None:
    await cancelled(kinolog, files)
    result = await kinolog("jobs", "retry-all", "--status", "cancelled", "--q", "second", "--dry-run")
    assert result.stdout == "1 job would be retried\n"


@pytest.mark.parametrize("answer, code", [("n", 1), ("y", 0)])
async def test_on_a_terminal_a_bulk_command_asks_first(
    site: Site, kinolog: Kinolog, files: list[str], answer: str, code: int
) -> None:
    ids = await cancelled(kinolog, files)
    url = str(site.server.make_url(""))
    done = await asyncio.to_thread(on_terminal, answer, "jobs", "clear", "all", "--url", url, "--token", ADMIN)
    assert done.returncode == code and "jobs? [y/N]" in done.stderr, done
    assert (await kinolog("jobs", "show", ids[0])).exit_code == (2 if answer == "y" else 0)


def on_terminal(answer: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command whose stdin is a terminal, on which `answer` was typed."""
    ours, theirs = pty.openpty()
    try:
        os.write(ours, f"{answer}\n".encode())
        command = [sys.executable, "-m", "streams.cli", *arguments]
        return subprocess.run(command, stdin=theirs, capture_output=True, text=True, check=False, timeout=60)
    finally:
        os.close(ours)
        os.close(theirs)


async def test_a_queue_is_paused_and_resumed(kinolog: Kinolog) -> None:
    assert (await kinolog("queues", "pause", "transcode")).exit_code == 0

    async def state() -> str:
        lines = (await kinolog("queues", "list")).stdout.splitlines()
        return next(line.split()[1] for line in lines if line.startswith("transcode"))

    async def is_paused() -> bool:
        return await state() == "paused"

    await eventually(is_paused, 10)
    assert (await kinolog("queues", "resume", "transcode")).stdout == "Resumed transcode.\n"
    assert (await kinolog("queues", "pause", "nonsense")).exit_code == 2


async def test_statistics_agree_with_the_list(kinolog: Kinolog, files: list[str]) -> None:
    await submitted(kinolog, files)
    counts = json.loads((await kinolog("stats", "--json")).stdout)
    page = json.loads((await kinolog("jobs", "list", "--json", "--limit", "500")).stdout)
    assert sum(counts["jobs"].values()) == len(page["data"])
    assert (await kinolog("stats")).stdout.startswith("PIPELINE")
    assert (await kinolog("stats", "--as-of", "yesterday")).exit_code == 2


async def test_a_token_is_revoked_by_what_create_printed(kinolog: Kinolog) -> None:
    printed = (await kinolog("token", "create", "--role", "editor", "--owner", "carl", "--ttl", "30d")).stdout.strip()
    assert (await kinolog("jobs", "list", token=printed)).exit_code == 0
    revoked = await kinolog("token", "revoke", printed)
    token_id = printed.partition(".")[0]
    assert revoked.stdout == f"Revoked {token_id}.\n" and printed not in revoked.output
    (line,) = [line for line in (await kinolog("token", "list")).stdout.splitlines() if line.startswith(token_id)]
    assert line.split()[1:4] == ["editor", "revoked", "carl"]
    assert (await kinolog("jobs", "list", token=printed)).exit_code == 2


async def test_a_remote_file_is_listed_and_a_refused_url_ends_with_1(kinolog: Kinolog) -> None:
    url = "https://example.org/a.mp4"
    result = await kinolog("cache", "add", url, "ftp://example.org/b.mp4")
    assert result.exit_code == 1 and "refused: " in result.stdout

    async def listed() -> bool:
        return url in (await kinolog("cache", "list")).stdout

    await eventually(listed, 10)
    assert url in (await kinolog("cache", "get", result.stdout.split()[0])).stdout
    assert (await kinolog("cache", "cleanup", "--dry-run")).stdout == "0 cached files would be deleted\n"
    assert (await kinolog("cache", "retry-failed", "--dry-run")).stdout == "0 downloads would be retried\n"
    assert "no requests yet" not in (await kinolog("cache", "stats")).stdout


async def test_garbage_is_only_reported_in_a_dry_run(kinolog: Kinolog, site: Site) -> None:
    store = site.parts.store
    assert isinstance(store, LocalStore)
    orphan = store.root / "assets" / "asset_gone" / "probe" / "1-lease" / "probe.json"
    orphan.parent.mkdir(parents=True)
    orphan.write_bytes(b"1234")
    result = await kinolog("gc", "--older-than-days", "0", "--dry-run")
    assert result.stdout.startswith("1 file (4 bytes) would be removed\n") and orphan.exists()
    assert (await kinolog("gc", "--older-than-days", "0", "--yes")).exit_code == 0 and not orphan.exists()


async def test_topics_are_listed_as_they_are_on_the_log(log: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in log.environ.items():
        monkeypatch.setenv(name, value)
    result = await asyncio.to_thread(CliRunner().invoke, cli, ["topics", "list"])
    lines = {line.split()[0]: line.split()[1:] for line in result.stdout.splitlines()}
    assert lines[f"{log.topic_prefix}uploads"] == ["ok", "2", "1", "30", "d"]
    assert lines[f"{log.topic_prefix}kinolog-control-jobs-changelog"] == ["ok", "2", "1", "compacted"]


async def test_jobs_are_exported_as_csv_and_as_json(kinolog: Kinolog, files: list[str]) -> None:
    ids = await submitted(kinolog, files)
    table = (await kinolog("jobs", "export")).stdout
    assert table.startswith("id,") and all(job_id in table for job_id in ids)
    exported = json.loads((await kinolog("jobs", "export", "--json")).stdout)["data"]
    assert set(ids) <= {job["id"] for job in exported}


async def test_a_watched_job_that_is_cancelled_ends_the_watch_with_1(
    kinolog: Kinolog, control: ControlStandIn, files: list[str]
) -> None:
    (job_id,) = await cancelled(kinolog, files[:1])
    watched = await kinolog("watch", job_id)
    assert watched.exit_code == 1 and f"{job_id} cancelled" in watched.stdout
