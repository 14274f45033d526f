"""The reducer behind the checks of what a row can hold."""

import logging

from agents.control.rejections import Rejected
from schemas.base import Message
from schemas.commands import SubmitJob
from tables.bounds import OutOfBounds, require_bounded
from tables.pipelines import InvalidPipeline, require_resolved
from tables.reducer import Advance, State, advance

log = logging.getLogger(__name__)


def advance_checked(before: State, message: Message, now: float) -> Advance:
    """`tables.reducer.advance` for a message that has not been checked yet. Raises Rejected."""
    try:
        if before is None and isinstance(message, SubmitJob):
            require_resolved(message.pipeline, message.steps)
        require_bounded(message)
        return advance(before, message, now)
    except OutOfBounds as error:
        raise Rejected(error.code, str(error)) from error
    except InvalidPipeline as error:
        raise Rejected("invalid-pipeline", str(error)) from error
    except Exception as error:  # a bug: to exit would loop, and the job's own deadlines still end it
        log.exception("state machine failed", extra={"type": message.TYPE})
        raise Rejected("internal-error", f"the state machine failed: {error!r}") from error
