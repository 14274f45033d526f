"""Every class of hang ends a real process with its code and a line that says what hung."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

import pytest

from streams.broker.process import Broker
from streams.process.exit import EX_HUNG
from tests.conftest import eventually


class Hang(NamedTuple):
    """A hang that is put into a process, and what must come of it."""

    name: str
    role: str
    #: The setting that bounds it.
    limit: str
    line: str


HANGS = [
    Hang("loop", "control", "LOOP_S", "event loop blocked"),
    Hang("join", "control", "REBALANCE_S", "rebalance does not end"),
    Hang("rebalance", "executor", "REBALANCE_S", "rebalance does not end"),
    Hang("recovery", "control", "RECOVERY_S", "table recovery makes no progress"),
    Hang("take", "control", "LAG_S", "records waiting, none processed"),
    Hang("commit", "control", "LAG_S", "records processed, none committed"),
]


@pytest.fixture(scope="module")
def logs(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[int | None, str]]]:
    """Exit code and log of a process with each hang; all at once, for most of the time is waiting."""
    folder = tmp_path_factory.mktemp("hangs")
    processes = {hang.name: start(hang, broker, folder) for hang in HANGS}
    try:
        yield {name: (process.wait(120), (folder / f"{name}.log").read_text()) for name, process in processes.items()}
    finally:
        for process in processes.values():
            process.kill()
            process.wait()


def start(hang: Hang, broker: Broker, folder: Path) -> "subprocess.Popen[bytes]":
    prefix = f"hang-{hang.name}."
    own = {
        "KINOLOG_DATA_DIR": str(folder / hang.name),
        "KINOLOG_KAFKA__BOOTSTRAP": broker.bootstrap,
        "KINOLOG_TOPIC_PREFIX": prefix,
        "KINOLOG_PARTITIONS": "1",
        "KINOLOG_EXECUTOR__LANES": f'{{"{prefix}": ["noop"]}}',
        f"KINOLOG_WATCHDOG__{hang.limit}": "2",
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("KINOLOG_")}
    command = [sys.executable, "-m", "tests.integration.streams.process.hanging", hang.name, hang.role]
    log: IO[bytes]
    with (folder / f"{hang.name}.log").open("wb") as log:
        return subprocess.Popen(command, env={**inherited, **own}, stdout=log, stderr=log)


@pytest.mark.parametrize("hang", HANGS, ids=lambda hang: hang.name)
def test_a_process_that_hangs_ends_and_says_why(hang: Hang, logs: dict[str, tuple[int | None, str]]) -> None:
    code, log = logs[hang.name]
    assert code == EX_HUNG, log[-3000:]
    assert f"process hangs: {hang.line}" in log
    assert "most recent call first" in log  # where each thread stood


async def test_a_process_that_never_gets_to_start_still_ends_when_it_is_asked_to(
    broker: Broker, tmp_path: Path
) -> None:
    process = start(Hang("join", "executor", "LAG_S", ""), broker, tmp_path)
    try:
        await eventually(lambda: _catches(process.pid, signal.SIGTERM), 60)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, (tmp_path / "join.log").read_text()[-3000:]
    finally:
        process.kill()
        process.wait()


def _catches(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal. Source: proc(5), status, SigCgt."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught, 16) >> (number - 1) & 1)
