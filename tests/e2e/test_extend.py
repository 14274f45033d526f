"""The step of docs/extend.md, built word by word in a copy of the checkout, does its work in a running system."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.system import System, step_of
from tests.extension import STEP, extended_checkout


@pytest.fixture
def extended(tmp_path: Path) -> Iterator[System]:
    """A system that runs the extended copy."""
    checkout = extended_checkout(tmp_path / "checkout")
    # Without the working directory, which is this checkout, before PYTHONPATH. Source: python(1), PYTHONSAFEPATH.
    running = System(tmp_path / "data", PYTHONPATH=str(checkout), PYTHONSAFEPATH="1")
    yield running
    assert running.stop() == 0


async def test_the_documented_step_draws_the_sound_of_a_file(extended: System, clip: Path) -> None:
    async with extended.client() as api:
        job = await api.ended((await api.upload(clip, pipeline="sound"))["job_id"])
    assert job["status"] == "completed", job
    picture = extended.stored(step_of(job, STEP)["outputs"]["image"]).read_bytes()
    assert picture.startswith(b"\x89PNG") and int.from_bytes(picture[16:20]) == 800
