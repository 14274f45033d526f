"""Why a step waits, for people: its position in the dispatcher's order, the reason, and how long it will take."""

from tables.dispatch.executors import FULL_TURNS, SHORT_TURNS
from tables.dispatch.ledger import Ledger
from tables.dispatch.ready_queues import Attempt
from tables.dispatch.values import StepKey, WaitingReason


def rank(ledger: Ledger, key: StepKey) -> int | None:
    """From 1: which turn the step gets among those that compete for the same capacity; None when it does not wait.

    Paused steps, those at their cap and those that no executor offers are not counted; and a short attempt does not
    wait for others than short ones. O(owners of the class).
    """
    attempt = ledger.attempts.get(key)
    if attempt is None or attempt.state != "waiting":
        return None
    blocked, is_short = _blocked(ledger) - {key[1]}, attempt.line.short
    return ledger.queues.position(attempt, lambda line: line.step in blocked or (is_short and not line.short))


def waiting_reason(ledger: Ledger, key: StepKey) -> WaitingReason | None:
    """What the step waits for; None when it does not wait."""
    attempt, step = ledger.attempts.get(key), key[1]
    if attempt is None or attempt.state in ("given", "accepted"):
        return None
    if attempt.state == "later":
        return "run_at"
    if ledger.caps.is_paused(step):
        return "paused"
    if not ledger.executors.slots(step):
        return "no_executor"
    if ledger.caps.is_capped(step):
        return "capped"
    return "owner_cap" if attempt.owner in ledger.caps.held else "queued"


def eta_s(ledger: Ledger, key: StepKey, now: float) -> float | None:
    """Seconds until the waiting step is done; None while it cannot begin, or where nothing is known to go by."""
    attempt, reason = ledger.attempts.get(key), waiting_reason(ledger, key)
    if attempt is None or reason in (None, "paused", "no_executor", "owner_cap") or ledger.caps.limit_of(key[1]) == 0:
        return None
    if reason == "run_at":
        return max(attempt.at - now, 0.0) + attempt.cost_s
    return _wait_s(ledger, attempt) + attempt.cost_s


def _wait_s(ledger: Ledger, attempt: Attempt) -> float:
    """Turns until its own, each as long as such turns were lately, spread over what runs at a time.

    It waits, so nothing is free; of attempts that run one ends every turn / slots on average. Short attempts are mostly
    worked on beside the others, so neither kind counts the other.
    """
    queue, step = ledger.queues.of(attempt.key[1]), attempt.key[1]
    blocked, is_short = _blocked(ledger) - {step}, attempt.line.short
    turns = ledger.queues.position(attempt, lambda line: line.step in blocked or line.short != is_short)
    slots = ledger.executors.slots(step)
    if queue.heavy:
        slots = min(slots, ledger.executors.slots(SHORT_TURNS if is_short else FULL_TURNS))
    slots = min(slots, ledger.caps.limit_of(step) or slots)
    return turns * queue.mean_s(attempt.cost_s, short=is_short) / max(slots, 1)


def _blocked(ledger: Ledger) -> set[str]:
    """Steps of which nothing can be given now, whatever is free."""
    return {step for step in ledger.steps if not ledger.caps.is_open(step) or not ledger.executors.slots(step)}
