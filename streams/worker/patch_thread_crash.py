"""Has a thread of Faust that finds no broker at its start print no traceback.

A broker that dies while a process starts is no bug: the process ends with one line that says so. mode prints every
crash of a thread to standard error, and Python prints it once more.
"""

import contextlib
import sys
from typing import Any

from aiokafka.errors import KafkaConnectionError
from mode.threads import ServiceThread

_stock_on_crash, _stock_start_thread = ServiceThread.on_crash, ServiceThread._start_thread


def _on_crash(self: Any, msg: str, *fmt: Any, **kwargs: Any) -> None:
    """ServiceThread.on_crash, but for a missing broker: whoever starts the thread gets that error."""
    if not isinstance(sys.exc_info()[1], KafkaConnectionError):
        _stock_on_crash(self, msg, *fmt, **kwargs)


def _start_thread(self: Any) -> None:
    """ServiceThread._start_thread, which is all that the thread does."""
    with contextlib.suppress(KafkaConnectionError):
        _stock_start_thread(self)


def install() -> None:
    """For every thread of this process. Repeating it is harmless."""
    ServiceThread.on_crash = _on_crash  # type: ignore[method-assign]  # a private part is replaced
    ServiceThread._start_thread = _start_thread  # type: ignore[method-assign]  # as above
