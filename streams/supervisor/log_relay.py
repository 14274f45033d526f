"""Relays the output of child processes into one log stream: whole lines, marked with the process name."""

import asyncio
import os
import re
from datetime import UTC, datetime
from typing import BinaryIO

from streams.process.log_output import LogOutput
from streams.process.logs import LOST, json_line

#: Longest line: a child that writes no line end must not exhaust memory.
_LONGEST_LINE_BYTES = 256 * 1024
_READ_BYTES = 64 * 1024
#: Beginning of a line of streams.process.logs, which has the process name already.
_LOG_LINE = re.compile(rb"\d\d:\d\d:\d\d \S")


class Lines:
    """Splits chunks of bytes into lines."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that are complete now, without line ends."""
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        return whole if len(self._rest) < _LONGEST_LINE_BYTES else [*whole, *self.flush()]

    def flush(self) -> list[bytes]:
        """The last, incomplete line."""
        rest, self._rest = self._rest, b""
        return [rest] if rest else []


def marked(line: bytes, process: str, log_format: str) -> bytes:
    """`line` with the process name, unless it has one, as lines of streams.process.logs do."""
    if log_format == "json":
        return line if line.startswith(b"{") else _wrapped(line, process)
    return line if _LOG_LINE.match(line) else f"{'':8} {process:<8} ".encode() + line


def _wrapped(line: bytes, process: str) -> bytes:
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    return json_line({"at": at, "level": "INFO", "process": process, "event": line.decode(errors="replace")}).encode()


class Relay:
    """A pipe that copies a child's output to `out`, line by line. Bound to one event loop."""

    def __init__(self, process: str, log_format: str, out: BinaryIO) -> None:
        self._process, self._log_format = process, log_format
        self._out = LogOutput(out, lambda count: marked(f"{LOST} lines={count}".encode(), process, log_format))
        self._lines = Lines()
        self._read_fd, self.write_fd = os.pipe()
        os.set_blocking(self._read_fd, False)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._read_fd, self._copy)

    def started(self) -> None:
        """Close our copy of the child's end, so that the pipe closes with the child."""
        os.close(self.write_fd)

    def close(self) -> None:
        """Copy the remaining output and close. Later output of grandchildren is lost."""
        while self._copy():
            pass
        self._write(self._lines.flush())
        self._loop.remove_reader(self._read_fd)
        self._out.close()
        os.close(self._read_fd)

    def _copy(self) -> bool:
        """Copy a chunk; False when there is none."""
        try:
            chunk = os.read(self._read_fd, _READ_BYTES)
        except BlockingIOError:
            return False
        if not chunk:
            self._loop.remove_reader(self._read_fd)  # the event loop would report the end again and again
            return False
        self._write(self._lines.feed(chunk))
        return True

    def _write(self, lines: list[bytes]) -> None:
        self._out.write(b"".join(marked(line, self._process, self._log_format) + b"\n" for line in lines))
