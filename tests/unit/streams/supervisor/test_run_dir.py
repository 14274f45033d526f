"""What `kinolog up` leaves for the CLI in another terminal, and that there is one `up` per data dir."""

import stat
from pathlib import Path

import pytest

from streams.settings import Settings
from streams.settings.interface import Auth, Web
from streams.supervisor import run_dir
from streams.supervisor.restarts import ExitHistory


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=str(tmp_path))


def test_a_token_is_made_once_and_only_its_owner_can_read_it(settings: Settings) -> None:
    with run_dir.only_one(settings):
        first = run_dir.token_for(settings)
    with run_dir.only_one(settings):
        assert run_dir.token_for(settings) == first == run_dir.kept_token(settings)
    assert stat.S_IMODE((run_dir.run_dir(settings) / "token").stat().st_mode) == 0o600


def test_a_token_of_ones_own_wins(settings: Settings, tmp_path: Path) -> None:
    with run_dir.only_one(settings):
        run_dir.token_for(settings)
        fixed = Settings(data_dir=str(tmp_path), auth=Auth(token="mine"))
        assert run_dir.token_for(fixed) == "mine" == run_dir.kept_token(settings)


def test_a_second_up_over_one_data_dir_is_refused_with_the_owner_named(settings: Settings) -> None:
    with run_dir.only_one(settings), pytest.raises(run_dir.AlreadyUp, match=r"PID \d+"), run_dir.only_one(settings):
        raise AssertionError("two hold one data dir")


def test_what_was_true_of_a_run_is_gone_after_it_but_the_token_stays(settings: Settings) -> None:
    with run_dir.only_one(settings):
        run_dir.token_for(settings)
        run_dir.announce(settings, "http://127.0.0.1:1")
        run_dir.write_pids(settings, {"web": 7})
        ends = {"control": ExitHistory(5, 4, "exited with code 77", 1000.0)}
        run_dir.write_ends(settings, ends)
        assert run_dir.kept_ends(settings) == ends
        run_dir.forget_run(settings)
    assert run_dir.kept_url(settings) is None
    assert run_dir.kept_ends(settings) == {}
    assert {path.name for path in run_dir.run_dir(settings).iterdir()} == {"token", "up.lock"}


@pytest.mark.parametrize(
    "host, url",
    [("127.0.0.1", "http://127.0.0.1:81"), ("0.0.0.0", "http://127.0.0.1:81"), ("::1", "http://[::1]:81")],
)
def test_the_link_can_be_opened_whatever_address_is_bound(host: str, url: str) -> None:
    assert run_dir.web_url(Settings(web=Web(host=host, port=81))) == url
