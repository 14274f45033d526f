"""Log output on stderr: short text lines or JSON lines, with the same events and fields."""

import asyncio
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TextIO

import orjson

from streams.process.log_output import LogOutput
from streams.process.retried_errors import RetriedErrors
from streams.settings import Settings

#: Loggers that report every reconnect, rebalance and start: only their warnings are logged. Mode names its services'
#: loggers after the module of the class, so that of the app is among them.
_QUIETED = ("aiokafka", "faust", "mode", "streams.worker.app", "aiohttp.access", "asyncio")
#: Libraries that repeat one line thousands of times while the broker is away.
_FLOODING = ("aiokafka", "faust", "mode")
#: Attributes that every record has; all others are from `extra`.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "repeated"}
_COLOURS = {"DEBUG": "2", "INFO": "32", "WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}

#: Event of the line that says how many lines were dropped.
LOST = "log lines lost: nobody read them"

log = logging.getLogger(__name__)


def configure(settings: Settings, process: str, stream: TextIO | None = None) -> None:
    """Write this process's log to stderr, or `stream`, with its name. Replaces any earlier configuration."""
    stream = stream or _stderr()
    handler = LogHandler(stream) if stream is not None else logging.NullHandler()
    handler.setFormatter(JsonLines(process) if settings.log_format == "json" else _text_for(stream, process))
    handler.addFilter(without_abandoned)
    handler.addFilter(without_clear_passwords)
    if logging.getLevelName(settings.log_level) > logging.DEBUG:
        handler.addFilter(RetriedErrors())
    handler.addFilter(FloodGate(_FLOODING))
    logging.basicConfig(handlers=[handler], level=settings.log_level, force=True)
    for name in _QUIETED:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelName(settings.log_level)))
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught
    threading.excepthook = _log_uncaught_in_thread


class LogHandler(logging.Handler):
    """A handler that never waits long for the reader of `stream`."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._output = LogOutput(stream.buffer, self._lost)

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record as one line, more for a traceback."""
        try:
            self._output.write(self._encoded(record) + b"\n")
        except Exception:  # noqa: BLE001 - as of each handler: a line must not fail who logs it
            self.handleError(record)

    def close(self) -> None:
        """Write nothing any more."""
        self._output.close()
        super().close()

    def _lost(self, count: int) -> bytes:
        record = logging.makeLogRecord(
            {"name": __name__, "levelno": logging.WARNING, "levelname": "WARNING", "msg": LOST, "lines": count}
        )
        return self._encoded(record)

    def _encoded(self, record: logging.LogRecord) -> bytes:
        return self.format(record).encode(errors="backslashreplace")


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    log.critical("exited by an unexpected error", exc_info=(kind, error, trace))


def _log_uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    """Log an error that ended a thread. A cancellation, of an event loop that is torn down, is no error."""
    if args.exc_value is None or issubclass(args.exc_type, asyncio.CancelledError):
        log.debug("thread cancelled")
        return
    log.critical("thread ended by an unexpected error", exc_info=(args.exc_type, args.exc_value, args.exc_traceback))


def without_abandoned(record: logging.LogRecord) -> bool:
    """Replace the traceback of an abandoned broker request that failed by one line."""
    error = record.exc_info[1] if record.exc_info else None
    if record.name == "asyncio" and error is not None and type(error).__module__.startswith("aiokafka."):
        record.msg, record.args, record.exc_info = "abandoned request failed", (), None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        vars(record)["error"] = repr(error)
    return True


def without_clear_passwords(record: logging.LogRecord) -> bool:
    """Drop aiokafka's warning about each connection with a password in clear: that is a setting, or loopback."""
    return record.name != "aiokafka.conn" or record.msg != "Sending username and password in the clear"


def extras(record: logging.LogRecord) -> dict[str, Any]:
    """The fields of a record that are from `extra`, and the number of suppressed repeats."""
    fields = {name: value for name, value in vars(record).items() if name not in _STANDARD}
    repeated = getattr(record, "repeated", 0)
    return {**fields, "repeated": repeated} if repeated else fields


class TextLines(logging.Formatter):
    """`17:55:17 control WARNING step retried step=transcode attempt=2`, then a traceback if there is one."""

    def __init__(self, process: str, *, colour: bool = False) -> None:
        super().__init__()
        self._process = process
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        """One line, more only for a traceback."""
        at = time.strftime("%H:%M:%S", time.localtime(record.created))
        fields = "".join(f" {name}={_as_text(value)}" for name, value in extras(record).items())
        line = f"{at} {self._process:<8} {self._level(record.levelname)} {_one_line(record.getMessage())}{fields}"
        trace = _trace(record)
        return f"{line}\n{trace}" if trace else line

    def _level(self, name: str) -> str:
        return f"\x1b[{_COLOURS.get(name, '0')}m{name:<7}\x1b[0m" if self._colour else f"{name:<7}"


class JsonLines(logging.Formatter):
    """JSON lines: at, level, process, logger, event, the extra fields, and `trace` if there is one."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        row = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "process": self._process,
            "logger": record.name,
            "event": record.getMessage(),
        }
        trace = _trace(record)
        return json_line({**extras(record), **row, **({"trace": trace} if trace else {})})


def json_line(row: dict[str, Any]) -> str:
    """`row` as one line of JSON; other types are written as text."""
    try:
        return orjson.dumps(row, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # a lone surrogate or a too large number: a log line must not fail
        return orjson.dumps({name: _encodable(value) for name, value in row.items()}).decode()


def _encodable(value: Any) -> str:
    return str(value).encode(errors="backslashreplace").decode()


class FloodGate(logging.Filter):
    """A rate limit: `burst` lines of one wording per `window_s`; the next one has the number of suppressed lines."""

    def __init__(
        self,
        loggers: tuple[str, ...],
        *,
        burst: int = 3,
        window_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._prefixes = tuple(name + "." for name in loggers)
        self._burst = burst
        self._window_s = window_s
        self._clock = clock
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line may pass."""
        if not (record.name + ".").startswith(self._prefixes):
            return True
        return self._admit(record, (record.name, str(record.msg)[:80]))

    def _admit(self, record: logging.LogRecord, wording: tuple[str, str]) -> bool:
        now = self._clock()
        since, count = self._seen.get(wording, (now, 0))
        if now - since >= self._window_s:
            record.repeated = max(0, count - self._burst)
            since, count = now, 0
        if len(self._seen) > 500:  # wordings that contain ids must not fill the memory
            self._seen.clear()
        self._seen[wording] = (since, count + 1)
        return count < self._burst


def _stderr() -> TextIO | None:
    """None where it was closed when the process started."""
    return sys.stderr


def _text_for(stream: TextIO | None, process: str) -> TextLines:
    capable = (stream is not None and stream.isatty()) or bool(os.environ.get("FORCE_COLOR"))
    return TextLines(process, colour=capable and not os.environ.get("NO_COLOR"))


def _as_text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}".rstrip("0").rstrip(".")
    text = str(value)
    return text if text and text.isprintable() and not set(text) & set(' "=') else repr(text)


def _one_line(text: str) -> str:
    return " ".join(text.split()) if "\n" in text else text


def _trace(record: logging.LogRecord) -> str:
    if not record.exc_info or record.exc_info[0] is None:
        return ""
    return "".join(traceback.format_exception(*record.exc_info)).rstrip()
