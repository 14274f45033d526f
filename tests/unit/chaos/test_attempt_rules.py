"""Two executors on one attempt are found, and neither a takeover nor an executor that was frozen is."""

from collections.abc import Iterable

import pytest

from tests.chaos.attempt_rules import LEASE_S
from tests.chaos.checker import check
from tests.chaos.evidence import Entry, Evidence

_ABOUT = {"job_id": "j", "asset_id": "a", "run": 1, "step": "probe"}
_LONG_S = int(LEASE_S) + 4


def _work(lease: str, seconds: Iterable[float], attempt: int = 1) -> list[Entry]:
    """Accepted, then a heartbeat at each of these seconds."""
    data = {**_ABOUT, "attempt": attempt, "lease_id": lease}
    kinds = ["accepted", *("heartbeat" for _ in seconds)]
    return [
        Entry("media.step-events", 0, 0, f"{lease}/{at}", f"media.step.{kind}.v1", data, float(at))
        for kind, at in zip(kinds, seconds, strict=False)
    ]


def _found(*works: list[Entry]) -> list[str]:
    log = {"media.step-events": [entry for work in works for entry in work]}
    return [told for told in check(Evidence(log=log)) if "worked on twice" in told]


def test_two_living_executors_on_one_attempt_are_found() -> None:
    [told] = _found(_work("L1", range(_LONG_S + 1)), _work("L2", range(_LONG_S + 1)))
    assert "L1 and L2 for 8.0 s" in told


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(_work("L2", range(_LONG_S - 3, 20)), id="the first is told to stop within a lease"),
        pytest.param(_work("L2", range(_LONG_S + 1), attempt=2), id="another attempt"),
        pytest.param(_work("L2", (0, 1, 12, 13)), id="one that was frozen"),
    ],
)
def test_what_ends_within_a_lease_is_not(other: list[Entry]) -> None:
    assert _found(_work("L1", range(_LONG_S + 1)), other) == []
