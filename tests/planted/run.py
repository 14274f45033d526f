"""Runs the tests of a bug in the copy, and tells from their end whether they noticed it."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

#: Time limit of one test, and of all tests of one bug, seconds.
_TEST_S, _RUN_S = 90, 300.0
#: Exit code of pytest. Source: pytest, ExitCode.TESTS_FAILED.
_TESTS_FAILED = 1
#: A line of pytest's summary. A file that cannot be imported has no "::": such a bug would be noticed without a test.
_FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+::\w+)", re.MULTILINE)

Status = Literal["caught", "missed", "broken", "hung"]


class Ended(NamedTuple):
    """How a run of pytest ended."""

    #: None: it took longer than the time limit.
    returncode: int | None
    output: str
    took_s: float


class Verdict(NamedTuple):
    """What the tests of a bug made of it."""

    status: Status
    #: The test that failed.
    test: str = ""


def run_tests(root: Path, tests: Sequence[str], timeout_s: float = _RUN_S) -> Ended:
    """Run tests in the copy until the first one fails."""
    options = ("-x", "-q", "-p", "no:cacheprovider", f"--timeout={_TEST_S}", "--tb=no", "-rfE")
    argv = [sys.executable, "-P", "-m", "pytest", *options, *tests]
    # In front of the installed checkout, in these processes and in those that they start.
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("KINOLOG_", "PYTEST_"))}
    environ["PYTHONPATH"] = str(root)
    began = time.monotonic()
    process = subprocess.Popen(
        argv,
        cwd=root,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        return Ended(None, output, time.monotonic() - began)
    return Ended(process.returncode, output, time.monotonic() - began)


def verdict(ended: Ended) -> Verdict:
    """Only a test that failed counts: not a module that could not be imported, and not a run without an end."""
    if ended.returncode is None:
        return Verdict("hung")
    if ended.returncode == 0:
        return Verdict("missed")
    failed = _FAILED.search(ended.output)
    if ended.returncode != _TESTS_FAILED or failed is None:
        return Verdict("broken")
    return Verdict("caught", failed[1])
