"""LogOutput: a log stream that never waits long for its reader.

A terminal that is paused, a pager, a container's log driver that is stuck: a write to them blocks, and with it the
event loop, and so everything. Lines that nobody reads are dropped, and counted once somebody reads again.
"""

import os
import select
import time
from collections.abc import Callable
from typing import BinaryIO

#: A pipe that poll(2) calls writable takes so many bytes at once. Source: pipe(7).
_CHUNK_BYTES = select.PIPE_BUF
#: A reader that is slow for a moment is waited for so long, within each period: 1 % of the time.
_PATIENCE_S, _PERIOD_S = 0.1, 10.0


class LogOutput:
    """Writes whole lines to `out`. Nothing is raised when its reader is gone.

    `lost`: the line that says how many lines were dropped.
    """

    def __init__(
        self, out: BinaryIO, lost: Callable[[int], bytes], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._out, self._lost_line, self._clock = out, lost, clock
        self._fd = _descriptor(out)
        #: Of a terminal, to be closed.
        self._opened = _opened_terminal(self._fd)
        self._poll = select.poll()
        if self._fd is not None:
            self._fd = self._opened or self._fd
            self._poll.register(self._fd, select.POLLOUT)
        self._lost = 0
        #: Whether the reader has the beginning of a line.
        self._is_cut = False
        self._waited_s, self._period_ends = 0.0, 0.0

    def write(self, lines: bytes) -> None:
        """Write lines, each with its end, or drop those that nobody has room for."""
        try:
            if self._fd is None:
                self._out.write(lines)
                self._out.flush()
            elif not self._lost:
                self._send(self._fd, lines)
            elif self._is_writable(0.0):
                self._go_on(self._fd, lines)
            else:
                self._lost += lines.count(b"\n")
        except OSError:
            return  # the reader is gone: go on without it

    def close(self) -> None:
        """Close what was opened here, not `out`."""
        if self._opened is not None:
            os.close(self._opened)
            self._opened = self._fd = None

    def _go_on(self, fd: int, lines: bytes) -> None:
        count, self._lost = self._lost, 0
        begin = b"\n" if self._is_cut else b""
        self._is_cut = False
        self._send(fd, begin + self._lost_line(count) + b"\n" + lines)

    def _send(self, fd: int, lines: bytes) -> None:
        sent = 0
        while sent < len(lines):
            written = self._try(fd, lines[sent : sent + _CHUNK_BYTES]) if self._may_write() else 0
            if not written:
                self._lost += lines.count(b"\n", sent)
                self._is_cut = sent > 0 and lines[sent - 1 : sent] != b"\n"
                return
            sent += written

    def _try(self, fd: int, chunk: bytes) -> int:
        try:
            return os.write(fd, chunk)
        except BlockingIOError:  # a terminal, or a pipe that somebody who shares it has made non-blocking
            return 0

    def _may_write(self) -> bool:
        """Whether the reader has room, now or after a short wait."""
        if self._is_writable(0.0):
            return True
        began = self._clock()
        if began >= self._period_ends:
            self._waited_s, self._period_ends = 0.0, began + _PERIOD_S
        is_writable = self._waited_s < _PATIENCE_S and self._is_writable(_PATIENCE_S - self._waited_s)
        self._waited_s += self._clock() - began
        return is_writable

    def _is_writable(self, within_s: float) -> bool:
        return bool(self._poll.poll(within_s * 1000))


def _descriptor(out: BinaryIO) -> int | None:
    """Of a real file; None: what is written stays in this process."""
    try:
        return out.fileno()
    except (OSError, AttributeError):
        return None


def _opened_terminal(fd: int | None) -> int | None:
    """A terminal opened again, non-blocking for nobody else: it takes less than poll(2) promises. None: it is none."""
    if fd is None or not os.isatty(fd):
        return None
    try:
        return os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return None
