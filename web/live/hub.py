"""State changes and progress -> everybody who listens: no state change is lost, a slow client is let go."""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import NamedTuple

from schemas.jobs import Job
from schemas.step_events import StepCaptioned
from web.live.progress import Moved, Progress
from web.live.queue_changes import queue_frames
from web.live.ws_frames import Frame, caption_frame, change_frame, cursor_at, job_frame, progress_frame, queue_frame
from web.readmodel.audience import Audience, audience_of
from web.readmodel.position import Position
from web.readmodel.projector import JobChange
from web.readmodel.subscriptions import Subscription

#: Shortest time between two rounds of progress to one client. A step tells of itself once a second.
PROGRESS_EVERY_S = 0.2
#: Time between two looks at the queues: each departure moves everybody behind it.
QUEUES_EVERY_S = 1.0
#: Captions that wait for one client.
_CAPTIONS_KEPT = 256

#: Id of a job, and the name of a step.
_Step = tuple[str, str]


class CloseReason(NamedTuple):
    """Why a client is let go. Source: RFC 6455 section 7.4, codes 4000-4999 are ours."""

    code: int
    reason: str


TOO_SLOW = CloseReason(4008, "ConsumerTooSlow")
GOING_AWAY = CloseReason(1001, "GoingAway")
REBUILT = CloseReason(4012, "ReadModelRebuilt")


class Client:
    """One listener's queue. The hub fills it, the connection empties it."""

    def __init__(self, wanted: Subscription, queue_bytes: int) -> None:
        self.wanted = wanted
        #: Set when the client must go; nothing is queued any more.
        self.farewell: asyncio.Future[CloseReason] = asyncio.get_running_loop().create_future()
        self._queue_bytes = queue_bytes
        self._changes: deque[tuple[int, Frame]] = deque()
        self._queued_bytes = 0
        self._captions: deque[Frame] = deque(maxlen=_CAPTIONS_KEPT)
        self._progress: dict[_Step, Frame] = {}
        #: The latest places by step: those that wait, and those that have left.
        self._places: dict[str, Frame] = {}
        self._places_told: dict[str, Frame] = {}
        #: Whether it may lack places in queues that have not changed since.
        self.lacks_places = True
        self._progress_due = 0.0
        self._known = 0
        self._news = asyncio.Event()

    def add_change(self, seq: int, steps: Sequence[_Step], frame: Frame) -> None:
        """Queue a state change; progress of the job's steps that has not left yet is superseded by it.

        Places that have not left yet go first: the job may have left the queue.
        """
        if seq <= self._known or self.farewell.done():
            return
        for step in steps:
            self._progress.pop(step, None)
            if (places := self._places.pop(step[1], None)) is not None:
                self._queue(seq, places)
        self._places_told.clear()  # the change may say otherwise
        self._queue(seq, frame)
        if self._queued_bytes > self._queue_bytes:
            self.dismiss(TOO_SLOW)
        self._news.set()

    def _queue(self, seq: int, frame: Frame) -> None:
        self._changes.append((seq, frame))
        self._queued_bytes += len(frame.wire)

    def add_progress(self, step: _Step, frame: Frame) -> None:
        """Keep the latest progress of a step until the next round."""
        if not self._progress:  # otherwise the round is waited for already
            self._news.set()
        self._progress[step] = frame

    def add_places(self, step: str, frame: Frame) -> None:
        """Keep the latest places in a step's queue until the next round, unless they are what was told last."""
        if self._places_told.get(step) != frame:
            self._places[step] = frame
            self._news.set()

    def add_caption(self, frame: Frame) -> None:
        """Queue what was heard; of a client that is behind, the oldest is dropped: the step's outputs have it all."""
        self._captions.append(frame)
        self._news.set()

    def dismiss(self, why: CloseReason) -> None:
        """Let the client go; what is queued is dropped, it resumes by its cursor."""
        if not self.farewell.done():
            self.farewell.set_result(why)
        self._changes.clear()
        self._captions.clear()
        self._progress.clear()
        self._places.clear()

    def skip_to(self, seq: int) -> None:
        """Leave out the changes up to `seq`, also those still to come: the client has them from the read model.

        Places in queues that were to be sent are older than that.
        """
        self._known, self.lacks_places = seq, True
        self._places.clear()
        self._places_told.clear()
        while self._changes and self._changes[0][0] <= seq:
            self._queued_bytes -= len(self._changes.popleft()[1].wire)

    async def next_frames(self) -> list[Frame]:
        """Wait for what is to be sent next: every waiting change in order, or a round of progress that is due."""
        loop = asyncio.get_running_loop()
        while True:
            if self._changes:
                return self._take_changes()
            if self._captions:
                return self._take_captions()
            is_round = bool(self._progress or self._places)
            if is_round and loop.time() >= self._progress_due:
                self._progress_due = loop.time() + PROGRESS_EVERY_S
                return [*self._take_progress(), *self._take_places()]
            self._news.clear()
            await self._wait(self._progress_due - loop.time() if is_round else None)

    async def _wait(self, timeout_s: float | None) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await self._news.wait()
        except TimeoutError:
            pass  # the next round of progress is due

    def _take_changes(self) -> list[Frame]:
        frames = [frame for _, frame in self._changes]
        self._changes.clear()
        self._queued_bytes = 0
        return frames

    def _take_captions(self) -> list[Frame]:
        frames = list(self._captions)
        self._captions.clear()
        return frames

    def _take_progress(self) -> list[Frame]:
        frames = list(self._progress.values())
        self._progress.clear()
        return frames

    def _take_places(self) -> list[Frame]:
        self._places_told |= self._places
        frames = list(self._places.values())
        self._places.clear()
        return frames


class Hub:
    """All listeners, found by what they asked for."""

    def __init__(self, position: Position, progress: Progress, queue_bytes: int) -> None:
        self._position = position
        self._progress = progress
        self._queue_bytes = queue_bytes
        self._by_topic: dict[str, set[Client]] = {}
        #: Held while the read model and what is known beside it take in changes that are not published yet: places in
        #: queues are those after a change, or before it.
        self.changing = asyncio.Lock()
        self._closing = False

    def __len__(self) -> int:
        return len(self._clients())

    def join(self, wanted: Subscription) -> Client:
        """A new listener, from this very moment on."""
        client = Client(wanted, self._queue_bytes)
        if self._closing:
            client.dismiss(GOING_AWAY)
        for topic in wanted.topics:
            self._by_topic.setdefault(topic, set()).add(client)
        return client

    def leave(self, client: Client) -> None:
        """The listener has gone."""
        for topic in client.wanted.topics:
            self._by_topic[topic].discard(client)
            if not self._by_topic[topic]:
                del self._by_topic[topic]

    def publish(self, change: JobChange) -> None:
        """A committed change goes to everybody who wants it; `position.offsets` stand behind it already."""
        clients, cursor = self._listeners(change.audience), self._cursor()
        if clients and cursor is not None:
            _send(clients, change.seq, change.audience, change_frame(cursor, change, self._progress))

    def publish_again(self, job: Job, seq: int) -> None:
        """Send a job whose row is unchanged but whose view changed with change `seq`, to all its subscribers."""
        self._publish_view(job, seq, self._listeners(audience_of(job)))

    def publish_to_named(self, job: Job, seq: int) -> None:
        """The same, only to subscribers of this job or its asset by id."""
        self._publish_view(job, seq, self._allowed({f"job:{job.id}", f"asset:{job.asset_id}"}, job.owner))

    def _publish_view(self, job: Job, seq: int, clients: set[Client]) -> None:
        cursor = self._cursor()
        if clients and cursor is not None:
            _send(clients, seq, audience_of(job), job_frame(cursor, job, self._progress))

    def _cursor(self) -> str | None:
        log = self._position.log
        return None if log is None else cursor_at(log, self._position.offsets)

    def publish_caption(self, job: Job, said: StepCaptioned) -> None:
        """What was heard goes to everybody who wants that job."""
        clients = self._listeners(audience_of(job))
        if clients:
            frame = caption_frame(job, said)
            for client in clients:
                client.add_caption(frame)

    def publish_progress(self, moved: Moved) -> None:
        """Progress goes to everybody who wants that job."""
        clients = self._listeners(audience_of(moved.job))
        if clients:
            step, frame = (moved.job.id, moved.step), progress_frame(moved)
            for client in clients:
                client.add_progress(step, frame)

    async def tell_queues(self) -> None:
        """Tell of places in queues again and again, until cancelled."""
        while True:
            await asyncio.sleep(QUEUES_EVERY_S)
            async with self.changing:
                self.publish_queues()

    def publish_queues(self) -> None:
        """Places in queues that have changed go to everybody who wants jobs that wait there.

        All of them when somebody has come: who resumes was told of changes, and of places by nobody.
        """
        queues, clients = self._progress.queues, self._clients()
        everything = any(client.lacks_places for client in clients)
        steps = queues.take_changed() | (queues.steps() if everything else set())
        for step in steps if clients else ():
            frames = queue_frames(self._wanting, queues, step)
            for client in clients if frames else ():
                if (frame := frames.get(client.wanted)) is not None:
                    client.add_places(step, frame)
        for client in clients:
            client.lacks_places = False

    def publish_pause(self, step: str) -> None:
        """Send the queue's frame to every client: jobs far behind, of which no position is sent, are paused as well."""
        if not self._by_topic:
            return
        queues = self._progress.queues
        frames, other = queue_frames(self._wanting, queues, step), queue_frame(step, {}, paused=step in queues.paused)
        for client in self._clients():
            client.add_places(step, frames.get(client.wanted, other))

    def named(self, most: int) -> Subscription:
        """Subscriptions by id of a job or asset, at most `most`."""
        topics = (topic for topic in self._by_topic if topic.startswith(("job:", "asset:")))
        return Subscription(frozenset(islice(topics, most)), None)

    def _wanting(self, topic: str) -> set[Subscription]:
        return {client.wanted for client in self._by_topic.get(topic, ())}

    def dismiss_all(self, why: CloseReason, *, closing: bool = False) -> None:
        """Let everybody go; `closing`: and whoever comes still."""
        self._closing = self._closing or closing
        for client in self._clients():
            client.dismiss(why)

    def _clients(self) -> set[Client]:
        return {client for clients in self._by_topic.values() for client in clients}

    def _listeners(self, audience: Audience) -> set[Client]:
        return self._allowed(audience.topics(), audience.owner) if self._by_topic else set()

    def _allowed(self, topics: set[str], owner: str | None) -> set[Client]:
        found: set[Client] = set()
        for topic in topics:
            found |= self._by_topic.get(topic, set())
        return {client for client in found if client.wanted.allows(owner) and not client.farewell.done()}


def _send(clients: Iterable[Client], seq: int, audience: Audience, frame: Frame) -> None:
    steps = [(audience.job_id, step) for step in audience.steps]
    for client in clients:
        client.add_change(seq, steps, frame)
