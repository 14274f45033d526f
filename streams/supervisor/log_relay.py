"""One log stream out of several processes: lines of children, whole and marked with where they come from."""

import asyncio
import os
import re
from datetime import UTC, datetime
from typing import BinaryIO

from streams.process.logs import json_line

#: A child that writes no line end must not fill our memory.
_LONGEST_LINE_BYTES = 256 * 1024
_READ_BYTES = 64 * 1024
#: How streams.process.logs begins a line: those name their process themselves.
_OURS = re.compile(rb"\d\d:\d\d:\d\d \S")


class Lines:
    """Cuts a stream of pieces into lines."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> list[bytes]:
        """The lines that are whole now, without their ends."""
        *whole, self._rest = (self._rest + piece).split(b"\n")
        return whole if len(self._rest) < _LONGEST_LINE_BYTES else [*whole, *self.flush()]

    def flush(self) -> list[bytes]:
        """What is left, at the end."""
        rest, self._rest = self._rest, b""
        return [rest] if rest else []


def marked(line: bytes, process: str, log_format: str) -> bytes:
    """`line` with the name of its process, unless it says so itself, as the lines of streams.process.logs do."""
    if log_format == "json":
        return line if line.startswith(b"{") else _wrapped(line, process)
    return line if _OURS.match(line) else f"{'':8} {process:<8} ".encode() + line


def _wrapped(line: bytes, process: str) -> bytes:
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    return json_line({"at": at, "level": "INFO", "process": process, "event": line.decode(errors="replace")}).encode()


class Relay:
    """A pipe for a child's output; what comes out is written to `out`, line by line. Lives within one event loop."""

    def __init__(self, process: str, log_format: str, out: BinaryIO) -> None:
        self._process, self._log_format, self._out = process, log_format, out
        self._lines = Lines()
        self._read_fd, self.write_fd = os.pipe()
        os.set_blocking(self._read_fd, False)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._read_fd, self._pass_on)

    def started(self) -> None:
        """Give our copy of the child's end away, so that the pipe ends when the child does."""
        os.close(self.write_fd)

    def close(self) -> None:
        """Pass on what is there and close. A grandchild that still holds the pipe writes into nothing from now on."""
        while self._pass_on():
            pass
        self._write(self._lines.flush())
        self._loop.remove_reader(self._read_fd)
        os.close(self._read_fd)

    def _pass_on(self) -> bool:
        """Whether there was something."""
        try:
            piece = os.read(self._read_fd, _READ_BYTES)
        except BlockingIOError:
            return False
        if not piece:
            self._loop.remove_reader(self._read_fd)  # the end would be reported again and again
            return False
        self._write(self._lines.feed(piece))
        return True

    def _write(self, lines: list[bytes]) -> None:
        text = b"".join(marked(line, self._process, self._log_format) + b"\n" for line in lines)
        try:
            self._out.write(text)
            self._out.flush()
        except OSError:
            return  # nobody reads our log any more: the work goes on without it
