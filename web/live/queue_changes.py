"""Queue frames for live clients: positions and estimates for each subscription."""

from collections.abc import Callable, Collection, Iterable

from web.live.queue_positions import QueuedJob, Queues
from web.live.ws_frames import Frame, queue_frame
from web.readmodel.subscriptions import Subscription
from web.views.models import QueueFrame

#: Most positions in one frame: enough for a page of all jobs, and for every job of a small subscription.
_MAX_PER_FRAME = 200

#: Topic -> subscriptions to it.
SubscriptionsTo = Callable[[str], Collection[Subscription]]
#: Queued job -> estimated seconds until the step that waits is done.
Remaining = Callable[[QueuedJob, str], float | None]


def queue_frames(
    subscriptions_to: SubscriptionsTo, queues: Queues, remaining_s: Remaining, step: str
) -> dict[Subscription, Frame]:
    """The frame of the step's queue for each subscription with jobs in it."""
    places = [(job, attempt.position) for job, attempt in queues.first(step)]
    by_subscription = positions(subscriptions_to, step, places)
    estimates = {job.job_id: seconds for job, _ in places if (seconds := remaining_s(job, step)) is not None}
    return {each: queue_frame(_frame(queues, step, by_job, estimates)) for each, by_job in by_subscription.items()}


def empty_frame(queues: Queues, step: str) -> Frame:
    """The frame of the step's queue without positions: whether it is paused, and why nothing starts."""
    return queue_frame(_frame(queues, step, {}, {}))


def _frame(queues: Queues, step: str, by_job: dict[str, int], estimates: dict[str, float]) -> QueueFrame:
    return QueueFrame(
        step=step,
        paused=step in queues.paused,
        reason=queues.reason(step),
        positions=by_job,
        eta_s={job_id: estimates[job_id] for job_id in by_job if job_id in estimates},
    )


def positions(
    subscriptions_to: SubscriptionsTo, step: str, places: Iterable[tuple[QueuedJob, int]]
) -> dict[Subscription, dict[str, int]]:
    """Positions in the step's queue by job, for each subscription with jobs in it."""
    by_subscription: dict[Subscription, dict[str, int]] = {}
    by_scope: dict[str | None, list[Subscription]] = {}
    for each in {*subscriptions_to("all"), *subscriptions_to(f"queue:{step}")}:
        by_scope.setdefault(each.owner, []).append(each)
    for job, position in places:
        for each in (*_named(subscriptions_to, job), *by_scope.get(None, ()), *by_scope.get(job.owner, ())):
            by_job = by_subscription.setdefault(each, {})
            if len(by_job) < _MAX_PER_FRAME:
                by_job[job.job_id] = position
    return by_subscription


def _named(subscriptions_to: SubscriptionsTo, job: QueuedJob) -> list[Subscription]:
    owners = () if job.owner is None else (f"owner:{job.owner}",)
    topics = (f"job:{job.job_id}", f"asset:{job.asset_id}", *owners)
    return [each for topic in topics for each in subscriptions_to(topic) if each.allows(job.owner)]
