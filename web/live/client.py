"""The send queue of one live client: every state change in order, and the latest of everything else."""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from web.live.ws_frames import Frame
from web.readmodel.subscriptions import Subscription

#: Shortest time between two batches of progress to one client. A step reports once a second.
PROGRESS_EVERY_S = 0.2
#: Captions that are queued for one client.
_MAX_CAPTIONS = 256

#: Job id and step name.
StepKey = tuple[str, str]


class CloseReason(NamedTuple):
    """Close code and reason of a live connection. Source: RFC 6455 section 7.4; 4000-4999 are for private use."""

    code: int
    reason: str


TOO_SLOW = CloseReason(4008, "ConsumerTooSlow")


class Client:
    """One live client: the hub fills its queue, the connection empties it."""

    def __init__(self, subscription: Subscription, queue_bytes: int) -> None:
        self.subscription = subscription
        #: Set when the connection must be closed; nothing is queued any more.
        self.close_reason: asyncio.Future[CloseReason] = asyncio.get_running_loop().create_future()
        self._queue_bytes = queue_bytes
        self._changes: deque[tuple[int, Frame]] = deque()
        self._queued_bytes = 0
        self._captions: deque[Frame] = deque(maxlen=_MAX_CAPTIONS)
        self._progress: dict[StepKey, Frame] = {}
        #: Latest queue frame by step: to be sent, and last sent.
        self._queue_frames: dict[str, Frame] = {}
        self._sent_queue_frames: dict[str, Frame] = {}
        #: Latest frame by executor: to be sent, and last sent.
        self._executor_frames: dict[str, Frame] = {}
        self._sent_executor_frames: dict[str, Frame] = {}
        #: Whether it may lack positions in queues that have not changed since it joined.
        self.needs_positions = True
        self._progress_due = 0.0
        self._known_seq = 0
        self._wakeup = asyncio.Event()

    def add_change(self, seq: int, steps: Sequence[StepKey], frame: Frame) -> None:
        """Queue a state change. It supersedes queued progress of these steps.

        Queue frames of these steps go out before it: the job may have left the queue.
        """
        if seq <= self._known_seq or self.close_reason.done():
            return
        for step in steps:
            self._progress.pop(step, None)
            if (queue := self._queue_frames.pop(step[1], None)) is not None:
                self._enqueue(seq, queue)
        self._sent_queue_frames.clear()  # the change may carry other positions
        self._enqueue(seq, frame)
        if self._queued_bytes > self._queue_bytes:
            self.close(TOO_SLOW)
        self._wakeup.set()

    def add_progress(self, step: StepKey, frame: Frame) -> None:
        """Keep the latest progress of a step until the next batch."""
        if not self._progress:  # otherwise the next batch is being waited for already
            self._wakeup.set()
        self._progress[step] = frame

    def add_queue(self, step: str, frame: Frame) -> None:
        """Keep the latest frame of a step's queue until the next batch, unless the last one sent was equal."""
        if self._sent_queue_frames.get(step) != frame:
            self._queue_frames[step] = frame
            self._wakeup.set()

    def add_executors(self, frames: Mapping[str, Frame]) -> None:
        """Keep the latest frame of each executor until the next batch, unless the last one sent was the same."""
        changed = {name: frame for name, frame in frames.items() if self._sent_executor_frames.get(name) is not frame}
        self._executor_frames |= changed
        self._sent_executor_frames = dict(frames)
        if changed:
            self._wakeup.set()

    def add_caption(self, frame: Frame) -> None:
        """Queue a caption. A slow client loses the oldest ones: the step's outputs have all of them."""
        self._captions.append(frame)
        self._wakeup.set()

    def close(self, reason: CloseReason) -> None:
        """Have the connection closed and drop the queue; the client resumes by its cursor."""
        if not self.close_reason.done():
            self.close_reason.set_result(reason)
        self._changes.clear()
        self._captions.clear()
        self._progress.clear()
        self._queue_frames.clear()
        self._executor_frames.clear()

    def skip_to(self, seq: int) -> None:
        """Drop changes up to `seq`, also future ones: the client has them from the read model.

        Queue frames that wait to be sent are older than that.
        """
        self._known_seq, self.needs_positions = seq, True
        self._queue_frames.clear()
        self._sent_queue_frames.clear()
        while self._changes and self._changes[0][0] <= seq:
            self._queued_bytes -= len(self._changes.popleft()[1].wire)

    async def next_frames(self) -> list[Frame]:
        """Wait for the next frames to send: all queued changes in order, else captions, else a batch that is due."""
        loop = asyncio.get_running_loop()
        while True:
            if self._changes:
                return self._take_changes()
            if self._captions:
                return self._take_captions()
            has_batch = bool(self._progress or self._queue_frames or self._executor_frames)
            if has_batch and loop.time() >= self._progress_due:
                self._progress_due = loop.time() + PROGRESS_EVERY_S
                return [*self._take_progress(), *self._take_queue_frames(), *self._take_executor_frames()]
            self._wakeup.clear()
            await self._wait(self._progress_due - loop.time() if has_batch else None)

    def _enqueue(self, seq: int, frame: Frame) -> None:
        self._changes.append((seq, frame))
        self._queued_bytes += len(frame.wire)

    async def _wait(self, timeout_s: float | None) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await self._wakeup.wait()
        except TimeoutError:
            pass  # the next batch is due

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

    def _take_queue_frames(self) -> list[Frame]:
        self._sent_queue_frames |= self._queue_frames
        frames = list(self._queue_frames.values())
        self._queue_frames.clear()
        return frames

    def _take_executor_frames(self) -> list[Frame]:
        frames = list(self._executor_frames.values())
        self._executor_frames.clear()
        return frames
