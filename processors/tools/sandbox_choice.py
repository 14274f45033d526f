"""The sandbox that tools run in: the setting `limits.sandbox`, applied to what works on this machine."""

import logging
import tempfile
from pathlib import Path

from processors.errors import ToolFailed
from processors.tools.limits import SandboxPolicy
from processors.tools.sandbox import Isolation, Sandbox, detect

log = logging.getLogger(__name__)

#: More than a trial writes.
_TRIAL_BYTES = 64 * 1024


class NoSandbox(ToolFailed):
    """No sandbox works on this machine, and the setting requires one. The message says what to do."""

    def __init__(self) -> None:
        super().__init__(
            "No sandbox for ffmpeg works on this machine: neither bubblewrap nor unshare can isolate it. Install "
            "bubblewrap and allow user namespaces (docs/operate.md, The sandbox). KINOLOG_LIMITS__SANDBOX=best-effort "
            "runs it without a sandbox instead: hostile media could then reach the network and the service's files."
        )


async def choose_sandbox(policy: SandboxPolicy, below: Path | None = None) -> Sandbox:
    """The strongest sandbox that works, or none where the policy allows that. Logs it.

    `below`: see `detect`. Raises NoSandbox, and OSError where a trial cannot write: the disk may be full.
    """
    if policy == "off":
        log.warning("sandbox is off: tools run with network access and kinolog's permissions")
        return _logged(Sandbox(isolation=Isolation.BOUNDS))
    sandbox = await detect(below)
    if sandbox.isolation is Isolation.BOUNDS:
        _require_space(below)
        if policy == "required":
            raise NoSandbox
        log.error(
            "tools run without a sandbox, with network and kinolog's permissions: bubblewrap, unshare do not work"
        )
    return _logged(sandbox)


def _require_space(below: Path | None) -> None:
    with tempfile.TemporaryFile(dir=below) as file:
        file.write(bytes(_TRIAL_BYTES))


def _logged(sandbox: Sandbox) -> Sandbox:
    log.info("sandbox chosen", extra={"isolation": sandbox.isolation.value, "uid": sandbox.uid})
    return sandbox
