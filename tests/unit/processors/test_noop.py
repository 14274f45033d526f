"""The no-op does what it is asked for, and only that."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from processors.contract import Work
from processors.errors import InvalidParams, ProcessingError
from processors.noop import Noop
from schemas.noop import NoopOutputs

NOWHERE = Path("/dev/null")


def silent(*_: Any) -> None:
    """Nobody listens."""


def work(report: Any = silent, **params: Any) -> Work:
    return Work(source=NOWHERE, scratch=NOWHERE, output=NOWHERE, prefix="a", params=params, report=report)


async def test_it_does_nothing() -> None:
    assert await Noop().process(work()) == NoopOutputs()


async def test_it_reports_as_often_as_asked() -> None:
    heard: list[float] = []

    def listen(progress: float, parts: Mapping[str, float]) -> None:
        heard.append(progress)

    await Noop().process(work(listen, progress_messages=4))
    assert heard == [0.25, 0.5, 0.75, 1.0]


async def test_it_fails_with_the_code_it_was_asked_for() -> None:
    with pytest.raises(ProcessingError) as failure:
        await Noop().process(work(fail_with="tool-failed"))
    assert (failure.value.record().code, failure.value.record().retriable) == ("tool-failed", True)


@pytest.mark.parametrize(
    "params", [{"sleep_s": "long"}, {"progress_messages": -1}, {"progress_messages": 1001}, {"sleep_s": -1}]
)
async def test_parameters_that_make_no_sense_are_refused(params: dict[str, Any]) -> None:
    with pytest.raises(InvalidParams):
        await Noop().process(work(**params))
