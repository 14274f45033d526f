"""Executor frames for live clients that subscribe to `executors`: each executor at first, then those that change."""

import asyncio

from msgspec.structs import replace

from streams.release import release
from web.live.client import Client
from web.live.hub import Hub
from web.live.progress import Progress
from web.live.ws_frames import Frame, executor_frame
from web.readmodel.executors import Executors
from web.views.executors import executor_views
from web.views.models import ExecutorView

TOPIC = "executors"
_EVERY_S = 1.0


class ExecutorChanges:
    """Sends changed executors once a second. Each client sees the jobs of its own owner only."""

    def __init__(self, executors: Executors, hub: Hub, progress: Progress) -> None:
        self._executors, self._hub, self._progress = executors, hub, progress
        #: Executors that were sent last, by owner of the subscription.
        self._sent: dict[str | None, dict[str, tuple[ExecutorView, Frame]]] = {}

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            await asyncio.sleep(_EVERY_S)
            self.publish()

    def publish(self) -> None:
        """Send what has changed, and everything to clients that have joined."""
        by_owner: dict[str | None, list[Client]] = {}
        for client in self._hub.subscribed(TOPIC):
            by_owner.setdefault(client.subscription.owner, []).append(client)
        self._sent = {owner: self._frames(owner) for owner in by_owner}
        for owner, clients in by_owner.items():
            for client in clients:
                client.add_executors({name: frame for name, (_, frame) in self._sent[owner].items()})

    def _frames(self, owner: str | None) -> dict[str, tuple[ExecutorView, Frame]]:
        reports, sent = self._executors.current(), self._sent.get(owner, {})
        if reports is None:
            return sent
        now = self._executors.now()
        views = executor_views(reports, now, release(), lambda job_id: self._progress.may_see(job_id, owner))
        gone = [replace(view, status="gone") for name, (view, _) in sent.items() if view.status == "silent"]
        known = {view.id: view for view in gone} | {view.id: view for view in views}
        return {name: _unchanged(sent.get(name), view) or (view, executor_frame(view)) for name, view in known.items()}


def _unchanged(sent: tuple[ExecutorView, Frame] | None, view: ExecutorView) -> tuple[ExecutorView, Frame] | None:
    """What was sent, if only the time of the report has changed since."""
    return sent if sent is not None and replace(sent[0], reported_at=view.reported_at) == view else None
