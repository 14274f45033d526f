"""Exit codes and messages of the command line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from streams.cli.common import service_token, service_url
from streams.cli.main import cli
from streams.process.ports import free_port
from streams.settings import Settings
from streams.settings.interface import Auth, Web
from streams.supervisor import run_dir


@pytest.fixture(autouse=True)
def own_data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KINOLOG_DATA_DIR", str(tmp_path / "kinolog-data"))


def run(*arguments: str, **environ: str) -> Result:
    return CliRunner().invoke(cli, arguments, env=environ, prog_name="kinolog")


def unused_url() -> str:
    return f"http://127.0.0.1:{free_port()}"


def test_a_bad_setting_ends_with_2_its_name_and_no_traceback() -> None:
    result = run("jobs", "list", KINOLOG_WEB__PORT="eighty")
    assert result.exit_code == 2
    assert result.stderr.startswith("kinolog: KINOLOG_WEB__PORT") and "Traceback" not in result.output


def test_an_unknown_setting_is_named_before_anything_starts() -> None:
    result = run("up", KINOLOG_WEB__PROT="1")
    assert result.exit_code == 2 and "KINOLOG_WEB__PROT" in result.stderr


def test_a_misspelt_command_ends_with_2() -> None:
    assert run("sbmit").exit_code == 2


def test_a_file_that_is_not_there_ends_with_2_before_anything_is_sent() -> None:
    result = run("submit", "nowhere.mp4")
    assert result.exit_code == 2 and "nowhere.mp4" in result.stderr


@pytest.mark.parametrize(
    "command",
    [
        ["jobs", "list"],
        ["jobs", "show", "job_1"],
        ["jobs", "delete", "job_1"],
        ["jobs", "clear", "completed", "--older-than", "60", "--yes"],
        ["jobs", "retry-all", "--step", "transcode:failed", "--dry-run"],
        ["jobs", "events", "job_1"],
        ["jobs", "export", "--status", "failed"],
        ["queues", "pause", "noop"],
        ["queues", "list"],
        ["stats"],
        ["cache", "list"],
        ["token", "list"],
        ["gc", "--dry-run"],
        ["watch", "job_1"],
        ["submit", __file__],
    ],
)
def test_without_a_service_each_command_says_how_to_start_it_and_ends_with_3(command: list[str]) -> None:
    url = unused_url()
    result = run(*command, "--url", url)
    assert result.exit_code == 3
    assert result.stderr == f"kinolog: not running at {url}: start it with `kinolog up`\n"


def test_without_any_url_the_command_says_where_no_service_runs(tmp_path: Path) -> None:
    result = run("jobs", "list", KINOLOG_WEB__PORT="0")
    assert result.exit_code == 3 and str(tmp_path) in result.stderr and "`kinolog up`" in result.stderr


@pytest.mark.parametrize("url", ["localhost:1", "ftp://here", "http://", "http://here:99999", "nonsense"])
def test_a_malformed_url_is_a_usage_error(url: str) -> None:
    result = run("jobs", "list", "--url", url)
    assert result.exit_code == 2 and url in result.stderr and "http://127.0.0.1:8080" in result.stderr


def test_submit_in_another_terminal_finds_the_running_up(tmp_path: Path) -> None:
    settings = Settings(data_dir=str(tmp_path))
    with run_dir.only_one(settings):
        token = run_dir.token_for(settings)
        run_dir.announce(settings, "http://127.0.0.1:1234")
    assert (service_url(settings, {}), service_token(settings)) == ("http://127.0.0.1:1234", token)


def test_an_address_and_token_that_were_set_win_over_a_found_one(tmp_path: Path) -> None:
    settings = Settings(data_dir=str(tmp_path), web=Web(port=99), auth=Auth(token="mine"))
    with run_dir.only_one(settings):
        run_dir.announce(settings, "http://127.0.0.1:1234")
    assert service_url(settings, {"KINOLOG_WEB__PORT": "99"}) == "http://127.0.0.1:99"
    assert service_token(settings) == "mine"


def test_submit_does_not_pay_for_what_only_servers_need() -> None:
    code = "import sys, json; import streams.cli.main, streams.client; print(json.dumps(sorted(sys.modules)))"
    loaded = json.loads(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)
    assert not {"faust", "aiokafka", "obstore", "rich", "uvloop", "agents.control.main"} & set(loaded)


@pytest.mark.parametrize("ttl", ["soon", "12x", "", "d"])
def test_a_ttl_that_is_none_is_bad_usage(ttl: str) -> None:
    result = run("token", "create", "--role", "viewer", "--owner", "anna", "--ttl", ttl)
    assert result.exit_code == 2 and "duration" in result.stderr


def test_a_token_of_a_role_that_does_not_exist_is_bad_usage() -> None:
    assert run("token", "create", "--role", "root").exit_code == 2


BULK = [
    ["jobs", "clear", "all"],
    ["jobs", "retry-all"],
    ["cache", "cleanup"],
    ["cache", "retry-failed"],
    ["gc"],
]


@pytest.mark.parametrize("command", BULK)
def test_a_bulk_command_in_a_script_does_nothing_without_yes(command: list[str]) -> None:
    result = run(*command, "--url", unused_url())
    assert result.exit_code == 2 and "--yes" in result.stderr and "--dry-run" in result.stderr


def test_one_unreadable_file_among_several_sends_nothing() -> None:
    result = run("submit", __file__, "nowhere.mp4", "--url", unused_url())
    assert result.exit_code == 2 and "nowhere.mp4" in result.stderr


def test_an_audit_that_cannot_be_read_is_not_called_proven() -> None:
    result = run("audit", "verify", KINOLOG_KAFKA__BOOTSTRAP=unused_url().removeprefix("http://"))
    assert result.exit_code == 3 and "cannot be read" in result.stderr
