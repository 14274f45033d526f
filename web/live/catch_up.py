"""The first frames of a live client: a snapshot, or all missed changes. The hub's changes follow without a gap."""

import sqlite3
from collections.abc import AsyncIterator

from streams.settings.interface import Web
from web.http.cursors import LiveCursor
from web.live.client import Client
from web.live.hub import Hub
from web.live.progress import Progress
from web.live.snapshots import Snapshot, Snapshots
from web.live.ws_frames import Frame, change_frame, cursor_at, snapshot_frames
from web.readmodel import live_queries
from web.readmodel.position import Position
from web.readmodel.read_model import ReadModel
from web.readmodel.subscriptions import Subscription

_CHUNK = 500


class CatchUp:
    """First frames of live clients: a snapshot, or every change since a cursor."""

    def __init__(self, model: ReadModel, position: Position, progress: Progress, hub: Hub, settings: Web) -> None:
        self._model, self._position, self._progress, self._settings = model, position, progress, settings
        self._snapshots = Snapshots(lambda subscription: model.read(self._snapshot, subscription), lambda: hub.version)

    async def frames(self, client: Client, cursor: LiveCursor | None) -> AsyncIterator[Frame]:
        """Frames for a client that has joined the hub already: later changes wait in its queue.

        Without a cursor, or when the history does not reach back to it, a snapshot.
        """
        seq = None if cursor is None else await self._resume_seq(cursor)
        if cursor is None or seq is None:
            snapshot = await self._snapshots.get(client.subscription)
            client.skip_to(snapshot.seq)
            for frame in snapshot.frames:
                yield frame
            return
        async for frame in self._missed(client, list(cursor.offsets), seq):
            yield frame

    async def _resume_seq(self, cursor: LiveCursor) -> int | None:
        """Sequence number in the history to resume from. Waits for a cursor of a replica that is ahead of this one."""
        position = self._position
        if cursor.log != position.log or len(cursor.offsets) != len(position.offsets):
            return None
        if not await position.until(lambda: position.has_reached(cursor.offsets), self._settings.after_timeout_s):
            return None
        return await self._model.read(live_queries.resume_seq, cursor.offsets)

    async def _missed(self, client: Client, offsets: list[int], seq: int) -> AsyncIterator[Frame]:
        log = self._position.log or ""
        full = True
        while full:
            changes = await self._model.read(live_queries.changes_after, seq, _CHUNK)
            full = len(changes) == _CHUNK
            seq = changes[-1].seq if changes else seq
            client.skip_to(seq)
            for change in changes:
                if change.offset < offsets[change.partition]:
                    continue
                offsets[change.partition] = change.offset + 1
                if client.subscription.covers(change.audience):
                    yield change_frame(cursor_at(log, offsets), change, self._progress)

    def _snapshot(self, db: sqlite3.Connection, subscription: Subscription) -> Snapshot:
        most = self._settings.live_snapshot_jobs
        moment = live_queries.moment(db, len(self._position.offsets))
        jobs = live_queries.snapshot(db, subscription, most + 1)
        cursor = cursor_at(self._position.log or "", moment.offsets)
        return Snapshot(snapshot_frames(cursor, jobs[:most], self._progress, more=len(jobs) > most), moment.seq)
