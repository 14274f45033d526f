"""Places in queues for live clients: who is told of which."""

from collections.abc import Callable, Collection, Sequence

from web.live.queue_positions import Queued, Queues
from web.live.ws_frames import Frame, queue_frame
from web.readmodel.subscriptions import Subscription

#: First positions of a queue that are sent.
_PLACES = 5_000
#: Most places in one frame: a page shows the first ones of all, and of a few jobs every one.
_MOST = 200


def queue_frames(
    wanting: Callable[[str], Collection[Subscription]], queues: Queues, step: str
) -> dict[Subscription, Frame]:
    """The frame of the step's queue for each subscription with jobs in it. `wanting`: subscriptions to a topic."""
    paused = step in queues.paused
    by_subscription = positions(wanting, step, queues.first(step, _PLACES))
    return {each: queue_frame(step, found, paused=paused) for each, found in by_subscription.items()}


def positions(
    wanting: Callable[[str], Collection[Subscription]], step: str, places: Sequence[Queued]
) -> dict[Subscription, dict[str, int]]:
    """Places in the step's queue by job, from 1, for each subscription that wants some. `wanting`: those to a topic."""
    told: dict[Subscription, dict[str, int]] = {}
    by_scope: dict[str | None, list[Subscription]] = {}
    for wanted in {*wanting("all"), *wanting(f"queue:{step}")}:
        by_scope.setdefault(wanted.owner, []).append(wanted)
    for position, place in enumerate(places, 1):
        for wanted in (*_named(wanting, place), *by_scope.get(None, ()), *by_scope.get(place.owner, ())):
            found = told.setdefault(wanted, {})
            if len(found) < _MOST:
                found[place.job_id] = position
    return told


def _named(wanting: Callable[[str], Collection[Subscription]], place: Queued) -> list[Subscription]:
    owners = () if place.owner is None else (f"owner:{place.owner}",)
    topics = (f"job:{place.job_id}", f"asset:{place.asset_id}", *owners)
    return [wanted for topic in topics for wanted in wanting(topic) if wanted.allows(place.owner)]
