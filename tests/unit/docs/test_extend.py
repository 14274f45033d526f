"""The step of docs/extend.md fits the program as it is."""

import subprocess
import sys
from pathlib import Path

from tests.extension import STEP, extended_checkout

#: What an executor and a submission look up: the step, its processor, its pipeline.
_LOOK_UP = """
from pathlib import Path
from agents.executor.lanes import processor_of
from processors.tools.runner import Runner
from processors.tools.limits import Limits
from schemas.steps import step_kinds
from streams.data_files import pipelines_dir
from streams.settings import load
from tables.pipelines import load_pipelines

settings = load({})
processor_of(step_kinds()["waveform"], Runner(Limits()), settings)
print(*[spec.name for spec in load_pipelines(pipelines_dir(settings))["sound"]])
"""


def run(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_documented_step_passes_its_own_test_and_the_linter(tmp_path: Path) -> None:
    folder = extended_checkout(tmp_path)
    run(folder, "-m", "pytest", "-q", f"tests/unit/processors/test_{STEP}.py")
    files = [str(path.relative_to(folder)) for path in folder.rglob(f"*{STEP}.py")]
    assert len(files) == 4
    run(folder, "-m", "ruff", "check", *files)
    run(folder, "-m", "ruff", "format", "--check", *files)


def test_executors_and_submissions_find_the_documented_step_by_its_files(tmp_path: Path) -> None:
    assert run(extended_checkout(tmp_path), "-c", _LOOK_UP).split() == ["probe", STEP]
