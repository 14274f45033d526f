"""What goes out on a live connection: each frame encoded once, whoever gets it."""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec
from msgspec import UNSET

from schemas.jobs import Job
from web.apply import JobChange
from web.cursors import LiveCursor, dump
from web.progress import Moved, Progress
from web.shapes import DeletedFrame, JobFrame, ProgressFrame, SnapshotFrame
from web.views import job_view, percent

_encode = msgspec.json.Encoder().encode


class Frame(NamedTuple):
    """One message to a client."""

    #: JSON.
    text: bytes
    #: Where a client that has it may resume; None for what is not a state change.
    cursor: str | None = None


def snapshot_frame(cursor: str, jobs: Iterable[Job], progress: Progress, *, more: bool) -> Frame:
    """Everything at one moment. `more`: there are further jobs, to be had page by page."""
    shown = [job_view(job, progress.live(job.id, job.run)) for job in jobs]
    return Frame(_encode(SnapshotFrame(cursor=cursor, jobs=shown, more=more or UNSET)), cursor)


def change_frame(cursor: str, change: JobChange, progress: Progress) -> Frame:
    """A job as it is now, or that it is gone."""
    if change.job is None:
        gone = DeletedFrame(cursor=cursor, job_id=change.job_id, asset_id=change.asset_id)
        return Frame(_encode(gone), cursor)
    shown = job_view(change.job, progress.live(change.job.id, change.job.run))
    return Frame(_encode(JobFrame(cursor=cursor, job=shown)), cursor)


def progress_frame(moved: Moved) -> Frame:
    """How far a running step is."""
    return Frame(
        _encode(
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
    )


def cursor_at(log: str, offsets: Iterable[int]) -> str:
    """The live cursor of a place in the jobs changelog."""
    return dump(LiveCursor(log, tuple(offsets)))
