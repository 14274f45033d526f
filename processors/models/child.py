"""`python -m processors.models.child package.module:loader`: holds one model and serves one request at a time.

Started by processors/models/host.py alone. Ends when its stdin does.
"""

import contextlib
import importlib
import os
import sys
import traceback
from pathlib import Path
from typing import BinaryIO

from processors.models.protocol import Frame, Loader, Model, read_frame, write_frame
from schemas.base import Json

#: The kernel ends a model before anything else of ours when memory runs out. Source: proc(5), oom_score_adj.
_OOM_SCORE_ADJ = "500"
_TRACE_CHARS = 4000


def loader_of(name: str) -> Loader:
    """What "package.module:function" names. Raises ImportError, AttributeError, ValueError."""
    module, _, function = name.partition(":")
    found: Loader = getattr(importlib.import_module(module), function)
    return found


def serve(name: str, requests: BinaryIO, answers: BinaryIO) -> None:
    """Load what the first frame asks for, then answer until `requests` ends."""
    first = read_frame(requests)
    if first is None:
        return
    try:
        model = loader_of(name)(first.body)
    except Exception as error:  # noqa: BLE001 - whatever it is, whoever asked must hear of it
        write_frame(answers, "failed", _told(error))
        return
    write_frame(answers, "ready", {})
    while (frame := read_frame(requests)) is not None:
        _answer(model, frame, answers)


def _answer(model: Model, frame: Frame, answers: BinaryIO) -> None:
    def tell(part: Json) -> None:
        write_frame(answers, "partial", part)

    try:
        answer = model.answer(frame.body, tell)
    except Exception as error:  # noqa: BLE001 - a request that fails must not take the model with it
        write_frame(answers, "failed", _told(error))
        return
    write_frame(answers, "answer", answer)


def _told(error: Exception) -> Json:
    return {
        "type": type(error).__name__,
        "message": str(error),
        "memory": isinstance(error, MemoryError),
        "trace": "".join(traceback.format_exception(error))[-_TRACE_CHARS:],
    }


def main() -> None:
    """Serve over stdin and stdout. What libraries print goes to stderr."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with contextlib.suppress(OSError):  # it would only be ended later
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE_ADJ)
    serve(sys.argv[1], sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()
