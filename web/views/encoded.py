"""Views of jobs in JSON: those of completed jobs are kept, for they never change and lists are read again and again."""

import hashlib
import threading
from collections.abc import Callable

import msgspec

from schemas.jobs import STEP_PASSED, Job
from web.readmodel.changelog import job_rows
from web.views.models import JobView

#: Views in memory: some 15,000 jobs.
_MOST_BYTES = 32 * 1024 * 1024
#: A key and the table's entry, about.
_ENTRY_BYTES = 200

#: Renders a job with its live progress.
View = Callable[[Job], JobView]


class EncodedViews:
    """Views of jobs in JSON, by the jobs' rows. Threads may share it. Bounded: those read least recently are dropped.

    A view that follows from the row alone is kept: live progress changes nothing in a job whose steps have all passed.
    """

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        #: Those used since the last change of generations, and those used in the generation before.
        self._young: dict[bytes, msgspec.Raw] = {}
        self._old: dict[bytes, msgspec.Raw] = {}
        self._young_bytes = 0

    def of(self, row: bytes, view: View) -> msgspec.Raw:
        """The view of a stored row, rendered with `view` if it is not kept."""
        key = hashlib.blake2b(row, digest_size=16).digest()
        found = self._young.get(key)
        if found is not None:
            return found
        found = self._old.get(key)
        if found is None:
            job = job_rows.decode(row)
            found = msgspec.Raw(msgspec.json.encode(view(job)))
            if not _is_settled(job):
                return found
        self._keep(key, found)
        return found

    def _keep(self, key: bytes, view: msgspec.Raw) -> None:
        with self._lock:
            if self._young_bytes > self._most_bytes // 2:
                self._old, self._young, self._young_bytes = self._young, {}, 0
            if key not in self._young:
                self._young[key] = view
                self._young_bytes += len(memoryview(view)) + _ENTRY_BYTES


def _is_settled(job: Job) -> bool:
    return job.status == "completed" and all(step.status in STEP_PASSED for step in job.steps)
