"""Why a step waits, for people: its position in the dispatcher's order, the reason, and how long it will take."""

from schemas.queues import BlockedReason
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
    blocked, is_short = blocked_steps(ledger) - {key[1]}, attempt.line.short
    return ledger.queues.position(attempt, lambda line: line.step in blocked or (is_short and not line.short))


def waiting_reason(ledger: Ledger, key: StepKey) -> WaitingReason | None:
    """What the step waits for; None when it does not wait."""
    attempt, step = ledger.attempts.get(key), key[1]
    if attempt is None or attempt.state in ("given", "accepted"):
        return None
    if attempt.state == "later":
        return "run_at"
    if blocked := blocked_reason(ledger, step):
        return blocked
    return "owner_cap" if attempt.owner in ledger.caps.held else "queued"


def blocked_reason(ledger: Ledger, step: str) -> BlockedReason:
    """Why nothing of the step can be given now, whatever is free; empty when it can."""
    if ledger.caps.is_paused(step):
        return "paused"
    if not ledger.executors.slots(step):
        return "no_executor"
    return "capped" if ledger.caps.is_capped(step) else ""


def blocked_steps(ledger: Ledger) -> set[str]:
    """Steps of which nothing can be given now."""
    return {step for step in ledger.steps if blocked_reason(ledger, step)}


def eta_s(ledger: Ledger, key: StepKey, now: float) -> float | None:
    """Seconds until the waiting step is done; None while it cannot begin, or where nothing is known to go by."""
    attempt = ledger.attempts.get(key)
    if attempt is None or attempt.state in ("given", "accepted"):
        return None
    if attempt.state == "later":
        return max(attempt.at - now, 0.0) + attempt.cost_s
    blocked, is_short = blocked_steps(ledger) - {key[1]}, attempt.line.short
    turns = ledger.queues.position(attempt, lambda line: line.step in blocked or line.short != is_short)
    waits_s = wait_s(ledger, attempt, turns)
    return waits_s + attempt.cost_s if waits_s is not None else None


def wait_s(ledger: Ledger, attempt: Attempt, turns: int) -> float | None:
    """Seconds until a waiting attempt begins, its own turn being the `turns`th of its kind; None while it cannot.

    It waits, so nothing is free; of attempts that run one ends every turn / slots on average, a turn taking as long as
    such turns did lately. Short attempts are mostly worked on beside the others, so neither kind counts the other.
    """
    step, is_short, queue = attempt.key[1], attempt.line.short, ledger.queues.of(attempt.key[1])
    slots, limit = ledger.executors.slots(step), ledger.caps.limit_of(step)
    if not slots or limit == 0 or ledger.caps.is_paused(step) or attempt.owner in ledger.caps.held:
        return None
    if queue.heavy:
        slots = min(slots, ledger.executors.slots(SHORT_TURNS if is_short else FULL_TURNS))
    slots = min(slots, limit or slots)
    return turns * queue.mean_s(attempt.cost_s, short=is_short) / max(slots, 1)
