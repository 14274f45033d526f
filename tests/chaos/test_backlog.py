"""Thousands of jobs at once: all is answered, memory stays bounded, who is urgent goes first, progress is seen."""

from pathlib import Path

from tests.chaos.backlog import measure, pipelines
from tests.e2e.system import System

_JOBS = 3_000
#: An empty system has 60-250 MB a process; a row has about 1 KB, and everybody keeps all of them.
_MOST_MB = {"broker": 700, "control": 250, "executor": 300, "web": 300}


async def test_a_backlog_holds_up_neither_the_interface_nor_who_is_urgent(tmp_path: Path) -> None:
    system = System(
        tmp_path / "data", KINOLOG_PIPELINES_DIR=str(pipelines(tmp_path / "p")), KINOLOG_DEFAULT_PIPELINE="noop"
    )
    try:
        figures = await measure(system, _JOBS)
    finally:
        assert system.stop() == 0
    assert figures.refused == {}
    assert len(figures.get_ms) > 5
    assert figures.ended_before_urgent < _JOBS / 2
    assert figures.progress_frames >= 5
    assert all(figures.peak_mb[part] < most for part, most in _MOST_MB.items()), figures.peak_mb
