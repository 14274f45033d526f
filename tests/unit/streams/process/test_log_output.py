"""A log whose reader is stuck, slow or gone holds nobody up, and tells what it lacks.

Reports: moby/moby#31540 and #22502, containerd/containerd#12462 and #9342, docker/compose#6018, aptible/supercronic#36,
aws/shim-loggers-for-containerd#253, FakeFishGames/Barotrauma#544, yandex/yandex-tank#110.
"""

import io
import os
import pty
import re
import threading
import time
import tty
from collections.abc import Callable, Iterator

import pytest

from streams.process.log_output import LogOutput

LINES = 20_000


def lost(count: int) -> bytes:
    return b"lost %d" % count


def line(number: int) -> bytes:
    return b"line %05d %b\n" % (number, b"x" * (number % 300))


@pytest.fixture(params=["pipe", "non-blocking pipe", "terminal"])
def ends(request: pytest.FixtureRequest) -> Iterator[tuple[int, int]]:
    """Where a reader reads, and where the log is written."""
    reads, writes = pty.openpty() if request.param == "terminal" else os.pipe()
    if request.param == "terminal":
        tty.setraw(writes)
    os.set_blocking(writes, request.param != "non-blocking pipe")
    yield reads, writes
    os.close(reads)
    os.close(writes)


def read_all(reads: int) -> Callable[[], bytes]:
    """Read from now on, in a thread; the result of the function it returns, once nothing came for a while."""
    got, last = bytearray(), [time.monotonic()]

    def read() -> None:
        while chunk := os.read(reads, 65_536):
            got.extend(chunk)
            last[0] = time.monotonic()
            if got.endswith(b"end\n"):
                return

    thread = threading.Thread(target=read, daemon=True)
    thread.start()

    def result() -> bytes:
        thread.join(30)
        return bytes(got)

    return result


def test_nobody_reads_and_everything_goes_on_until_somebody_does(ends: tuple[int, int]) -> None:
    reads, writes = ends
    with os.fdopen(os.dup(writes), "wb", buffering=0) as out:
        output = LogOutput(out, lost)
        for number in range(LINES):
            output.write(line(number))
        result = read_all(reads)
        deadline = time.monotonic() + 30
        while not output._is_writable(0.1):
            assert time.monotonic() < deadline
        output.write(b"after\n")
        output.write(b"end\n")
        seen = result().decode().splitlines()
        output.close()
    [said] = [int(found[1]) for found in map(re.compile(r"lost (\d+)$").match, seen) if found]
    whole = [text for text in seen if text.encode() + b"\n" == line(len_of(text))]
    assert len(whole) + said == LINES
    assert len(whole) == len(set(whole)) > 10
    assert seen[-2:] == ["after", "end"]
    assert len(seen) - len(whole) - 3 <= 1, "one line may be cut"


def len_of(text: str) -> int:
    found = re.match(r"line (\d{5}) x*$", text)
    return int(found[1]) if found else 0


def test_a_reader_that_reads_gets_everything(ends: tuple[int, int]) -> None:
    reads, writes = ends
    result = read_all(reads)
    with os.fdopen(os.dup(writes), "wb", buffering=0) as out:
        output = LogOutput(out, lost, clock=lambda: 0.0)  # with all the patience that it takes
        for number in range(LINES // 10):
            output.write(line(number))
        output.write(b"x" * 300_000 + b"\nend\n")
        seen = result()
        output.close()
    assert seen == b"".join(map(line, range(LINES // 10))) + b"x" * 300_000 + b"\nend\n"


def test_a_reader_that_is_gone_is_no_error() -> None:
    reads, writes = os.pipe()
    os.close(reads)
    with os.fdopen(writes, "wb", buffering=0) as out:
        LogOutput(out, lost).write(b"unheard\n")


def test_what_is_kept_in_this_process_is_written_as_it_is() -> None:
    kept = io.BytesIO()
    LogOutput(kept, lost).write(b"a\nb\n")
    assert kept.getvalue() == b"a\nb\n"
