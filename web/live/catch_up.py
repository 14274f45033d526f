"""What a live client is told first: everything, or all that it missed. The hub's changes follow on exactly."""

import sqlite3
from collections.abc import AsyncIterator
from typing import NamedTuple

from web.http.cursors import LiveCursor
from web.live.hub import Client
from web.live.ws_frames import Frame, change_frame, cursor_at, snapshot_frame
from web.readmodel import queries
from web.readmodel.subscriptions import Subscription
from web.services import Services

_CHUNK = 500


class Snapshot(NamedTuple):
    """Everything at one moment, and the number of the last change in it."""

    frame: Frame
    seq: int


async def opening(parts: Services, client: Client, cursor: LiveCursor | None) -> AsyncIterator[Frame]:
    """The first frames of a client that has joined the hub already: what comes meanwhile waits in its queue.

    With a cursor every change since then; a snapshot without one, or when the history does not reach back so far.
    """
    seq = None if cursor is None else await _resume_seq(parts, cursor)
    if cursor is None or seq is None:
        snapshot = await parts.model.read(_snapshot, parts, client.wanted)
        client.skip_to(snapshot.seq)
        yield snapshot.frame
        return
    async for frame in _missed(parts, client, list(cursor.offsets), seq):
        yield frame


async def _resume_seq(parts: Services, cursor: LiveCursor) -> int | None:
    """Where in the history to begin. A cursor from a replica that is ahead of this one is waited for."""
    position = parts.position
    if cursor.log != position.log or len(cursor.offsets) != len(position.offsets):
        return None
    if not await position.until(lambda: position.has_reached(cursor.offsets), parts.settings.web.after_timeout_s):
        return None
    return await parts.model.read(queries.resume_seq, cursor.offsets)


async def _missed(parts: Services, client: Client, offsets: list[int], seq: int) -> AsyncIterator[Frame]:
    log = parts.position.log or ""
    full = True
    while full:
        changes = await parts.model.read(queries.changes_after, seq, _CHUNK)
        full = len(changes) == _CHUNK
        seq = changes[-1].seq if changes else seq
        client.skip_to(seq)
        for change in changes:
            if change.offset < offsets[change.partition]:
                continue
            offsets[change.partition] = change.offset + 1
            if client.wanted.covers(change.audience):
                yield change_frame(cursor_at(log, offsets), change, parts.progress)


def _snapshot(db: sqlite3.Connection, parts: Services, wanted: Subscription) -> Snapshot:
    most = parts.settings.web.live_snapshot_jobs
    moment = queries.moment(db, len(parts.position.offsets))
    jobs = queries.snapshot(db, wanted, most + 1)
    cursor = cursor_at(parts.position.log or "", moment.offsets)
    return Snapshot(snapshot_frame(cursor, jobs[:most], parts.progress, more=len(jobs) > most), moment.seq)
