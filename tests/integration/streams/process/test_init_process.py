"""kinolog as the first process of a container without an init: nothing of what it starts stays behind as a zombie.

Reports: PikoCI/pikoci#681, janitor-team/janitor#1202, tellytv/telly#262, concourse/concourse#507, koush/scrypted#2090.
"""

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import eventually

_ROOT = Path(__file__).parents[4]
_OURS = [] if os.getuid() == 0 else ["--user", "--map-root-user"]
_UNSHARE = ["unshare", *_OURS, "--pid", "--fork", "--mount-proc", "--kill-child"]
_BEGIN = "import os, signal, subprocess, sys, time\nfrom streams.process.init_process import leave_process_1\n"
_LEAVE = _BEGIN + "leave_process_1()\n"
#: Processes whose parents end before they do; then how many zombies there are, once there is nothing else to wait for.
_ORPHANS = """
for _ in range(20):
    subprocess.run(["sh", "-c", "sleep 0.05 &"])
def states():
    stats = [open(f"/proc/{pid}/stat").read() for pid in os.listdir("/proc") if pid.isdigit()]
    return [stat.rpartition(")")[2].split()[0] for stat in stats if "(sleep)" in stat]
deadline = time.monotonic() + 10
while (left := states()) and (set(left) != {"Z"} or time.monotonic() < deadline):
    time.sleep(0.02)
print(len(left))
"""
_TAKES_SIGNALS = """
got = []
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, lambda number, _: got.append(number))
print("ready", flush=True)
while not got:
    time.sleep(0.01)
time.sleep(0.3)
print(*got, flush=True)
"""


def _argv(code: str) -> list[str]:
    return [*_UNSHARE, sys.executable, "-c", code]


def _run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(_argv(code), cwd=_ROOT, check=False, timeout=60, capture_output=True, text=True)


def test_processes_whose_parents_have_ended_are_reaped() -> None:
    left = _run(_LEAVE + _ORPHANS)
    assert (left.stdout.strip(), left.returncode) == ("0", 0), left.stderr
    without = _run(_BEGIN + _ORPHANS)
    assert without.stdout.strip() == "20", "the kernel reaps them by itself: this test shows nothing"


@pytest.mark.parametrize(
    "end, code",
    [("sys.exit(3)", 3), ("os.kill(os.getpid(), signal.SIGKILL)", 137), ("raise ValueError", 1), ("pass", 0)],
)
def test_it_exits_as_its_child_does(end: str, code: int) -> None:
    assert _run(_LEAVE + end).returncode == code


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_signals_reach_the_child(sent: signal.Signals) -> None:
    process = subprocess.Popen(_argv(_LEAVE + _TAKES_SIGNALS), cwd=_ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    [first] = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(first), sent)
    assert process.stdout.readline() == f"{sent.value}\n"
    assert process.wait(10) == 0
    process.stdout.close()


async def test_ctrl_c_in_a_terminal_comes_once() -> None:
    """The second one means at once, for kinolog up."""
    ours, theirs = pty.openpty()
    argv = ["setsid", "--ctty", "--wait", *_argv(_LEAVE + _TAKES_SIGNALS)]
    process = subprocess.Popen(argv, cwd=_ROOT, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    said = b""

    def read_until(text: bytes) -> None:
        nonlocal said
        deadline = time.monotonic() + 30
        while text not in said:
            assert time.monotonic() < deadline, said
            said += os.read(ours, 1000)

    read_until(b"ready")
    os.write(ours, b"\x03")
    read_until(b"2\r\n")
    assert said.replace(b"^C", b"").split() == [b"ready", b"2"]
    await eventually(lambda: process.poll() == 0, 10)
    os.close(ours)


def test_the_command_line_is_never_process_1() -> None:
    shown = _run(
        "import os, sys, click\nfrom streams.cli import main\n"
        "main.cli.add_command(click.Command('pid', callback=lambda: print(os.getpid())))\n"
        "sys.argv = ['kinolog', 'pid']\nmain.main()"
    )
    assert shown.stdout.strip().isdigit(), shown
    assert shown.stdout.strip() != "1"
