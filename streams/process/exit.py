"""Immediate exits of a process that cannot go on safely: one log line and an exit code."""

import logging
import os
from typing import Any, NoReturn

log = logging.getLogger(__name__)

#: Invalid settings: a restart would not help.
EX_CONFIG = 2
#: Exit codes (sysexits.h where it has one): a supervisor restarts the process, and the log restores its state.
EX_SOFTWARE, EX_FENCED, EX_HOLE, EX_HUNG = 70, 75, 76, 77


def end_process(code: int, reason: str, **facts: Any) -> NoReturn:
    """Exit at once, with one log line. Unfinished work is restored from the log."""
    log.critical(reason, extra={"exit_code": code, **facts})
    logging.shutdown()
    os._exit(code)
