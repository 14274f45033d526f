"""The executor of docs/examples, which shares no code with kinolog, does the work of a step of its own."""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

import schemas
from schemas.commands import CancelJob
from schemas.facts import JobCancelled, StepCompleted
from schemas.jobs import StepSpec
from schemas.step_events import AttemptAccepted, AttemptCancelled
from tests.integration.agents.control.test_dispatch import Processes, World, installed
from tests.integration.agents.outside import START_S, submit

__all__ = ["installed"]  # a fixture is found by its name in this module

Eventually = Callable[..., Awaitable[Any]]
EXAMPLE = Path(__file__).parents[4] / "docs" / "examples" / "executor.py"
STEP = "stamp"
_KIND = '''"""The step `stamp`: control knows its name, an executor in another language does it."""

from schemas.steps import StepKind

STEP = StepKind(name="stamp", slots=2)
'''


@pytest.fixture
def knowing(tmp_path: Path) -> dict[str, str]:
    """The environment of processes that know the step."""
    folder = Path(schemas.__file__).parent
    shutil.copytree(folder, tmp_path / "known" / "schemas", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "known" / "schemas" / f"{STEP}.py").write_text(_KIND)
    return {"PYTHONPATH": str(tmp_path / "known"), "PYTHONSAFEPATH": "1"}


@pytest.fixture
async def examples(installed: tuple[Processes, World], tmp_path: Path) -> AsyncIterator[dict[str, Any]]:
    """Two of them, by name."""
    _, world = installed
    fixed = {
        "BOOTSTRAP": world.settings.bootstrap,
        "STEP": STEP,
        "HEARTBEAT_S": "1",
        "PREFIX": world.settings.topic_prefix,
    }
    async with AsyncExitStack() as stack:
        running = {}
        for name in ("ann", "bob"):
            environ = {**os.environ, **fixed, "NAME": name}
            with (tmp_path / f"{name}.log").open("ab") as log:
                process = await asyncio.create_subprocess_exec(sys.executable, str(EXAMPLE), env=environ, stderr=log)
            stack.push_async_callback(_end, process)
            running[name] = process
        yield running


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()


async def stamp(world: World, *numbers: int, sleep_s: float = 0.0) -> None:
    for number in numbers:
        steps = (StepSpec(name=STEP, params={"sleep_s": sleep_s}),)
        await world.send(replace(submit(f"job_{number}", f"asset_{number}"), steps=steps))


def accepted(world: World, job_id: str) -> list[AttemptAccepted]:
    return world.all(AttemptAccepted, job_id=job_id)


async def test_it_works_stops_what_is_cancelled_and_its_work_is_taken_over_when_it_dies(
    installed: tuple[Processes, World],
    knowing: dict[str, str],
    examples: dict[str, Any],
    eventually: Eventually,
) -> None:
    processes, world = installed
    await processes.start("control", "control", **knowing)
    await stamp(world, *range(4))
    await eventually(lambda: len(world.completed()) == 4, START_S)
    outputs = {fact.outputs["by"] for fact in world.all(StepCompleted)}
    assert outputs <= {"ann", "bob"}

    await stamp(world, 5, sleep_s=60.0)
    await eventually(lambda: accepted(world, "job_5"), START_S)
    await world.send(CancelJob(job_id="job_5", asset_id="asset_5"))
    await eventually(lambda: world.all(JobCancelled, job_id="job_5"), START_S)
    assert world.all(AttemptCancelled, job_id="job_5")

    await stamp(world, 6, sleep_s=5.0)
    await eventually(lambda: accepted(world, "job_6"), START_S)
    dead = accepted(world, "job_6")[0].executor_id
    examples[dead].kill()
    await eventually(lambda: "job_6" in world.completed(), START_S)
    [fact] = world.all(StepCompleted, job_id="job_6")
    assert fact.outputs["by"] != dead
    assert not world.letters()
