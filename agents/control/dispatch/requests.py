"""What a dispatcher sends: requests and pokes to the partitions of executors, and the ends of lost leases."""

from agents.control.dispatch.open_jobs import OpenJobs
from schemas.executors import PokeExecutor
from schemas.jobs import Job, Step
from schemas.step_events import LeaseExpired
from streams.kafka.envelope import structured
from streams.kafka.partitioner import partition_of
from streams.kafka.topics import names
from streams.settings import Settings
from streams.worker.app import KinologApp
from tables.dispatch.rows import is_ready
from tables.dispatch.values import AttemptKey, Give, Poke
from tables.effects import event_id, step_request

_SOURCE = "kinolog/control"


class DispatchSender:
    """Sends by the app's outbox: a failed delivery ends the process, and the next dispatcher reads the rows."""

    def __init__(self, app: KinologApp, settings: Settings, jobs: OpenJobs) -> None:
        self._app, self._jobs = app, jobs
        self._topics, self._partitions = names(settings), settings.partitions

    def request(self, give: Give, dispatcher: int) -> bool:
        """Send the request for an attempt. Returns whether there is such an attempt."""
        found = self._find((give.job_id, give.run, give.step, give.attempt))
        if found is None or not is_ready(found[1]):
            return False
        request = step_request(*found, to=give.session_id, dispatcher=dispatcher, turn=give.turn)
        event = structured(
            request,
            event_id=event_id(request),
            source=_SOURCE,
            subject=request.asset_id,
            correlation_id=request.job_id,
        )
        self._app.outbox.put(self._topics.step_requests, give.address, event)
        return True

    def poke(self, poke: Poke) -> None:
        """Poke an executor."""
        message = PokeExecutor(to=poke.session_id, poke=poke.number)
        event = structured(
            message, event_id=f"{poke.session_id}/{poke.number}/poke", source=_SOURCE, subject=poke.session_id
        )
        self._app.outbox.put(self._topics.step_requests, poke.address, event)

    def expire(self, key: AttemptKey, now: float) -> None:
        """End the lease of an attempt whose executor is known to be gone."""
        found = self._find(key)
        if found is None or found[1].status != "active" or found[1].lease is None:
            return
        job, step = found
        event = LeaseExpired(
            job_id=job.id,
            asset_id=job.asset_id,
            run=step.run,
            step=step.spec.name,
            attempt=step.attempt,
            lease_id=found[1].lease.id,
            decided_at=now,
        )
        about = f"{job.id}/{step.run}/{step.spec.name}/{step.attempt}/{event.TYPE}"
        encoded = structured(event, event_id=about, source=_SOURCE, subject=job.asset_id, correlation_id=job.id)
        self._app.outbox.put(self._topics.step_events, partition_of(job.asset_id, self._partitions), encoded)

    def _find(self, key: AttemptKey) -> tuple[Job, Step] | None:
        job = self._jobs.get(key[0])
        for step in job.steps if job is not None else ():
            if (step.run, step.spec.name, step.attempt) == key[1:]:
                assert job is not None
                return job, step
        return None
