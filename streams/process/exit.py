"""How a process ends when it is in doubt: at once, with one clear line and a code that says which doubt."""

import logging
import os
from typing import Any, NoReturn

log = logging.getLogger(__name__)

#: Settings that cannot be used: who starts it again changes nothing.
EX_CONFIG = 2
#: Exit codes (sysexits.h where it has one): a supervisor starts the process again, the log repairs it.
EX_SOFTWARE, EX_FENCED, EX_HOLE, EX_HUNG = 70, 75, 76, 77


def end_process(code: int, reason: str, **facts: Any) -> NoReturn:
    """End at once, with one clear line. Whatever was half done is repaired from the log."""
    log.critical(reason, extra={"exit_code": code, **facts})
    logging.shutdown()
    os._exit(code)
