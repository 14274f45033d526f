"""Queue frames for live clients: the positions for each subscription."""

from collections.abc import Callable, Collection, Sequence

from web.live.queue_positions import QueuedJob, Queues
from web.live.ws_frames import Frame, queue_frame
from web.readmodel.subscriptions import Subscription

#: First jobs of a queue of which positions are sent.
_MAX_POSITION = 5_000
#: Most positions in one frame: enough for a page of all jobs, and for every job of a small subscription.
_MAX_PER_FRAME = 200

#: Topic -> subscriptions to it.
SubscriptionsTo = Callable[[str], Collection[Subscription]]


def queue_frames(subscriptions_to: SubscriptionsTo, queues: Queues, step: str) -> dict[Subscription, Frame]:
    """The frame of the step's queue for each subscription with jobs in it."""
    paused = step in queues.paused
    by_subscription = positions(subscriptions_to, step, queues.first(step, _MAX_POSITION))
    return {each: queue_frame(step, by_job, paused=paused) for each, by_job in by_subscription.items()}


def positions(
    subscriptions_to: SubscriptionsTo, step: str, queue: Sequence[QueuedJob]
) -> dict[Subscription, dict[str, int]]:
    """Positions in the step's queue by job, from 1, for each subscription with jobs in it."""
    by_subscription: dict[Subscription, dict[str, int]] = {}
    by_scope: dict[str | None, list[Subscription]] = {}
    for each in {*subscriptions_to("all"), *subscriptions_to(f"queue:{step}")}:
        by_scope.setdefault(each.owner, []).append(each)
    for position, job in enumerate(queue, 1):
        for each in (*_named(subscriptions_to, job), *by_scope.get(None, ()), *by_scope.get(job.owner, ())):
            by_job = by_subscription.setdefault(each, {})
            if len(by_job) < _MAX_PER_FRAME:
                by_job[job.job_id] = position
    return by_subscription


def _named(subscriptions_to: SubscriptionsTo, job: QueuedJob) -> list[Subscription]:
    owners = () if job.owner is None else (f"owner:{job.owner}",)
    topics = (f"job:{job.job_id}", f"asset:{job.asset_id}", *owners)
    return [each for topic in topics for each in subscriptions_to(topic) if each.allows(job.owner)]
