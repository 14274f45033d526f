"""What goes out on a live connection: each frame encoded once, whoever gets it."""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec
from msgspec import UNSET

from schemas.jobs import Job
from schemas.step_events import StepCaptioned
from web.http.cursors import LiveCursor, dump
from web.live.progress import Moved, Progress
from web.readmodel.projector import JobChange
from web.views.build import job_view, percent
from web.views.models import CaptionFrame, DeletedFrame, JobFrame, LiveFrame, ProgressFrame, QueueFrame, SnapshotFrame

_encode = msgspec.json.Encoder().encode


class Frame(NamedTuple):
    """One message to a client."""

    #: As it travels over a websocket: the same bytes for everybody.
    wire: bytes
    #: Where a client that has it may resume; None for what is not a state change.
    cursor: str | None = None

    @property
    def text(self) -> bytes:
        """JSON."""
        return self.wire[{126: 4, 127: 10}.get(self.wire[1], 2) :]


def _frame(shown: LiveFrame, cursor: str | None = None) -> Frame:
    text = _encode(shown)
    return Frame(_header(len(text)) + text, cursor)


def _header(size_bytes: int) -> bytes:
    """Of a whole text frame, unmasked. Source: RFC 6455 section 5.2."""
    if size_bytes < 126:
        return bytes((0x81, size_bytes))
    if size_bytes < 65536:
        return b"\x81\x7e" + size_bytes.to_bytes(2, "big")
    return b"\x81\x7f" + size_bytes.to_bytes(8, "big")


def snapshot_frame(cursor: str, jobs: Iterable[Job], progress: Progress, *, more: bool) -> Frame:
    """Everything at one moment. `more`: there are further jobs, to be had page by page."""
    shown = [job_view(job, beside=progress.beside(job)) for job in jobs]
    return _frame(SnapshotFrame(cursor=cursor, jobs=shown, more=more or UNSET), cursor)


def change_frame(cursor: str, change: JobChange, progress: Progress) -> Frame:
    """A changed or deleted job."""
    if change.job is not None:
        return job_frame(cursor, change.job, progress)
    job_id, asset_id, *_ = change.audience
    return _frame(DeletedFrame(cursor=cursor, job_id=job_id, asset_id=asset_id), cursor)


def job_frame(cursor: str, job: Job, progress: Progress) -> Frame:
    """A job as it is now."""
    return _frame(JobFrame(cursor=cursor, job=job_view(job, beside=progress.beside(job))), cursor)


def progress_frame(moved: Moved) -> Frame:
    """How far a running step is."""
    return _frame(
        ProgressFrame(
            job_id=moved.job.id,
            asset_id=moved.job.asset_id,
            step=moved.step,
            progress=percent(moved.step_progress),
            job_progress=percent(moved.job_progress),
            eta_s=moved.eta_s,
            parts={name: percent(share) for name, share in moved.parts.items()} or UNSET,
        )
    )


def queue_frame(step: str, positions: dict[str, int], *, paused: bool) -> Frame:
    """Positions of jobs in a step's queue, and whether it is paused."""
    return _frame(QueueFrame(step=step, paused=paused, positions=positions))


def caption_frame(job: Job, said: StepCaptioned) -> Frame:
    """What was just heard in the speech of a job's asset."""
    heard = said.caption
    return _frame(
        CaptionFrame(
            job_id=job.id,
            asset_id=job.asset_id,
            id=heard.id,
            start_ms=heard.start_ms,
            end_ms=heard.end_ms,
            text=heard.text,
            language=heard.language,
        )
    )


def cursor_at(log: str, offsets: Iterable[int]) -> str:
    """The live cursor of a place in the jobs changelog."""
    return dump(LiveCursor(log, tuple(offsets)))
