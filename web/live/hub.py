"""The hub: publishes state changes and progress to live clients. No change is lost; slow clients are disconnected."""

import asyncio
from collections.abc import Iterable
from itertools import islice

from schemas.jobs import Job
from schemas.step_events import StepCaptioned
from web.live.client import Client, CloseReason
from web.live.progress import Progress, ProgressChange
from web.live.queue_changes import empty_frame, queue_frames
from web.live.ws_frames import Frame, caption_frame, change_frame, cursor_at, job_frame, progress_frame
from web.readmodel.audience import Audience, audience_of
from web.readmodel.position import Position
from web.readmodel.projector import JobChange
from web.readmodel.subscriptions import Subscription

#: Interval between updates of queue positions: each departure moves all jobs behind it.
QUEUES_EVERY_S = 1.0

GOING_AWAY = CloseReason(1001, "GoingAway")
REBUILT = CloseReason(4012, "ReadModelRebuilt")


class Hub:
    """All live clients, by the topics that they subscribe to."""

    def __init__(self, position: Position, progress: Progress, queue_bytes: int) -> None:
        self._position = position
        self._progress = progress
        self._queue_bytes = queue_bytes
        self._by_topic: dict[str, set[Client]] = {}
        #: Held while a batch is applied and published: queue positions are those before it or after it.
        self.publishing = asyncio.Lock()
        self._closing = False
        #: Changes with everything that a snapshot contains: one of the same version is still complete.
        self.version = 0

    def __len__(self) -> int:
        return len(self._clients())

    def join(self, subscription: Subscription) -> Client:
        """Add a client; it gets every change from now on."""
        client = Client(subscription, self._queue_bytes)
        if self._closing:
            client.close(GOING_AWAY)
        for topic in subscription.topics:
            self._by_topic.setdefault(topic, set()).add(client)
        return client

    def leave(self, client: Client) -> None:
        """Remove a client."""
        for topic in client.subscription.topics:
            self._by_topic[topic].discard(client)
            if not self._by_topic[topic]:
                del self._by_topic[topic]

    def publish(self, change: JobChange) -> None:
        """Send a committed change to its subscribers. `position.offsets` must include it already."""
        clients, cursor = self._subscribers(change.audience), self._cursor()
        if clients and cursor is not None:
            _send(clients, change.seq, change.audience, change_frame(cursor, change, self._progress))

    def publish_again(self, job: Job, seq: int) -> None:
        """Send a job whose row is unchanged but whose view changed with change `seq`, to all its subscribers."""
        self._publish_view(job, seq, self._subscribers(audience_of(job)))

    def publish_to_named(self, job: Job, seq: int) -> None:
        """The same, only to subscribers of this job or its asset by id."""
        self._publish_view(job, seq, self._allowed({f"job:{job.id}", f"asset:{job.asset_id}"}, job.owner))

    def publish_caption(self, job: Job, event: StepCaptioned) -> None:
        """Send a live caption to the job's subscribers."""
        clients = self._subscribers(audience_of(job))
        if clients:
            frame = caption_frame(job, event)
            for client in clients:
                client.add_caption(frame)

    def publish_progress(self, change: ProgressChange) -> None:
        """Send progress to the job's subscribers."""
        self.version += 1
        clients = self._subscribers(audience_of(change.job))
        if clients:
            step, frame = (change.job.id, change.step), progress_frame(change)
            for client in clients:
                client.add_progress(step, frame)

    async def run(self) -> None:
        """Publish queue positions periodically until cancelled."""
        while True:
            await asyncio.sleep(QUEUES_EVERY_S)
            async with self.publishing:
                self.publish_queues()

    def publish_queues(self) -> None:
        """Send changed queue positions to subscribers of waiting jobs; all positions when a client has joined.

        A client that resumed has caught up with changes, not with positions.
        """
        queues, clients = self._progress.queues, self._clients()
        everything = any(client.needs_positions for client in clients)
        switched = queues.take_switched()
        for step in switched:
            self.publish_switch(step)
        steps = queues.take_changed() | (queues.steps() if everything else set())
        for step in steps - switched if clients else ():
            frames = self._queue_frames(step)
            for client in clients if frames else ():
                if (frame := frames.get(client.subscription)) is not None:
                    client.add_queue(step, frame)
        for client in clients:
            client.needs_positions = False

    def publish_switch(self, step: str) -> None:
        """Send the queue's frame to every client: jobs far behind, of which no position is sent, are held as well."""
        self.version += 1
        if not self._by_topic:
            return
        frames, other = self._queue_frames(step), empty_frame(self._progress.queues, step)
        for client in self._clients():
            client.add_queue(step, frames.get(client.subscription, other))

    def _queue_frames(self, step: str) -> dict[Subscription, Frame]:
        progress = self._progress
        return queue_frames(self._subscriptions_to, progress.queues, progress.queued_s, step)

    def subscribed(self, topic: str) -> list[Client]:
        """Clients that subscribe to this topic."""
        return list(self._by_topic.get(topic, ()))

    def named(self, most: int) -> Subscription:
        """Subscriptions by id of a job or asset, at most `most`."""
        topics = (topic for topic in self._by_topic if topic.startswith(("job:", "asset:")))
        return Subscription(frozenset(islice(topics, most)), None)

    def close_all(self, reason: CloseReason, *, closing: bool = False) -> None:
        """Close all connections; `closing`: future ones too."""
        self.version += 1
        self._closing = self._closing or closing
        for client in self._clients():
            client.close(reason)

    def _publish_view(self, job: Job, seq: int, clients: set[Client]) -> None:
        cursor = self._cursor()
        if clients and cursor is not None:
            _send(clients, seq, audience_of(job), job_frame(cursor, job, self._progress))

    def _cursor(self) -> str | None:
        log = self._position.log
        return None if log is None else cursor_at(log, self._position.offsets)

    def _subscriptions_to(self, topic: str) -> set[Subscription]:
        return {client.subscription for client in self._by_topic.get(topic, ())}

    def _clients(self) -> set[Client]:
        return {client for clients in self._by_topic.values() for client in clients}

    def _subscribers(self, audience: Audience) -> set[Client]:
        return self._allowed(audience.topics(), audience.owner) if self._by_topic else set()

    def _allowed(self, topics: set[str], owner: str | None) -> set[Client]:
        clients: set[Client] = set()
        for topic in topics:
            clients |= self._by_topic.get(topic, set())
        return {client for client in clients if client.subscription.allows(owner) and not client.close_reason.done()}


def _send(clients: Iterable[Client], seq: int, audience: Audience, frame: Frame) -> None:
    steps = [(audience.job_id, step) for step in audience.steps]
    for client in clients:
        client.add_change(seq, steps, frame)
