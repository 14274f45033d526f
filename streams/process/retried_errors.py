"""Holds back log lines of errors that aiokafka repairs by a retry, unless they last, and tracebacks of a lost broker.

A healthy start has some: a topic's leader or a group's coordinator is not chosen yet. A lost broker has dozens a
second, and streams/kafka/patch_connection.py logs that in one line.
"""

import logging
import time
from collections.abc import Callable
from typing import Any

#: Seconds after which errors that go on are logged, and between two such lines.
_PATIENCE_S, _AGAIN_S = 10.0, 60.0
#: Seconds without an error after which the next is a new series.
_PAUSE_S = 5.0
#: Every line of these is about a connection, or about topics that the cluster does not know yet.
_CONNECTION, _METADATA = "aiokafka", "aiokafka.cluster"
_GROUP = "aiokafka.consumer.group_coordinator"
#: Faust, and the services that it is made of.
_WORKER = frozenset({"faust", "mode"})
#: Errors for the lack of a connection, by name: importing aiokafka takes longer than most commands.
_UNREACHABLE = frozenset({"KafkaConnectionError", "NodeNotReadyError", "StaleMetadata"})


class RetriedErrors(logging.Filter):
    """A filter that drops lines of aiokafka about retried errors, and lets one through where they last."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._began_at = self._latest_at = self._logged_at = float("-inf")

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line may pass."""
        if record.exc_info and _name(record.exc_info[1]) in _UNREACHABLE and _library(record) in _WORKER:
            record.exc_info = None  # the process ends for the lack of a broker, and says so
            record.levelno, record.levelname = logging.WARNING, "WARNING"
        if record.levelno < logging.WARNING or record.exc_info or _library(record) != _CONNECTION:
            return True
        if _is_unreachable(record):
            return False
        return not _is_retried(record) or self._lasts(record)

    def _lasts(self, record: logging.LogRecord) -> bool:
        """Whether errors have lasted for long; the record is then replaced by a summary."""
        now = self._clock()
        if now - self._latest_at > _PAUSE_S:
            self._began_at = now
        self._latest_at = now
        if now - self._began_at < _PATIENCE_S or now - self._logged_at < _AGAIN_S:
            return False
        self._logged_at = now
        vars(record).update(error=record.getMessage(), for_s=now - self._began_at)
        record.msg, record.args = "requests to the broker keep failing, retrying", ()
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        return True


def _is_unreachable(record: logging.LogRecord) -> bool:
    """Whether the line is about a connection."""
    return record.name == _CONNECTION or any(_name(arg) in _UNREACHABLE or _is_os_error(arg) for arg in _args(record))


def _is_retried(record: logging.LogRecord) -> bool:
    """Whether aiokafka tries again: by the error in the line, or because it is about a group that is rebalancing."""
    regroups = record.name == _GROUP and (record.levelno == logging.WARNING or not record.args)
    return regroups or record.name == _METADATA or any(getattr(arg, "retriable", False) for arg in _args(record))


def _is_os_error(arg: Any) -> bool:
    return isinstance(arg, OSError)  # TimeoutError is one


def _library(record: logging.LogRecord) -> str:
    return record.name.partition(".")[0]


def _name(arg: Any) -> str:
    return arg.__name__ if isinstance(arg, type) else type(arg).__name__


def _args(record: logging.LogRecord) -> tuple[Any, ...]:
    return record.args if isinstance(record.args, tuple) else ()
