"""What a file that has taken over the program that reads it can reach: its input, its scratch folder, nothing else.

Every means of a sandbox is tried, the best one as root has it and as a service's user has it. Where one of them
promises less, that stands in `Means` and in docs/operate.md, and is left out of the parameters here.
"""

import asyncio
import os
import platform
import re
import shutil
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from processors.errors import LimitExceeded, ProcessingError, ToolFailed, ToolMisbehaved
from processors.storage.local_files import remove_hostile_tree
from processors.tools.limits import Limits
from processors.tools.runner import Command, Runner
from processors.tools.sandbox import (
    UNPRIVILEGED_UID,
    FileAccess,
    Isolation,
    ResourceLimits,
    Sandbox,
    filter_of,
    sandbox_argv,
)
from processors.tools.seccomp import tool_filter
from tests.conftest import eventually
from tests.e2e.system import processes_naming

_FILTER = tool_filter(platform.machine())
_ROOT = Sandbox(isolation=Isolation.BUBBLEWRAP, uid=UNPRIVILEGED_UID if os.geteuid() == 0 else None, filter=_FILTER)
_USER = Sandbox(isolation=Isolation.BUBBLEWRAP, filter=_FILTER)
_UNFILTERED = replace(_ROOT, filter=None)
_NAMESPACES = Sandbox(isolation=Isolation.NAMESPACES)
_BOUNDS = Sandbox(isolation=Isolation.BOUNDS)

_BUBBLEWRAP = {"root": _ROOT, "user": _USER, "unfiltered": _UNFILTERED}
_ISOLATED = _BUBBLEWRAP | {"namespaces": _NAMESPACES}
_ALL = _ISOLATED | {"bounds": _BOUNDS}
#: Stands in for whatever must not be told.
_SECRET = f"canary-{uuid.uuid4().hex}"


def _each(sandboxes: dict[str, Sandbox]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("sandbox", sandboxes.values(), ids=sandboxes)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A file that everybody on the machine may read, beside the scratch folder."""
    tmp_path.chmod(0o755)
    (tmp_path / "canary").write_text(_SECRET)
    return tmp_path / "canary"


async def _run(sandbox: Sandbox, folder: Path, *argv: str, reads: tuple[Path, ...] = (), **limits: Any) -> str:
    """What the tool says on both of its pipes. Raises ProcessingError."""
    heard = bytearray()
    command = Command(argv=argv, access=FileAccess(reads=reads, writes=(folder,), cwd=folder), timeout_s=60)
    said = await Runner(Limits(**limits), sandbox).run(command, heard.extend)
    return heard.decode() + said


async def _perl(sandbox: Sandbox, folder: Path, script: str, **limits: Any) -> str:
    return await _run(sandbox, folder, "perl", "-e", script, **limits)


@contextmanager
def _listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        yield server


@_each(_ISOLATED)
async def test_ffmpeg_reaches_no_address(sandbox: Sandbox, folder: Path) -> None:
    with _listener() as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/film.mp4"
        with pytest.raises(ProcessingError) as caught:
            await _run(sandbox, folder, "ffmpeg", "-nostdin", "-i", address, "-f", "null", "-")
        with pytest.raises(BlockingIOError):
            server.accept()
    said = "Operation not permitted" if sandbox.filter else "Network is unreachable|Connection refused"
    assert re.search(said, str(caught.value.detail))


@_each(_ISOLATED)
async def test_no_socket_leads_to_this_machine(sandbox: Sandbox, folder: Path, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server, _listener() as tcp:
        server.bind(f"\0{_SECRET}")  # no file stands for it: only the network's namespace keeps it apart
        server.listen()
        port = tcp.getsockname()[1]
        said = await _perl(
            sandbox,
            folder,
            "sub reach { my ($kind, $address, $s) = @_; socket($s, $kind, 1, 0) && connect($s, $address)"
            " ? print 'connected ' : print 'refused ' }"
            f"reach(1, pack('S a*', 1, \"\\0{_SECRET}\")); reach(2, pack('S n N x8', 2, {port}, 0x7f000001));",
        )
    assert said == "refused refused "


@_each(_BUBBLEWRAP)
@pytest.mark.parametrize("name", ["canary", "/etc/passwd", "/etc/hostname", "/proc/self/environ", "/proc/1/environ"])
async def test_ffmpeg_reads_nothing_but_its_input(sandbox: Sandbox, folder: Path, canary: Path, name: str) -> None:
    copy = ("-f", "data", "-i", f"file:{canary.parent / name}", "-map", "0", "-c", "copy", "-f", "data", "file:stolen")
    with pytest.raises(ProcessingError, match="ffmpeg") as caught:
        await _run(sandbox, folder, "ffmpeg", "-nostdin", *copy)
    assert "No such file" in str(caught.value.detail)
    assert not (folder / "stolen").exists()


@_each(_BUBBLEWRAP)
async def test_the_whole_of_what_there_is_to_see(sandbox: Sandbox, folder: Path, canary: Path) -> None:
    seen = await _perl(sandbox, folder, f"print join ' ', </* {canary.parent}/* /etc/* /tmp/* /dev/shm/*>")
    system = {"/bin", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/sbin", "/tmp", "/usr"}
    above = {str(place) for place in (folder, *folder.parents)}
    assert set(seen.split()) <= system | above | {"/etc/alternatives", "/etc/ld.so.cache"}


@_each(_BUBBLEWRAP)
async def test_ffmpeg_writes_nowhere_but_into_its_folder(sandbox: Sandbox, folder: Path, canary: Path) -> None:
    source = folder.parent / "source"
    shutil.copyfile(canary, source)
    source.chmod(0o666)
    canary.parent.chmod(0o777)
    picture = ("-f", "lavfi", "-i", "color=size=16x16:duration=0.04", "-f", "rawvideo", "-y")
    for place in (source, "/etc/new", "/new", "/dev/shm/new"):
        with pytest.raises(ProcessingError):
            await _run(sandbox, folder, "ffmpeg", "-nostdin", *picture, f"file:{place}", reads=(source,))
    with suppress(ProcessingError):  # its user may write there, into a few megabytes that end with it
        await _run(sandbox, folder, "ffmpeg", "-nostdin", *picture, f"file:{canary.parent}/new")
    assert source.read_text() == _SECRET
    assert {path.name for path in canary.parent.iterdir()} == {"canary", "source", "work"}


@_each(_ALL)
async def test_the_environment_is_not_handed_on(
    sandbox: Sandbox, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("KINOLOG_AUTH__TOKEN", "AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "ANYTHING"):
        monkeypatch.setenv(name, _SECRET)
    seen = await _perl(sandbox, folder, "print join ' ', keys %ENV")
    assert set(seen.split()) <= {"PATH", "LC_ALL", "PWD"}


@_each(_ISOLATED)
async def test_other_processes_are_not_there(sandbox: Sandbox, folder: Path) -> None:
    others = f"print join ' ', grep {{ kill 0, $_ }} 1..20, {os.getpid()}, {os.getppid()};"
    alone = await _perl(sandbox, folder, f"{others} print ' ', join ' ', map {{ /(\\d+)/ }} </proc/[0-9]*>")
    # Its own, and what stands before it in its own namespace.
    assert set(alone.split()) <= {"1", "2", "3"}


@_each(_ISOLATED)
async def test_our_environment_cannot_be_read_from_our_process(sandbox: Sandbox, folder: Path) -> None:
    read = f"open(my $f, '<', '/proc/{os.getpid()}/environ') ? print 'open' : print 'closed'"
    assert await _perl(sandbox, folder, read) == "closed"


@_each(_ALL)
async def test_memory_is_bounded(sandbox: Sandbox, folder: Path) -> None:
    large = ("-f", "lavfi", "-i", "testsrc2=size=3840x2160:duration=1", "-c:v", "libx264", "-f", "null", "-")
    with pytest.raises(LimitExceeded) as caught:
        await _run(sandbox, folder, "ffmpeg", "-nostdin", *large, tool_memory_bytes=300 * 1024**2)
    assert (caught.value.code, caught.value.retriable) == ("limit-exceeded", False)
    with pytest.raises(ToolFailed) as ended:
        await _perl(sandbox, folder, "push @all, 'x' x 2**24 while 1", tool_memory_bytes=300 * 1024**2)
    assert "Out of memory" in str(ended.value.detail)


@_each({"root": _ROOT, "user": _USER})
async def test_there_is_little_memory_beside_that_of_the_process(sandbox: Sandbox, folder: Path) -> None:
    calls = "print syscall($_, 0, 2**28, 0x7ff), ' ' for (29, 68, 319); print defined fork ? 'forked ' : 'alone '"
    fill = "for (@ARGV) { open(my $f, '>', $_) or next; syswrite $f, 'x' x 2**20 for 1..64; print -s $f }"
    said = await _run(
        sandbox, folder, "perl", "-e", f"{calls}; {fill}", *(f"{p}/x" for p in ("/dev/shm", "/dev", "", "/tmp"))
    )
    unwritten, written = "-1 -1 -1 alone ", "-1 -1 -1 alone 16777216"
    assert said == (unwritten if sandbox is _ROOT else written)


@_each(_ALL)
async def test_the_size_of_a_file_is_bounded(sandbox: Sandbox, folder: Path) -> None:
    endless = ("-f", "lavfi", "-i", "color=size=640x480:duration=100000", "-f", "rawvideo", "film")
    with pytest.raises(LimitExceeded):
        await _run(sandbox, folder, "ffmpeg", "-nostdin", *endless, tool_file_bytes=10**6)
    assert (folder / "film").stat().st_size <= 10**6


@_each(_ALL)
def test_processor_time_is_bounded(sandbox: Sandbox, folder: Path) -> None:
    bounds = ResourceLimits(memory_bytes=1024**3, cpu_s=1, file_bytes=1024)
    endless = ("ffmpeg", "-v", "quiet", "-nostdin", "-f", "lavfi", "-i", "testsrc2=duration=100000", "-f", "null", "-")
    if sandbox.uid is not None:
        os.chown(folder, sandbox.uid, -1)
    with filter_of(sandbox) as fds:
        prefix = sandbox_argv(sandbox, bounds, FileAccess(writes=(folder,), cwd=folder), *fds)
        done = subprocess.run([*prefix, *endless], pass_fds=fds, timeout=60, check=False, capture_output=True)
    assert done.returncode in (128 + signal.SIGXCPU, -signal.SIGXCPU, 128 + signal.SIGKILL, -signal.SIGKILL)


@_each(_ALL)
async def test_room_on_disk_is_bounded_over_all_files(sandbox: Sandbox, folder: Path) -> None:
    file = "open(my $f, '>', $n++); print {$f} 'x' x 10**6; close $f; select(undef, undef, undef, 0.05)"
    fill = f"while (1) {{ {file} }}"
    with pytest.raises(LimitExceeded, match="10000000 bytes"):
        await _perl(sandbox, folder, fill, tool_disk_bytes=10**7)


@_each(_ALL)
async def test_how_many_tasks_there_may_be(sandbox: Sandbox, folder: Path) -> None:
    tasks = await _run(sandbox, folder, "bash", "-c", "ulimit -u; ulimit -c; ulimit -n")
    most, core, files = tasks.split()
    assert (core, files) == ("0", "512")
    assert most == "4096" or sandbox is _BOUNDS


_DAEMON = """
use POSIX;
exit if fork;
POSIX::setsid();
exit if fork;
open($_, '+<', '/dev/null') for *STDIN, *STDOUT, *STDERR;
exec('sleep', 'MARKER');
"""


@_each({"unfiltered": _UNFILTERED, "namespaces": _NAMESPACES})
async def test_what_a_tool_has_started_ends_with_it(sandbox: Sandbox, folder: Path) -> None:
    marker = f"3600.{uuid.uuid4().int % 10**12}"
    await _perl(sandbox, folder, _DAEMON.replace("MARKER", marker) + "sleep 1")
    await eventually(lambda: not processes_naming(marker))  # the kernel ends it once the tool is gone


@_each({"root": _ROOT, "user": _USER})
async def test_a_tool_starts_nothing(sandbox: Sandbox, folder: Path) -> None:
    said = await _perl(sandbox, folder, "print defined fork ? 'forked' : qq(refused: $!)")
    assert said == "refused: Operation not permitted"


_PARENT = """
import asyncio, sys
from pathlib import Path
from processors.tools.limits import Limits
from processors.tools.sandbox import FileAccess, Isolation, Sandbox
from processors.tools.runner import Command, Runner
isolation, uid, refused, folder, *argv = sys.argv[1:]
sandbox = Sandbox(isolation=Isolation(isolation), uid=int(uid) if uid else None, filter=bytes.fromhex(refused) or None)
command = Command(argv=tuple(argv), access=FileAccess(writes=(Path(folder),), cwd=Path(folder)), timeout_s=3600)
asyncio.run(Runner(Limits(), sandbox).run(command))
"""


@pytest.mark.parametrize("daemon", [False, True])
@_each(_ALL)
async def test_nothing_outlives_an_executor_that_is_killed(sandbox: Sandbox, folder: Path, *, daemon: bool) -> None:
    if daemon and sandbox in (_ROOT, _USER, _BOUNDS):
        return  # the first two start nothing; the last one promises nothing
    marker = f"3600.{uuid.uuid4().int % 10**12}"
    script = _DAEMON.replace("MARKER", marker).replace("exit if fork", "(sleep(3600), exit) if fork", 1)
    tool = ["perl", "-e", script] if daemon else ["sleep", marker]
    about = [sandbox.isolation.value, str(sandbox.uid or ""), (sandbox.filter or b"").hex(), str(folder)]
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[4])}
    with subprocess.Popen([sys.executable, "-c", _PARENT, *about, *tool], env=environ) as parent:
        try:
            await eventually(lambda: _sleepers(marker), 60)
        finally:
            parent.send_signal(signal.SIGKILL)
    await eventually(lambda: not processes_naming(marker), 5)


def _sleepers(marker: str) -> list[int]:
    return [pid for pid in processes_naming(marker) if Path(f"/proc/{pid}/comm").read_text() == "sleep\n"]


@_each(_ISOLATED)
async def test_privileges_cannot_be_won(sandbox: Sandbox, folder: Path) -> None:
    with pytest.raises(ToolFailed):
        await _run(sandbox, folder, "mount", "-t", "tmpfs", "none", ".")
    shutil.copyfile(shutil.which("id") or "", folder / "id")
    (folder / "id").chmod(0o6755)
    assert (await _run(sandbox, folder, "./id", "-u")).strip() in {"65534", str(os.geteuid())}


@_each({"root": _ROOT, "unfiltered": _UNFILTERED})
async def test_tools_are_nobody_and_their_results_are_ours(sandbox: Sandbox, folder: Path) -> None:
    (folder / "below").mkdir()
    script = "umask 077; open(my $f, '>', 'below/result'); print {$f} 'x'; print $<"
    assert await _perl(sandbox, folder, script) == str(sandbox.uid if sandbox.uid is not None else os.geteuid())
    assert (folder / "below" / "result").read_text() == "x"


_PLANTS = {
    "a link": "symlink '/etc/passwd', 'storyboard.vtt'",
    "a folder that is a link": "rmdir 'hls'; symlink '/etc', 'hls'",
    "a link to nothing": "symlink '/etc/cron.d/job', 'master.m3u8'",
    "a pipe": "use POSIX; POSIX::mkfifo('look.gray', 0666)",
    "a deep tree": "for (1..3000) { mkdir 'x'; chdir 'x' }",
    "a name with a line in it": "open my $f, '>', qq(thumb\\n#EXT-X)",
    "a name that is no text": "open my $f, '>', qq(\\xff\\xfe)",
    "a hidden file": "open my $f, '>', '.htaccess'",
}


@_each({"root": _ROOT, "user": _USER, "namespaces": _NAMESPACES})
@pytest.mark.parametrize("plant", _PLANTS.values(), ids=_PLANTS)
async def test_what_a_tool_plants_is_not_followed(sandbox: Sandbox, folder: Path, plant: str) -> None:
    (folder / "hls").mkdir()
    try:
        with pytest.raises(ToolMisbehaved) as caught:
            await _perl(sandbox, folder, plant)
        assert caught.value.code == "tool-misbehaved"
    finally:
        remove_hostile_tree(folder)


async def test_a_tool_is_what_the_kernel_ends_first_when_memory_runs_out(folder: Path) -> None:
    command = Command(argv=("sleep", "60"), access=FileAccess(writes=(folder,), cwd=folder), timeout_s=60)
    running = asyncio.create_task(Runner(Limits(), _ROOT).run(command))
    found = await eventually(lambda: [pid for pid in processes_naming(str(folder)) if _oom_score(pid) == 500])
    assert found
    running.cancel()
    await asyncio.wait([running])


def _oom_score(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/oom_score_adj").read_text())
    except OSError:
        return 0
