"""Fixtures of the tests that run the whole system."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.process.ports import free_port
from tests.e2e.system import System

#: Leases short enough to see them end within a test.
SHORT_LEASES = {"KINOLOG_LEASE__TTL_S": "4", "KINOLOG_LEASE__HEARTBEAT_S": "1"}


#: Where a page of another site may stand that calls `system`.
OTHER_SITE_PORT = free_port()


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """One running system for every test that leaves it whole."""
    other_site = f'["http://127.0.0.1:{OTHER_SITE_PORT}"]'
    running = System(tmp_path_factory.mktemp("system") / "data", KINOLOG_WEB__CORS_ORIGINS=other_site)
    yield running
    assert running.stop() == 0


@pytest.fixture
def fragile(tmp_path: Path) -> Iterator[System]:
    """A system of this test's own, to be killed in parts; short leases."""
    running = System(tmp_path / "data", **SHORT_LEASES)
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds of video with sound, 640 x 360."""
    return _make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", size="640x360", seconds=6)


@pytest.fixture(scope="session")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip that takes long enough to transcode to be disturbed in the middle."""
    return _make_clip(tmp_path_factory.mktemp("clip") / "long.mp4", size="1280x720", seconds=40)


def _make_clip(path: Path, *, size: str, seconds: int) -> Path:
    command = ["ffmpeg", "-nostdin", "-v", "error"]
    command += ["-f", "lavfi", "-i", f"testsrc2=size={size}:rate=25:duration={seconds}"]
    command += ["-f", "lavfi", "-i", f"sine=frequency=440:sample_rate=48000:duration={seconds}"]
    command += ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", str(path)]
    subprocess.run(command, check=True, timeout=120)
    return path
