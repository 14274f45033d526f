"""What people and machines can read in the log."""

import asyncio
import json
import logging
import os
import sys
import threading
from collections.abc import Iterator

import pytest
from aiokafka.errors import KafkaConnectionError

from streams.process.logs import FloodGate, JsonLines, TextLines, configure
from streams.settings import Settings


def record(event: str = "step completed", name: str = "agents.control.main", **extra: object) -> logging.LogRecord:
    return logging.getLogger(name).makeRecord(name, logging.INFO, "f.py", 1, event, (), None, extra=extra)


def test_a_text_line_shows_process_level_event_and_fields_on_one_line() -> None:
    line = TextLines("control").format(record(step="transcode", elapsed_s=1.25, reason="no audio\nat all"))
    assert line[9:] == r"control  INFO    step completed step=transcode elapsed_s=1.25 reason='no audio\nat all'"


def test_a_json_line_carries_the_same_fields_typed() -> None:
    row = json.loads(JsonLines("web").format(record(step="probe", attempt=2)))
    assert (row["process"], row["level"], row["event"]) == ("web", "INFO", "step completed")
    assert (row["step"], row["attempt"]) == ("probe", 2)


def test_an_extra_field_cannot_hide_the_event() -> None:
    assert json.loads(JsonLines("web").format(record(event="real", level="fake")))["level"] == "INFO"


def test_a_field_that_is_no_json_never_loses_the_line() -> None:
    assert json.loads(JsonLines("web").format(record(name_of="\udc80", job=object())))["event"] == "step completed"


def test_a_flood_of_one_wording_is_cut_and_counted() -> None:
    now = [0.0]
    gate = FloodGate(("aiokafka",), burst=3, window_s=10, clock=lambda: now[0])
    passed = [gate.filter(record("Unable to connect to node %s", "aiokafka.client")) for _ in range(1000)]
    assert sum(passed) == 3
    now[0] = 10.0
    later = record("Unable to connect to node %s", "aiokafka.client")
    assert gate.filter(later)
    assert TextLines("web").format(later).endswith("repeated=997")


def test_our_own_lines_are_never_held_back() -> None:
    gate = FloodGate(("aiokafka",), burst=1)
    assert all(gate.filter(record("step completed", "agents.control.main")) for _ in range(50))


@pytest.fixture
def root_logging() -> Iterator[None]:
    root = logging.getLogger()
    kept, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = kept, level
    logging.captureWarnings(False)
    sys.excepthook, threading.excepthook = sys.__excepthook__, threading.__excepthook__


@pytest.mark.usefixtures("root_logging")
def test_library_chatter_is_quiet_and_a_traceback_stays_with_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure(Settings(log_format="json"), "control")
    logging.getLogger("faust.worker").info("chatter")
    try:
        raise ValueError("odd")
    except ValueError:
        logging.getLogger("agents.control.main").exception("record dead-lettered", extra={"offset": 7})
    (line,) = capsys.readouterr().err.splitlines()
    row = json.loads(line)
    assert row["offset"] == 7 and "ValueError: odd" in row["trace"]


@pytest.mark.usefixtures("root_logging")
def test_a_thread_that_dies_is_told_and_one_that_is_torn_down_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    configure(Settings(), "control")

    def die() -> None:
        raise ValueError("lost")

    def end() -> None:
        raise asyncio.CancelledError

    for work in (die, end):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    lines = capsys.readouterr().err
    assert lines.count("thread ended by an unexpected error") == 1
    assert "ValueError: lost" in lines
    assert "CancelledError" not in lines


@pytest.mark.usefixtures("root_logging")
def test_a_request_that_nobody_waited_for_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure(Settings(log_format="json"), "control")
    for error in (KafkaConnectionError("closed"), ValueError("ours")):
        logging.getLogger("asyncio").error("Task exception was never retrieved", exc_info=error)
    abandoned, bug = map(json.loads, capsys.readouterr().err.splitlines())
    assert (abandoned["level"], abandoned["error"]) == ("WARNING", "KafkaConnectionError('closed')")
    assert "trace" not in abandoned and "trace" in bug


@pytest.mark.usefixtures("root_logging")
def test_a_process_whose_stderr_is_closed_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    configure(Settings(), "control")
    logging.getLogger("agents.control.main").warning("unheard")
    logging.getLogger().handlers[0].close()


@pytest.mark.usefixtures("root_logging")
def test_lost_lines_are_counted_in_the_format_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    reads, writes = os.pipe()
    with os.fdopen(reads, "rb", buffering=0) as reader, os.fdopen(writes, "w") as stuck:
        monkeypatch.setattr(sys, "stderr", stuck)
        configure(Settings(log_format="json"), "web")
        for _ in range(1000):
            logging.getLogger("web.server").warning("x" * 1000)
        before = reader.read(1_000_000)
        logging.getLogger("web.server").warning("heard")
        after = [json.loads(line) for line in reader.read(1_000_000).splitlines()[-2:]]
        logging.getLogger().handlers[0].close()
    assert [row["event"] for row in after] == ["log lines lost: nobody read them", "heard"]
    assert (after[0]["process"], after[0]["level"]) == ("web", "WARNING")
    assert before.count(b"\n") + after[0]["lines"] == 1000
