"""`kinolog doctor`: what stops kinolog is a problem, what it can do without a warning, and each says what to do."""

import shutil
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from agents import doctor
from processors import embed
from processors.models import devices
from streams.doctor import cluster, machine, models, services
from streams.doctor.diagnosis import (
    Check,
    Finding,
    examine,
    exit_code,
    fine,
    lines,
    plain,
    problem,
    unreachable,
    warning,
)
from streams.model_backends import transcription
from streams.settings import Settings
from streams.supervisor import run_dir
from streams.supervisor.restarts import ExitHistory
from streams.worker.patch_delivery import PATCHED
from tests.conftest import MakeSettings


class Usage(NamedTuple):
    free: int


def returning(finding: Finding) -> Check:
    async def check(_settings: Settings) -> Finding:
        return finding

    return check


async def broken(_settings: Settings) -> Finding:
    raise KeyError("partitions")


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize(
    "findings, code",
    [
        ([fine("a"), warning("b", "c")], 0),
        ([fine("a"), unreachable("b")], 3),
        ([unreachable("a"), problem("b")], 2),
    ],
)
async def test_the_exit_code_is_that_of_the_worst(findings: list[Finding], code: int) -> None:
    checks = {str(n): returning(finding) for n, finding in enumerate(findings)}
    assert exit_code(await examine(Settings(), checks)) == code


async def test_a_check_that_breaks_is_a_problem_and_hides_no_other() -> None:
    found = await examine(Settings(), {"topics": broken, "disk": returning(fine("room enough"))})
    assert [(one.check, one.finding.level) for one in found] == [("topics", "problem"), ("disk", "ok")]
    assert "KeyError" in found[0].finding.message


async def test_a_machine_that_has_everything_is_a_short_answer() -> None:
    results = await examine(Settings(), {"java": returning(fine("17"))})
    assert lines(results)[-1] == "All checks passed."


async def test_text_and_json_output_agree() -> None:
    found = await examine(
        Settings(), {"disk": returning(warning("little room", "make some")), "java": returning(fine("17"))}
    )
    text = "\n".join(lines(found))
    assert "warning  disk  little room" in text and "-> make some" in text and "1 warning: kinolog can run." in text
    assert plain(found) == {
        "ok": True,
        "exit_code": 0,
        "checks": [
            {"check": "disk", "level": "warning", "message": "little room", "remedy": "make some"},
            {"check": "java", "level": "ok", "message": "17", "remedy": None},
        ],
    }


def test_the_versions_it_looks_for_are_those_that_the_repairs_were_made_for() -> None:
    assert machine.PINNED == PATCHED


async def test_another_version_is_named_with_the_one_that_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "PINNED", {"aiokafka": "0.1", "no-such-package": "1"})
    found = await machine.python(Settings())
    assert found.level == "problem" and "not 0.1" in found.message and "no-such-package is missing" in found.message


async def test_a_machine_without_tools_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    ffmpeg, java = await machine.ffmpeg(Settings()), await machine.java(Settings())
    assert ffmpeg.exit_code == java.exit_code == 2
    assert "ffprobe" in ffmpeg.message and ffmpeg.remedy and "Java 17" in java.message


async def test_java_is_not_needed_beside_a_cluster(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    assert (await machine.java(make_settings(KINOLOG_KAFKA__BOOTSTRAP="kafka:9092"))).level == "ok"


@pytest.mark.parametrize("free_gib, level", [(0.1, "problem"), (5, "warning"), (50, "ok")])
async def test_a_full_disk_is_a_problem_before_anything_fails(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch, free_gib: float, level: str
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(int(free_gib * 1024**3)))
    assert (await machine.disk(make_settings())).level == level


@pytest.mark.parametrize("step", ["transcribe", "embed"])
async def test_an_extra_that_is_not_installed_is_a_warning_with_the_pip_command(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    monkeypatch.setattr(transcription, "is_installed", lambda: False)
    monkeypatch.setattr(embed, "is_installed", lambda: False)
    check = {"transcribe": models.transcribe, "embed": models.embedding}[step]
    found = await check(make_settings())
    assert found.level == "warning" and f"pip install 'kinolog[{step}]'" in (found.remedy or "")
    endpoint = make_settings(**{f"KINOLOG_{step.upper()}__BACKENDS": "https://models.example/m"})
    assert (await check(endpoint)).level == "ok"


@pytest.mark.parametrize("check, step", [(models.transcribe, "TRANSCRIBE"), (models.embedding, "EMBED")])
async def test_a_model_that_is_not_there_is_named(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch, check: Check, step: str
) -> None:
    monkeypatch.setattr(transcription, "is_installed", lambda: True)
    monkeypatch.setattr(embed, "is_installed", lambda: True)
    alone = await check(make_settings(**{f"KINOLOG_{step}__BACKENDS": "local:/nowhere"}))
    assert alone.exit_code == 2 and "/nowhere" in alone.message
    chain = await check(make_settings(**{f"KINOLOG_{step}__BACKENDS": "local:/nowhere,https://models.example/m"}))
    assert chain.level == "warning"
    assert (await check(make_settings(**{f"KINOLOG_{step}__BACKENDS": "ftp://x"}))).exit_code == 2


@pytest.mark.parametrize("check, step", [(models.transcribe, "TRANSCRIBE"), (models.embedding, "EMBED")])
async def test_a_gpu_that_cannot_be_used_is_said_before_it_is_needed(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch, check: Check, step: str
) -> None:
    assert "GPU" not in (await check(make_settings())).message, "this machine has none, and need not"
    monkeypatch.setattr(devices, "has_gpu", lambda: True)
    auto = await check(make_settings())
    assert (auto.level, "runs on the CPU" in auto.message, "finds no GPU" in auto.message) == ("warning", True, True)
    alone = await check(make_settings(**{f"KINOLOG_{step}__DEVICE": "cuda:1"}))
    assert alone.exit_code == 2 and f"KINOLOG_{step}__DEVICE is cuda:1" in alone.message
    assert (await check(make_settings(**{f"KINOLOG_{step}__DEVICE": "cpu"}))).level == "ok"


async def test_ports_that_something_else_has_are_found_before_up_fails(
    make_settings: MakeSettings, taken_port: int
) -> None:
    found = await cluster.log(make_settings(KINOLOG_KAFKA__PORT=str(taken_port)))
    assert found.exit_code == 2 and str(taken_port) in found.message


async def test_a_web_interface_that_should_be_there_and_is_not_is_unreachable(
    make_settings: MakeSettings, free_port: Callable[[], int]
) -> None:
    settings = make_settings()
    with run_dir.only_one(settings):
        run_dir.announce(settings, f"http://127.0.0.1:{free_port()}")
        assert (await services.web(settings)).exit_code == 3
    run_dir.forget_run(settings)
    assert (await services.web(settings)).level == "ok"


async def test_redis_that_does_not_answer_is_unreachable(
    make_settings: MakeSettings, free_port: Callable[[], int]
) -> None:
    found = await services.redis(make_settings(KINOLOG_REDIS__URL=f"redis://127.0.0.1:{free_port()}/0"))
    assert found.exit_code == 3 and "KINOLOG_REDIS__URL" in (found.remedy or "")
    assert (await services.redis(make_settings())).level == "ok"


async def test_a_part_that_ends_again_and_again_is_a_problem(make_settings: MakeSettings) -> None:
    settings = make_settings()
    assert (await services.parts(settings)).level == "ok"
    with run_dir.only_one(settings):
        run_dir.write_ends(settings, {"web": ExitHistory(1, 1, "was killed by signal 9", time.time())})
        assert (await services.parts(settings)).level == "ok"
        run_dir.write_ends(settings, {"control": ExitHistory(9, 4, "exited with code 77", time.time())})
        found = await services.parts(settings)
    assert found.level == "problem" and "control exited with code 77" in found.message


async def test_looking_makes_no_folder(make_settings: MakeSettings) -> None:
    settings = make_settings()
    assert (await services.store(settings)).level == "ok"
    assert not settings.data_path.exists()


async def test_a_store_below_something_that_is_no_folder_is_a_problem(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    found = await services.store(make_settings(KINOLOG_STORE__URL=f"file://{tmp_path}/file/store"))
    assert found.exit_code == 2 and str(tmp_path / "file") in found.message


@pytest.mark.parametrize("content, said", [("name: [", "bad.yaml"), ("name: x\nsteps: [{name: noop}]", "'standard'")])
async def test_a_pipeline_that_cannot_be_used_is_named(
    make_settings: MakeSettings, tmp_path: Path, content: str, said: str
) -> None:
    (tmp_path / "bad.yaml").write_text(content)
    found = await doctor.pipelines(make_settings(KINOLOG_PIPELINES_DIR=str(tmp_path)))
    assert found.exit_code == 2 and said in found.message
