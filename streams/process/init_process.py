"""Process 1 of a container: reaps what is left to it, and runs kinolog as its child.

The first process of a container inherits every process whose parent has ended. Each run of a sandboxed tool leaves one.
Without somebody who waits for them they stay as zombies, some seven for each video, until the container has no process
id left and no tool can be started. An image with tini, or `docker run --init`, has somebody; others do not.
"""

import contextlib
import os
import signal

#: Signals that mean this process and no other, or that nobody can wait for.
_OWN = {signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV, signal.SIGKILL, signal.SIGSTOP}
#: Of a terminal to a process in its background: nothing for the child, which has the foreground.
_TERMINAL = {signal.SIGTTIN, signal.SIGTTOU}
_STDIN = 0


def leave_process_1() -> None:
    """Go on in a child process, if this one is the first of its container; elsewhere do nothing.

    This process then passes signals on to the child, reaps processes, and exits as the child does. To be called before
    there are threads.
    """
    if os.getpid() != 1:
        return
    waited_for = signal.valid_signals() - _OWN
    before = signal.pthread_sigmask(signal.SIG_BLOCK, waited_for)
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        _take_terminal()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return
    os._exit(_serve(child, waited_for))


def _take_terminal() -> None:
    """Let Ctrl-C reach the child's group alone: passed on by process 1, it would come twice."""
    with contextlib.suppress(OSError):  # no terminal
        os.tcsetpgrp(_STDIN, os.getpgrp())


def _serve(child: int, waited_for: set[signal.Signals]) -> int:
    """Pass signals on and reap until the child ends; its exit code, or 128 and the signal that ended it."""
    while True:
        received = signal.sigwait(waited_for)
        if received == signal.SIGCHLD:
            if (code := _reap(child)) is not None:
                return code
        elif received not in _TERMINAL:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, received)


def _reap(child: int) -> int | None:
    """Reap all processes that have ended; the child's exit code if it is one of them."""
    code = None
    with contextlib.suppress(ChildProcessError):  # there are no others
        while (ended := os.waitpid(-1, os.WNOHANG))[0] != 0:
            if ended[0] == child:
                found = os.waitstatus_to_exitcode(ended[1])
                code = found if found >= 0 else 128 - found
    return code
