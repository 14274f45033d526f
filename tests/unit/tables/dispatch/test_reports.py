"""What executors report is bounded, whoever they are."""

from typing import Any

import msgspec
import pytest

from schemas.executors import MAX_CACHED, MAX_LISTED, ExecutorReport, HeldAttempt, PokeExecutor, StepSlots

ID = "x" * 100
HELD = HeldAttempt(job_id=ID, run=10**6, step="s" * 64, attempt=10**6, turn="full")


def largest(**more: Any) -> ExecutorReport:
    steps = {f"{number:064}": StepSlots(slots=4096, short=False) for number in range(64)}
    about: dict[str, Any] = {"executor_id": ID, "session_id": ID, "address": 10**6, "lane": ID, "version": "1" * 64}
    about |= {"seq": 10**12, "steps": steps, "attempts": (HELD,) * MAX_LISTED, "cached": (ID,) * MAX_CACHED}
    return ExecutorReport(**(about | more))


def test_the_largest_report_is_a_small_record() -> None:
    encoded = msgspec.json.encode(largest())
    assert len(encoded) < 100_000
    assert msgspec.json.decode(encoded, type=ExecutorReport) == largest()


@pytest.mark.parametrize(
    "more",
    [
        {"attempts": (HELD,) * (MAX_LISTED + 1)},
        {"cached": (ID,) * (MAX_CACHED + 1)},
        {"steps": {f"s{number}": StepSlots(slots=1) for number in range(65)}},
        {"steps": {"s": StepSlots(slots=5000)}},
        {"session_id": ""},
        {"seq": -1},
    ],
    ids=lambda more: next(iter(more)),
)
def test_a_larger_one_is_not_read(more: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(msgspec.json.encode(largest(**more)), type=ExecutorReport)


def test_a_field_that_a_later_version_adds_is_ignored() -> None:
    known = msgspec.to_builtins(PokeExecutor(to="s", poke=3))
    assert msgspec.convert(known | {"later": 1}, PokeExecutor) == PokeExecutor(to="s", poke=3)
