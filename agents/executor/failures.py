"""Errors as data: the one place where the exception of an attempt becomes the record that a user reads."""

import logging

from agents.executor.attempts import Attempt
from processors.errors import Fault, OutOfCapacity, OutputInvalid, ProcessingError, SourceUnavailable
from processors.storage.errors import StoreError
from processors.storage.local_files import DISK_FULL, UnexpectedFile
from schemas.base import ErrorRecord

log = logging.getLogger(__name__)


def error_record(attempt: Attempt, error: BaseException) -> ErrorRecord:
    """The record of any exception; logs those that a person must look at."""
    known = _known(error)
    if known is None:
        return _internal_error(attempt, error)
    if isinstance(known, Fault):
        _log_fault(attempt, known)
    return known.record()


def _known(error: BaseException) -> ProcessingError | None:
    match error:
        case ProcessingError():
            return error
        case OSError(errno=number) if number in DISK_FULL:
            return OutOfCapacity("The machine ran out of disk space; the step will be tried again.", detail=str(error))
        case MemoryError():
            return OutOfCapacity("The machine ran out of memory; the step will be tried again.")
        case UnexpectedFile():
            return OutputInvalid("A tool wrote a file that cannot be published.", detail=str(error))
        case StoreError():
            return SourceUnavailable("The store cannot be reached at the moment.", detail=str(error))
    return None


def _log_fault(attempt: Attempt, error: Fault) -> None:
    """An error unless the next try may succeed."""
    level = logging.WARNING if error.retriable else logging.ERROR
    why = {"reason": error.finding, "detail": error.detail}
    text = "output failed validation" if isinstance(error, OutputInvalid) else "tool misbehaved"
    log.log(level, text, extra=attempt.identity.log_fields | why)


def _internal_error(attempt: Attempt, error: BaseException) -> ErrorRecord:
    """A bug: its traceback goes to the log, not to the user."""
    log.error("attempt ended by an internal error", exc_info=error, extra=attempt.identity.log_fields)
    return ErrorRecord(
        code="internal-error",
        message="An internal error interrupted this step; it will be tried again.",
        retriable=True,
        detail=type(error).__name__,
    )
