"""Reports of records on media.tokens and media.calls that do not count: to the log, the audit and the metrics."""

import logging
import time

from schemas.audit import AuditRecorded
from web.auth.access_rows import RefusedRecord
from web.auth.audit import UNPLACED, Audit
from web.http.token_bucket import Buckets

log = logging.getLogger("kinolog.web")

#: Reports, burst and per second: a flood of records must flood neither log nor audit.
_BURST, _PER_S = 20.0, 0.2


class RefusedRecords:
    """Counts and reports the refused records of one topic."""

    def __init__(self, topic: str, audit: Audit) -> None:
        self._topic, self._audit = topic, audit
        self._buckets = Buckets()
        #: Refused records since the start of this process.
        self.count = 0
        #: Offset behind the last of them: the topic is read again after every reconnection.
        self._next_offset = 0

    def add(self, record: RefusedRecord) -> None:
        """Count a record, and report it unless there were too many. One that was counted before changes nothing."""
        if record.offset < self._next_offset:
            return
        self.count, self._next_offset = self.count + 1, record.offset + 1
        if self._buckets.wait_s("", time.monotonic(), per_s=_PER_S, burst=_BURST):
            return
        fields = {"topic": self._topic, "count": self.count, **record._asdict()}
        log.error("a record was refused: somebody without the signing secret writes to the log", extra=fields)
        self._audit.record(
            AuditRecorded(
                **UNPLACED,
                at=time.time(),
                action="refused-record",
                subject=f"{self._topic}/{record.offset}/{record.row_id[:200]}",
                result="refused",
                code=record.reason,
            )
        )
