"""How long to wait before another try, and when to stop trying. Pure: chance comes in as a seed."""

import zlib

from processors.errors import OutputsTooLarge
from schemas.base import ErrorRecord
from schemas.jobs import RetryPolicy

#: A remote endpoint that is waking up is counted apart from failures.
ASLEEP_CODE = "endpoint-asleep"
#: Further tries that a sleeping endpoint is given, and the fixed wait before each.
MAX_ASLEEP = 3
_ASLEEP_DELAY_S = 60.0
#: Tries that may be lost with their executor: an input that kills its executor every time must end.
MAX_LOSSES = 8
#: Seconds that word of an expired lease may take to the log. Longer, and the log was away: nobody could renew a lease.
MAX_ON_THE_WAY_S = 3.0
_LOSS_DELAY_S, _LOSS_MAX_S = 1.0, 60.0
#: Longest wait that a server's Retry-After can ask for.
_ASKED_MAX_S = 3600.0

EXECUTOR_LOST = ErrorRecord(
    code="executor-lost",
    message="The machine working on this step stopped answering.",
    retriable=True,
)

OUTPUTS_TOO_LARGE = OutputsTooLarge("The step produced more results than a job can hold.").record()


def retry_delay_s(policy: RetryPolicy, failures: int, seed: str) -> float:
    """Seconds until the next try after `failures` >= 1 failures. The same seed gives the same spread."""
    growth = policy.factor ** (failures - 1) if policy.backoff == "exponential" else 1.0
    delay_s = min(policy.delay_s * growth, policy.max_s)
    chance = zlib.crc32(seed.encode()) / 0xFFFFFFFF
    return delay_s * (1 + policy.jitter * (2 * chance - 1))


def asked_delay_s(error: ErrorRecord, delay_s: float) -> float:
    """`delay_s`, or what the other side asked for where that is longer; an hour at most."""
    return max(delay_s, min(error.retry_after_s or 0.0, _ASKED_MAX_S))


def asleep_delay_s() -> float:
    """Seconds until a sleeping endpoint is asked again."""
    return _ASLEEP_DELAY_S


def loss_delay_s(losses: int) -> float:
    """Seconds until a step is given to another executor after `losses` >= 1 losses: 1, 2, 4 … 60."""
    return float(min(_LOSS_DELAY_S * 2 ** (losses - 1), _LOSS_MAX_S))
