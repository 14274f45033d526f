"""Frames of live connections, each encoded once for all clients."""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec
from msgspec import UNSET

from schemas.jobs import Job
from schemas.step_events import StepCaptioned
from web.http.cursors import LiveCursor, dump
from web.live.progress import Progress, ProgressChange
from web.readmodel.projector import JobChange
from web.readmodel.read_shares import in_shares
from web.views.build import job_view, percent
from web.views.models import (
    CaptionFrame,
    DeletedFrame,
    ExecutorFrame,
    ExecutorView,
    JobFrame,
    JobView,
    LiveFrame,
    ProgressFrame,
    QueueFrame,
    SnapshotFrame,
)

_encode = msgspec.json.Encoder().encode
#: Largest list of jobs in one frame. Clients have limits: 1 MiB by default in websockets (Python).
_SNAPSHOT_BYTES = 480 * 1024


class Frame(NamedTuple):
    """One message to a client."""

    #: Websocket frame; the same bytes for every client.
    wire: bytes
    #: Cursor to resume from after this frame; None for frames that are not state changes.
    cursor: str | None = None

    @property
    def text(self) -> bytes:
        """The JSON text of the frame."""
        return bytes(self.text_view)

    @property
    def text_view(self) -> memoryview:
        """The JSON text of the frame, not copied."""
        return memoryview(self.wire)[{126: 4, 127: 10}.get(self.wire[1], 2) :]


def _frame(view: LiveFrame, cursor: str | None = None) -> Frame:
    text = _encode(view)
    return Frame(_header(len(text)) + text, cursor)


def _header(size_bytes: int) -> bytes:
    """Header of a final, unmasked text frame. Source: RFC 6455 section 5.2."""
    if size_bytes < 126:
        return bytes((0x81, size_bytes))
    if size_bytes < 65536:
        return b"\x81\x7e" + size_bytes.to_bytes(2, "big")
    return b"\x81\x7f" + size_bytes.to_bytes(8, "big")


def snapshot_frames(cursor: str, jobs: Iterable[Job], progress: Progress, *, more: bool) -> list[Frame]:
    """All subscribed jobs at one moment; at least one frame. `more`: there are further jobs, to be listed page by page.

    Only the last one has the cursor: whoever loses the connection before it starts again.
    """
    views = (job_view(job, progress.overlay(job)) for job in in_shares(jobs))
    *firsts, last = _chunks((view, len(_encode(view))) for view in views)
    parts = [_frame(SnapshotFrame(jobs=jobs, part=part, last=False)) for part, jobs in enumerate(firsts, 1)]
    end = SnapshotFrame(cursor=cursor, jobs=last, part=len(parts) + 1, last=True, more=more or UNSET)
    return [*parts, _frame(end, cursor)]


def _chunks(views: Iterable[tuple[JobView, int]]) -> list[list[JobView]]:
    """Views in order, in lists of at most `_SNAPSHOT_BYTES`; a list has one view at least."""
    chunks, size_bytes = [list[JobView]()], 0
    for view, view_bytes in views:
        if chunks[-1] and size_bytes + view_bytes > _SNAPSHOT_BYTES:
            chunks.append([])
            size_bytes = 0
        chunks[-1].append(view)
        size_bytes += view_bytes + 1
    return chunks


def change_frame(cursor: str, change: JobChange, progress: Progress) -> Frame:
    """A changed or deleted job."""
    if change.job is not None:
        return job_frame(cursor, change.job, progress)
    job_id, asset_id, *_ = change.audience
    return _frame(DeletedFrame(cursor=cursor, job_id=job_id, asset_id=asset_id), cursor)


def job_frame(cursor: str, job: Job, progress: Progress) -> Frame:
    """A job as it is now."""
    return _frame(JobFrame(cursor=cursor, job=job_view(job, progress.overlay(job))), cursor)


def progress_frame(change: ProgressChange) -> Frame:
    """Progress of a running step."""
    return _frame(
        ProgressFrame(
            job_id=change.job.id,
            asset_id=change.job.asset_id,
            step=change.step,
            progress=percent(change.step_progress),
            job_progress=percent(change.job_progress),
            eta_s=change.eta_s,
            parts={name: percent(share) for name, share in change.parts.items()} or UNSET,
        )
    )


def queue_frame(view: QueueFrame) -> Frame:
    """Positions of jobs in a step's queue, and whether it is paused."""
    return _frame(view)


def executor_frame(view: ExecutorView) -> Frame:
    """An executor as it is now."""
    return _frame(ExecutorFrame(executor=view))


def caption_frame(job: Job, event: StepCaptioned) -> Frame:
    """A live caption."""
    caption = event.caption
    return _frame(
        CaptionFrame(
            job_id=job.id,
            asset_id=job.asset_id,
            id=caption.id,
            start_ms=caption.start_ms,
            end_ms=caption.end_ms,
            text=caption.text,
            language=caption.language,
        )
    )


def cursor_at(log: str, offsets: Iterable[int]) -> str:
    """The live cursor for these offsets of the jobs changelog."""
    return dump(LiveCursor(log, tuple(offsets)))
