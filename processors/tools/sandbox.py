"""Where a tool runs: the start of its command line that takes everything away which it does not need.

    bubblewrap   own root with the system folders and the named files only, no network, own processes, own user, and
                 the system calls of processors/tools/seccomp.py refused
    namespaces   no network, own processes, no privileges; sees the file system as we do
    bounds       prlimit only

All three bound memory, CPU time, file size and open files, die with us, and are what the kernel ends first when memory
runs out. Source: bwrap(1), unshare(1), setpriv(1), prlimit(1), choom(1).
"""

import asyncio
import logging
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from processors.tools.seccomp import tool_filter

log = logging.getLogger(__name__)

#: nobody, nogroup. Tools run as this user where we are root.
UNPRIVILEGED_UID = 65534
#: All that a dynamically linked Debian program reads; /etc/alternatives leads to libblas and others.
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc/alternatives", "/etc/ld.so.cache")
#: Room in /tmp, which is memory that no limit of a process counts.
_TMP_BYTES = 16 * 1024**2
#: Threads and processes of the tool's user: of this tool alone, or of all of them where tools run as nobody.
_TASKS = 4096
#: The kernel ends a tool before anything else of ours when memory runs out. Source: proc(5), oom_score_adj.
_OOM_SCORE_ADJ = 500
#: Longest that a trial of a sandbox may take: generous, for a busy machine must not end with a weaker one.
_TRIAL_S = 60.0
#: A run of ffmpeg that needs its libraries and writes one file.
_TRIAL = ("ffmpeg", "-nostdin", "-v", "error", "-f", "lavfi", "-i", "color=size=16x16:duration=0.04", "-f", "rawvideo")


class Isolation(Enum):
    """What the machine allows, best first."""

    BUBBLEWRAP = "bubblewrap"
    NAMESPACES = "namespaces"
    BOUNDS = "bounds"


@dataclass(frozen=True, kw_only=True)
class Sandbox:
    """How tools are confined on this machine."""

    means: Isolation
    #: The user that a tool becomes; unset: it stays ours.
    uid: int | None = None
    #: System calls that it is refused, see processors/tools/seccomp.py; unset: none.
    filter: bytes | None = None


@dataclass(frozen=True, kw_only=True)
class ResourceLimits:
    """What one tool may use."""

    memory_bytes: int
    cpu_s: int
    file_bytes: int
    open_files: int = 512


@dataclass(frozen=True, kw_only=True)
class FileAccess:
    """What one tool may touch: absolute paths that exist."""

    reads: tuple[Path, ...] = ()
    #: Folders.
    writes: tuple[Path, ...] = ()
    cwd: Path


def sandbox_argv(
    sandbox: Sandbox, bounds: ResourceLimits, reach: FileAccess, filter_fd: int | None = None
) -> list[str]:
    """The arguments to be put before the tool's own. The tool keeps the process group that it is started in.

    `filter_fd`: from where the sandbox's filter is read, see `filter_of`.
    """
    bounded = ["choom", "-n", str(_OOM_SCORE_ADJ), "--", *_prlimit(bounds)]
    match sandbox.means:
        case Isolation.BUBBLEWRAP:
            return [*bounded, *_bwrap(sandbox, reach, filter_fd), *_FEW_TASKS]
        case Isolation.NAMESPACES:
            return [*bounded, *_DIES, *_UNSHARE, *_SETPRIV, "--", *_FEW_TASKS, *_INIT]
        case Isolation.BOUNDS:
            return [*bounded, "setpriv", "--no-new-privs", "--pdeathsig=KILL", "--"]


_SETPRIV = ("setpriv", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all")
_DIES = ("setpriv", "--pdeathsig=KILL", "--")
_UNSHARE = (
    *("unshare", "--net", "--pid", "--ipc", "--uts", "--mount-proc", "--map-root-user"),
    *("--fork", "--kill-child=KILL", "--"),
)
#: Not before the namespace is there: outside, everything else of the same user would count.
_FEW_TASKS = ("prlimit", f"--nproc={_TASKS}", "--")
#: The first process of a namespace: signals that it does not know do not end it, so the tool is the second.
_INIT = ("sh", "-c", '"$@"; exit $?', "sh")


@contextmanager
def filter_of(sandbox: Sandbox) -> Iterator[tuple[int, ...]]:
    """The sandbox's filter as an open file for one tool to inherit; nothing where there is none."""
    if sandbox.filter is None:
        yield ()
        return
    with os.fdopen(os.memfd_create("kinolog-filter"), "w+b", buffering=0) as file:
        file.write(sandbox.filter)
        file.seek(0)
        yield (file.fileno(),)


def _prlimit(bounds: ResourceLimits) -> list[str]:
    return [
        "prlimit",
        f"--as={bounds.memory_bytes}",
        f"--cpu={bounds.cpu_s}",
        f"--fsize={bounds.file_bytes}",
        f"--nofile={bounds.open_files}",
        "--core=0",
        "--",
    ]


def _bwrap(sandbox: Sandbox, reach: FileAccess, filter_fd: int | None) -> list[str]:
    """No --new-session: the tool has no terminal, and must stay in the process group that is killed."""
    # The folders on the way would be made by root, and closed to the unprivileged user.
    above = ["/etc", *_parents((*reach.reads, *reach.writes))]
    mounts = [arg for folder in above for arg in ("--perms", "0755", "--dir", folder)]
    mounts += [arg for path in _SYSTEM for arg in ("--ro-bind-try", path, path)]
    for path in reach.reads:
        mounts += ["--ro-bind", str(path), str(path)]
    for path in reach.writes:
        mounts += ["--bind", str(path), str(path)]
    apart = ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    become: list[str] = []
    if sandbox.uid is None:  # without a change of user a user namespace takes the privileges away
        apart.append("--unshare-user")
    else:
        become = [*_SETPRIV, f"--reuid={sandbox.uid}", f"--regid={sandbox.uid}", "--clear-groups", "--"]
    refused = [] if filter_fd is None else ["--seccomp", str(filter_fd)]
    return [
        *("bwrap", *apart, "--die-with-parent", *refused),
        *("--dev", "/dev", "--size", str(_TMP_BYTES), "--tmpfs", "/tmp"),  # noqa: S108 - a mount point in there
        # What is left is memory, too: nothing more goes into it.
        *(*mounts, "--remount-ro", "/dev", "--remount-ro", "/"),
        *("--chdir", str(reach.cwd), "--", *become),
    ]


def _parents(paths: Sequence[Path]) -> list[str]:
    """Every folder above the paths, outermost first."""
    above = {str(parent) for path in paths for parent in path.parents}
    return sorted(above - {"/"})


async def detect(below: Path | None = None) -> Sandbox:
    """The best sandbox that really works here, found by running ffmpeg in each. Logs loudly what is missing.

    `below`: a folder for it; the system's temporary one otherwise.
    """
    for sandbox in _candidates():
        if await _works(sandbox, below):
            if sandbox.means is Isolation.NAMESPACES:
                log.warning("tools can read every file that we can: bubblewrap does not work here")
            elif sandbox.filter is None:
                log.warning("tools may start processes: system calls cannot be refused here")
            return sandbox
    log.error("tools run without a sandbox, with network and with our rights: neither bubblewrap nor unshare work here")
    return Sandbox(means=Isolation.BOUNDS)


def _candidates() -> list[Sandbox]:
    """Best first."""
    uid = UNPRIVILEGED_UID if os.geteuid() == 0 else None
    filters = dict.fromkeys((tool_filter(platform.machine()), None))
    return [
        *(Sandbox(means=Isolation.BUBBLEWRAP, uid=uid, filter=refused) for refused in filters),
        Sandbox(means=Isolation.NAMESPACES),
    ]


async def _works(sandbox: Sandbox, below: Path | None) -> bool:
    if not shutil.which("bwrap" if sandbox.means is Isolation.BUBBLEWRAP else "unshare"):
        return False
    with _trial_folder(below) as name:
        folder = Path(name)
        try:
            give(sandbox, folder)
        except PermissionError:
            return False
        bounds = ResourceLimits(memory_bytes=4 * 1024**3, cpu_s=int(_TRIAL_S), file_bytes=1024**2)
        with filter_of(sandbox) as fds:
            prefix = sandbox_argv(sandbox, bounds, FileAccess(writes=(folder,), cwd=folder), *fds)
            return await _succeeds([*prefix, *_TRIAL, str(folder / "frame")], fds)


def _trial_folder(below: Path | None) -> "tempfile.TemporaryDirectory[str]":
    if below is not None:
        below.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(prefix="kinolog-trial-", dir=below)


async def _succeeds(argv: Sequence[str], fds: tuple[int, ...]) -> bool:
    nowhere = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*argv, stdin=nowhere, stdout=nowhere, stderr=nowhere, pass_fds=fds)
    try:
        return await asyncio.wait_for(process.wait(), _TRIAL_S) == 0
    except TimeoutError:
        return False
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def give(sandbox: Sandbox, folder: Path) -> None:
    """Let the tool's user write into our folder and those in it. We are root then, and can read what it writes."""
    if sandbox.uid is not None:
        for path, _, _ in os.walk(folder):
            os.chown(path, sandbox.uid, sandbox.uid, follow_symlinks=False)


def may_read(sandbox: Sandbox, path: Path) -> bool:
    """Whether the tool's user can read the file once it is mounted; the folders above it do not matter then."""
    return sandbox.uid is None or bool(path.stat().st_mode & 0o004)
