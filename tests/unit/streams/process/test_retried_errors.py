"""Lines about what aiokafka repairs by itself are held back; what lasts, and what it does not repair, is logged."""

import logging
import sys

import pytest
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    KafkaConnectionError,
    NodeNotReadyError,
    NotLeaderForPartitionError,
    TopicAuthorizationFailedError,
)

from streams.process.retried_errors import RetriedErrors

FETCHER, GROUP = "aiokafka.consumer.fetcher", "aiokafka.consumer.group_coordinator"


def line(name: str, event: str, *args: object, level: int = logging.ERROR) -> logging.LogRecord:
    return logging.getLogger(name).makeRecord(name, level, "f.py", 1, event, args, None)


def test_a_healthy_start_has_no_error_lines() -> None:
    gate = RetriedErrors(lambda: 0.0)
    lines = [
        line(FETCHER, "Failed fetch offsets from %s: %s", 1, NotLeaderForPartitionError()),
        line(GROUP, "Group Coordinator Request failed: %s", GroupCoordinatorNotAvailableError()),
        line(GROUP, "Marking the coordinator dead (node %s)for group %s.", 1, "g", level=logging.WARNING),
        line(GROUP, "Heartbeat session expired - marking coordinator dead"),
        line("aiokafka.cluster", "Topic %s not found in cluster metadata", "media.events"),
    ]
    assert not any(gate.filter(record) for record in lines)


def test_a_lost_broker_has_no_lines_but_the_one_of_its_connection() -> None:
    now = [0.0]
    gate = RetriedErrors(lambda: now[0])
    for now[0] in map(float, range(100)):
        assert not gate.filter(line("aiokafka", "Unable connect to node with id %s: %s", 1, OSError("refused")))
        assert not gate.filter(line(FETCHER, "Failed fetch messages from %s: %s", 1, NodeNotReadyError()))


def test_an_error_that_lasts_is_one_warning_a_minute() -> None:
    now = [0.0]
    gate = RetriedErrors(lambda: now[0])
    passed = []
    for now[0] in map(float, range(100)):
        record = line(FETCHER, "Failed fetch offsets from %s: %s", 1, NotLeaderForPartitionError())
        if gate.filter(record):
            passed.append((now[0], record.levelname, record.getMessage(), "NotLeader" in vars(record)["error"]))
    event = "requests to the broker keep failing, retrying"
    assert passed == [(10.0, "WARNING", event, True), (70.0, "WARNING", event, True)]


def test_what_no_retry_repairs_is_logged_at_once() -> None:
    gate = RetriedErrors(lambda: 0.0)
    assert gate.filter(line(GROUP, "OffsetCommit failed: %s", TopicAuthorizationFailedError()))
    assert gate.filter(line("agents.control.main", "a step failed: %s", NodeNotReadyError()))


@pytest.mark.parametrize(
    "error, level, has_trace",
    [(KafkaConnectionError("no broker"), "WARNING", False), (ValueError("a bug"), "ERROR", True)],
)
def test_a_worker_that_ends_for_the_lack_of_a_broker_has_no_traceback(
    error: Exception, level: str, has_trace: bool
) -> None:
    record = line("faust.transport.drivers.aiokafka", "[^--AIOKafkaConsumerThread]: Crashed reason=%r", error)
    try:
        raise error
    except (KafkaConnectionError, ValueError):
        record.exc_info = sys.exc_info()
    assert RetriedErrors(lambda: 0.0).filter(record)
    assert (record.levelname, bool(record.exc_info)) == (level, has_trace)
