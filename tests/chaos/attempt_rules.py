"""What must hold of attempts and the executors that work on them. Pure; imports nothing of kinolog."""

from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations
from typing import Any

from tests.chaos.evidence import Entry, Evidence

#: As in the world's settings: how long a lease lasts, and how often it is renewed.
LEASE_S, HEARTBEAT_S = 4.0, 1.0
#: Between two signs of life of an executor that lives: a later sign is of one that was frozen or cut off meanwhile.
_LIVES_S = 2.5 * HEARTBEAT_S
#: From the end of a lease to the executor's last sign: the revoke travels, the tool is killed.
_GRACE_S = 2.0
#: Signs that an executor works on an attempt under a lease.
_SIGNS = frozenset(
    f"media.step.{kind}.v1"
    for kind in ("accepted", "heartbeat", "finished", "passed-over", "attempt-failed", "released", "revoked")
)

#: (job, run, step, attempt)
_Attempt = tuple[Any, ...]


def no_attempt_is_worked_on_twice(evidence: Evidence) -> Iterator[str]:
    """Two living executors work on one attempt for no longer than a lease: then one of them is told to stop."""
    for attempt, leases in _signs(evidence).items():
        for (one, ours), (other, theirs) in combinations(leases.items(), 2):
            both_s = _together_s(_alive(ours), _alive(theirs))
            if both_s > LEASE_S + _GRACE_S:
                yield f"{attempt} was worked on under {one} and {other} for {both_s:.1f} s at the same time"


ATTEMPT_RULES = (no_attempt_is_worked_on_twice,)


def _signs(evidence: Evidence) -> dict[_Attempt, dict[str, list[float]]]:
    """When there was a sign of work, by attempt and lease."""
    found: dict[_Attempt, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for entry in evidence.of("media.step-events"):
        lease = entry.data.get("lease_id")
        if entry.type in _SIGNS and isinstance(lease, str):
            found[_attempt_of(entry)][lease].append(entry.at)
    return found


def _attempt_of(entry: Entry) -> _Attempt:
    return tuple(entry.data.get(name) for name in ("job_id", "run", "step", "attempt"))


def _alive(signs: list[float]) -> list[tuple[float, float]]:
    """From when to when the executor lived, by its signs."""
    spans: list[tuple[float, float]] = []
    for at in sorted(signs):
        if spans and at - spans[-1][1] <= _LIVES_S:
            spans[-1] = (spans[-1][0], at)
        else:
            spans.append((at, at))
    return spans


def _together_s(ours: list[tuple[float, float]], theirs: list[tuple[float, float]]) -> float:
    return sum(max(0.0, min(a[1], b[1]) - max(a[0], b[0])) for a in ours for b in theirs)
