"""`python -m processors.models.child package.module:loader`: loads one model and serves one request at a time.

Started by processors/models/host.py only. Exits at the end of stdin.
"""

import contextlib
import importlib
import os
import sys
import traceback
from pathlib import Path
from typing import BinaryIO

from processors.models.gpu import is_out_of_memory
from processors.models.protocol import Frame, Loader, Model, read_frame, write_frame
from schemas.base import Json

#: The kernel kills models before other processes of kinolog when memory runs out. Source: proc(5), oom_score_adj.
_OOM_SCORE_ADJ = "500"
_TRACE_CHARS = 4000


def loader_of(name: str) -> Loader:
    """Import "package.module:function". Raises ImportError, AttributeError, ValueError."""
    module, _, function = name.partition(":")
    loader: Loader = getattr(importlib.import_module(module), function)
    return loader


def serve(name: str, requests: BinaryIO, responses: BinaryIO) -> None:
    """Load the model with the options in the first frame, then serve until the end of `requests`."""
    first = read_frame(requests)
    if first is None:
        return
    try:
        model = loader_of(name)(first.body)
    except Exception as error:  # noqa: BLE001 - any error must reach the host
        write_frame(responses, "failed", _error_body(error))
        return
    write_frame(responses, "ready", getattr(model, "about", {}))
    while (frame := read_frame(requests)) is not None:
        _serve_one(model, frame, responses)


def _serve_one(model: Model, frame: Frame, responses: BinaryIO) -> None:
    def on_partial(part: Json) -> None:
        write_frame(responses, "partial", part)

    try:
        result = model.run(frame.body, on_partial)
    except Exception as error:  # noqa: BLE001 - a failed request must not end the process
        write_frame(responses, "failed", _error_body(error))
        return
    write_frame(responses, "answer", result)


def _error_body(error: Exception) -> Json:
    return {
        "type": type(error).__name__,
        "message": str(error),
        "memory": is_out_of_memory(error),
        "trace": "".join(traceback.format_exception(error))[-_TRACE_CHARS:],
    }


def main() -> None:
    """Serve over stdin and stdout. Output of libraries goes to stderr."""
    responses = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with contextlib.suppress(OSError):  # only the order of kills is at stake
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE_ADJ)
    serve(sys.argv[1], sys.stdin.buffer, responses)


if __name__ == "__main__":
    main()
