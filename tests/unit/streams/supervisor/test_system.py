"""What the children of `kinolog up` are told, and what people see when it is up."""

import errno
import io
import os
import resource
import socket
from pathlib import Path

import pytest

from streams.cluster import Cluster
from streams.process import ports
from streams.process.ports import free_port, is_free
from streams.settings import Settings, load
from streams.settings.interface import Auth, Compat, FixedToken, Web
from streams.settings.log import Kafka
from streams.settings.work import Executor
from streams.supervisor.restarts import StartFailed
from streams.supervisor.system import (
    DRAIN_S,
    Up,
    child_environ,
    page_link,
    settings_below,
    with_web_port,
    without_secrets,
)

HAS_IPV6 = is_free(0, "::1")


def below(settings: Settings) -> Settings:
    return settings_below(settings, Cluster("127.0.0.1:5"), bootstrap="127.0.0.1:6", token="secret")


def test_the_children_find_the_same_broker_token_and_data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    told = load(child_environ(below(Settings(data_dir="here", kafka=Kafka(port=0))), {}))
    assert (told.bootstrap, told.auth.token, told.data_dir) == ("127.0.0.1:5", "secret", str(tmp_path / "here"))


def test_every_setting_reaches_the_children_unchanged() -> None:
    settings = Settings(
        data_dir="/x",
        auth=Auth(tokens=(FixedToken(token="t", owner="o"),), enabled=False),
        executor=Executor(slots={"transcode": 1}, lanes={"gpu": ("transcribe",)}, drain_s=1.0),
    )
    assert load(child_environ(below(settings), {})) == below(settings)


def test_a_setting_of_our_own_environment_that_was_changed_since_does_not_reach_them() -> None:
    environ = child_environ(below(Settings()), {"KINOLOG_WEB__PORT": "7", "PATH": "/bin"})
    assert "KINOLOG_WEB__PORT" not in environ and environ["PATH"] == "/bin"


def test_the_drain_fits_into_the_end_of_up() -> None:
    assert below(Settings(executor=Executor(drain_s=600.0))).executor.drain_s == DRAIN_S
    assert below(Settings(executor=Executor(drain_s=1.0))).executor.drain_s == 1.0
    assert below(Settings(web=Web(drain_s=600.0))).web.drain_s == DRAIN_S


def test_the_token_stands_where_it_is_never_sent_to_a_server() -> None:
    assert page_link("http://127.0.0.1:8080", "abc") == "http://127.0.0.1:8080/#token=abc"


async def test_a_taken_web_port_is_an_error_that_says_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = Settings(web=Web(port=taken.getsockname()[1]))
        with pytest.raises(StartFailed, match="KINOLOG_WEB__PORT") as failed:
            await with_web_port(settings, patience_s=0.0)
    assert failed.value.exit_code == 2


async def test_port_zero_takes_a_free_one() -> None:
    assert (await with_web_port(Settings(web=Web(port=0)))).web.port > 0


def test_a_checkout_that_is_not_installed_is_found_by_the_children() -> None:
    path = child_environ(Settings(), {"PYTHONPATH": "/other"})["PYTHONPATH"].split(os.pathsep)
    assert (Path(path[0]) / "streams" / "cli" / "main.py").exists() and path[1] == "/other"


def test_executors_get_no_token_and_no_key_of_the_interface() -> None:
    settings = Settings(
        auth=Auth(token="t", tokens=(FixedToken(token="u", owner="o"),), signing_secret="s" * 32),
        compat=Compat(signing_key="k" * 32),
    )
    environ = child_environ(without_secrets(below(settings)), {})
    assert not [name for name in environ if "AUTH" in name or "COMPAT" in name]


@pytest.mark.parametrize("host", ["10.255.255.1", "2001:db8::1", "no-such-host.invalid"])
async def test_an_address_of_another_machine_is_no_taken_port(host: str) -> None:
    with pytest.raises(StartFailed, match=f"^Nothing can listen on {host}: .*KINOLOG_WEB__HOST") as failed:
        await with_web_port(Settings(web=Web(host=host, port=18_080)), patience_s=60.0)
    assert failed.value.exit_code == 2


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", *(["::1", "::"] if HAS_IPV6 else [])])
async def test_every_address_of_this_machine_can_be_bound(host: str) -> None:
    port = free_port()
    assert (await with_web_port(Settings(web=Web(host=host, port=port)), patience_s=0.0)).web.port == port


async def test_a_port_that_needs_a_privilege_is_no_taken_port(monkeypatch: pytest.MonkeyPatch) -> None:
    def bind(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(ports, "_listen", bind)
    with pytest.raises(StartFailed, match=r"This user may not listen on port 80\..*KINOLOG_WEB__PORT"):
        await with_web_port(Settings(web=Web(port=80)), patience_s=60.0)


async def test_too_few_open_files_are_said_before_anything_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker ended, and the executor blamed the sandbox."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 256))
    system = Up(Settings(data_dir=str(tmp_path)), "token", io.BytesIO())
    with pytest.raises(StartFailed, match="256 open files here, and kinolog needs 512") as failed:
        await system.start()
    assert failed.value.exit_code == 2
