"""Retry policies: the delay before the next try, and the number of tries. Pure: the jitter follows from a seed."""

import zlib

from processors.errors import OutputsTooLarge
from schemas.base import ErrorRecord
from schemas.jobs import RetryPolicy

#: Error code of a remote endpoint that is starting; such tries are counted apart from failures.
ASLEEP_CODE = "endpoint-asleep"
#: Further tries for a sleeping endpoint, and the fixed delay before each.
MAX_ASLEEP = 3
_ASLEEP_DELAY_S = 60.0
#: Tries that may be lost with their executor, so that an input that always kills its executor ends.
MAX_LOSSES = 8
#: Longest delay of an expiry event on its way to the log, seconds. A longer delay means that the broker was
#: unavailable, and no lease could be renewed.
MAX_EVENT_DELAY_S = 3.0
_LOSS_DELAY_S, _LOSS_MAX_S = 1.0, 60.0
#: Longest delay that a server's Retry-After can request.
_RETRY_AFTER_MAX_S = 3600.0

# Both texts are part of rows: `kinolog doctor --rebuild-check` compares old rows with them.
EXECUTOR_LOST = ErrorRecord(
    code="executor-lost",
    message="The machine working on this step stopped answering.",
    retriable=True,
)

OUTPUTS_TOO_LARGE = OutputsTooLarge("The step produced more results than a job can hold.").record()


def retry_delay_s(policy: RetryPolicy, failures: int, seed: str) -> float:
    """Seconds until the next try after `failures` >= 1 failures. The same seed gives the same jitter."""
    growth = policy.factor ** (failures - 1) if policy.backoff == "exponential" else 1.0
    delay_s = min(policy.delay_s * growth, policy.max_s)
    fraction = zlib.crc32(seed.encode()) / 0xFFFFFFFF
    return delay_s * (1 + policy.jitter * (2 * fraction - 1))


def requested_delay_s(error: ErrorRecord, delay_s: float) -> float:
    """`delay_s`, or the server's Retry-After where that is longer; an hour at most."""
    return max(delay_s, min(error.retry_after_s or 0.0, _RETRY_AFTER_MAX_S))


def asleep_delay_s() -> float:
    """Seconds until the next request to a sleeping endpoint."""
    return _ASLEEP_DELAY_S


def loss_delay_s(losses: int) -> float:
    """Seconds until a step is requested again after `losses` >= 1 lost executors: 1, 2, 4 … 60."""
    return float(min(_LOSS_DELAY_S * 2 ** (losses - 1), _LOSS_MAX_S))
