"""Fixtures of the tests that run the whole system."""

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.data_files import pipelines_dir
from streams.process.ports import free_port
from streams.settings import load, to_environ
from tests.conftest import SampleMedia
from tests.e2e.system import System, running
from tests.secured_broker import secured_broker

#: Leases short enough to see them end within a test.
SHORT_LEASES = {"KINOLOG_LEASE__TTL_S": "4", "KINOLOG_LEASE__HEARTBEAT_S": "1"}

#: What is spoken in `speech`.
SAID = "And so, my fellow Americans. Ask not what your country can do for you. Ask what you can do for your country."

#: A pipeline whose jobs fail for good at their third try, with this code.
FAILING, FAILING_CODE = "failing", "no-such-luck"

#: Where a page of another site may stand that calls `system`.
OTHER_SITE_PORT = free_port()


@pytest.fixture(scope="session")
def log() -> Iterator[dict[str, str]]:
    """Settings of the log of `system`: none for its own broker; with TESTS_SECURED one with TLS and users."""
    if not os.environ.get("TESTS_SECURED"):
        yield {}
        return
    with asyncio.Runner() as runner:
        context = secured_broker(())
        broker = runner.run(context.__aenter__())
        yield to_environ(load({}).with_cluster(broker.by_password("admin")))
        runner.run(context.__aexit__(None, None, None))


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory, log: dict[str, str]) -> Iterator[System]:
    """One running system for every test that leaves it whole."""
    folder = tmp_path_factory.mktemp("system")
    environ = {
        "KINOLOG_WEB__CORS_ORIGINS": f'["http://127.0.0.1:{OTHER_SITE_PORT}"]',
        "KINOLOG_PIPELINES_DIR": str(_pipelines(folder / "pipelines")),
    }
    with running(folder / "data", **environ, **log) as system:
        yield system


def _pipelines(folder: Path) -> Path:
    """Those that kinolog comes with, and one that fails."""
    shutil.copytree(pipelines_dir(load({})), folder)
    step = {"name": "noop", "params": {"fail_with": FAILING_CODE}, "retry": {"attempts": 3, "delay_s": 0.5}}
    (folder / f"{FAILING}.yaml").write_text(json.dumps({"name": FAILING, "steps": [step]}))
    return folder


@pytest.fixture
def fragile(tmp_path: Path) -> Iterator[System]:
    """A system of this test's own, to be killed in parts; short leases."""
    with running(tmp_path / "data", **SHORT_LEASES) as system:
        yield system


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds of video with sound, 640 x 360."""
    return _make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", size="640x360", seconds=6)


@pytest.fixture(scope="session")
def speech(tmp_path_factory: pytest.TempPathFactory, sample_media: SampleMedia) -> Path:
    """A video of somebody who speaks: Kennedy where the recording is there, a machine elsewhere."""
    folder, voice = tmp_path_factory.mktemp("speech"), sample_media("jfk.flac")
    if voice is None:
        voice = folder / "voice.wav"
        subprocess.run(["espeak-ng", "-v", "en-us", "-s", "130", "-w", str(voice), SAID], check=True, timeout=60)
    video = folder / "speech.mp4"
    picture = ["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25"]
    codecs = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", "-shortest"]
    command = ["ffmpeg", "-nostdin", "-v", "error", *picture, "-i", str(voice), *codecs, str(video)]
    subprocess.run(command, check=True, timeout=120)
    return video


@pytest.fixture(scope="session")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip that takes long enough to transcode to be disturbed in the middle."""
    return _make_clip(tmp_path_factory.mktemp("clip") / "long.mp4", size="1280x720", seconds=20)


def _make_clip(path: Path, *, size: str, seconds: int) -> Path:
    command = ["ffmpeg", "-nostdin", "-v", "error"]
    command += ["-f", "lavfi", "-i", f"testsrc2=size={size}:rate=25:duration={seconds}"]
    command += ["-f", "lavfi", "-i", f"sine=frequency=440:sample_rate=48000:duration={seconds}"]
    command += ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", str(path)]
    subprocess.run(command, check=True, timeout=120)
    return path
