"""The sandbox of tools: command-line prefixes that remove every access a tool does not need.

    bubblewrap   own root with the system folders and the named files only, no network, own PID namespace, own user, and
                 the system calls of processors/tools/seccomp.py denied
    namespaces   no network, own PID namespace, no privileges; sees the whole file system
    bounds       prlimit only

All three limit memory, CPU time, file size and open files, exit with the parent, and are killed first when memory runs
out. Source: bwrap(1), unshare(1), setpriv(1), prlimit(1), choom(1).
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

#: nobody, nogroup. Tools run as this user if kinolog runs as root.
UNPRIVILEGED_UID = 65534
#: Paths that a dynamically linked Debian program reads; /etc/alternatives links to libblas and others.
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc/alternatives", "/etc/ld.so.cache")
#: Size of /tmp, which is memory outside the limits of a process.
_TMP_BYTES = 16 * 1024**2
#: Maximum threads and processes of the tool's user: of one tool, or of all tools where they run as nobody.
_TASKS = 4096
#: The kernel kills tools before other processes of kinolog when memory runs out. Source: proc(5), oom_score_adj.
_OOM_SCORE_ADJ = 500
#: Time limit of a sandbox trial: generous, so that a busy machine does not get a weaker sandbox.
_TRIAL_S = 60.0
#: A run of ffmpeg that needs its libraries and writes one file.
_TRIAL = ("ffmpeg", "-nostdin", "-v", "error", "-f", "lavfi", "-i", "color=size=16x16:duration=0.04", "-f", "rawvideo")


class Isolation(Enum):
    """Kinds of isolation, strongest first."""

    BUBBLEWRAP = "bubblewrap"
    NAMESPACES = "namespaces"
    BOUNDS = "bounds"


@dataclass(frozen=True, kw_only=True)
class Sandbox:
    """The isolation of tools on this machine."""

    isolation: Isolation
    #: User id of tools; unset: that of kinolog.
    uid: int | None = None
    #: Seccomp filter, see processors/tools/seccomp.py; unset: none.
    filter: bytes | None = None


@dataclass(frozen=True, kw_only=True)
class ResourceLimits:
    """Resource limits of one tool."""

    memory_bytes: int
    cpu_s: int
    file_bytes: int
    open_files: int = 512


@dataclass(frozen=True, kw_only=True)
class FileAccess:
    """Files that one tool can access: absolute paths that exist."""

    reads: tuple[Path, ...] = ()
    #: Folders.
    writes: tuple[Path, ...] = ()
    cwd: Path


def sandbox_argv(
    sandbox: Sandbox, limits: ResourceLimits, access: FileAccess, filter_fd: int | None = None
) -> list[str]:
    """The prefix of the tool's command line. The tool keeps its process group.

    `filter_fd`: file descriptor of the seccomp filter, see `filter_of`.
    """
    limited = ["choom", "-n", str(_OOM_SCORE_ADJ), "--", *_prlimit(limits)]
    match sandbox.isolation:
        case Isolation.BUBBLEWRAP:
            return [*limited, *_bwrap(sandbox, access, filter_fd), *_LIMIT_TASKS]
        case Isolation.NAMESPACES:
            return [*limited, *_EXIT_WITH_PARENT, *_UNSHARE, *_SETPRIV, "--", *_LIMIT_TASKS, *_INIT]
        case Isolation.BOUNDS:
            return [*limited, "setpriv", "--no-new-privs", "--pdeathsig=KILL", "--"]


_SETPRIV = ("setpriv", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all")
_EXIT_WITH_PARENT = ("setpriv", "--pdeathsig=KILL", "--")
_UNSHARE = (
    *("unshare", "--net", "--pid", "--ipc", "--uts", "--mount-proc", "--map-root-user"),
    *("--fork", "--kill-child=KILL", "--"),
)
#: Inside the namespace: outside, all other processes of the user would count.
_LIMIT_TASKS = ("prlimit", f"--nproc={_TASKS}", "--")
#: The first process of a namespace ignores unhandled signals, so the tool is the second.
_INIT = ("sh", "-c", '"$@"; exit $?', "sh")


@contextmanager
def filter_of(sandbox: Sandbox) -> Iterator[tuple[int, ...]]:
    """The seccomp filter as an open file descriptor for one tool to inherit; empty without a filter."""
    if sandbox.filter is None:
        yield ()
        return
    with os.fdopen(os.memfd_create("kinolog-filter"), "w+b", buffering=0) as file:
        file.write(sandbox.filter)
        file.seek(0)
        yield (file.fileno(),)


def _prlimit(limits: ResourceLimits) -> list[str]:
    return [
        "prlimit",
        f"--as={limits.memory_bytes}",
        f"--cpu={limits.cpu_s}",
        f"--fsize={limits.file_bytes}",
        f"--nofile={limits.open_files}",
        "--core=0",
        "--",
    ]


def _bwrap(sandbox: Sandbox, access: FileAccess, filter_fd: int | None) -> list[str]:
    """No --new-session: the tool has no terminal, and must remain in the process group that is killed."""
    # Otherwise bwrap creates parent folders as root, without access for the unprivileged user.
    above = ["/etc", *_parents((*access.reads, *access.writes))]
    mounts = [arg for folder in above for arg in ("--perms", "0755", "--dir", folder)]
    mounts += [arg for path in _SYSTEM for arg in ("--ro-bind-try", path, path)]
    for path in access.reads:
        mounts += ["--ro-bind", str(path), str(path)]
    for path in access.writes:
        mounts += ["--bind", str(path), str(path)]
    namespaces = ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    switch_user: list[str] = []
    if sandbox.uid is None:  # without a change of user, a user namespace drops the privileges
        namespaces.append("--unshare-user")
    else:
        switch_user = [*_SETPRIV, f"--reuid={sandbox.uid}", f"--regid={sandbox.uid}", "--clear-groups", "--"]
    seccomp = [] if filter_fd is None else ["--seccomp", str(filter_fd)]
    return [
        *("bwrap", *namespaces, "--die-with-parent", *seccomp),
        *("--dev", "/dev", "--size", str(_TMP_BYTES), "--tmpfs", "/tmp"),  # noqa: S108 - a mount point in there
        # The remaining mounts are memory too: make them read-only.
        *(*mounts, "--remount-ro", "/dev", "--remount-ro", "/"),
        *("--chdir", str(access.cwd), "--", *switch_user),
    ]


def _parents(paths: Sequence[Path]) -> list[str]:
    """Every folder above the paths, outermost first."""
    above = {str(parent) for path in paths for parent in path.parents}
    return sorted(above - {"/"})


async def detect(below: Path | None = None) -> Sandbox:
    """The strongest sandbox that works on this machine, by running ffmpeg in each. Logs what is missing.

    `below`: folder for the trial; the system's temporary folder by default.
    """
    for sandbox in _candidates():
        if await _works(sandbox, below):
            if sandbox.isolation is Isolation.NAMESPACES:
                log.warning("tools can read every file that kinolog can read: bubblewrap does not work on this machine")
            elif sandbox.filter is None:
                log.warning("tools can start processes: seccomp filters do not work on this machine")
            return sandbox
    return Sandbox(isolation=Isolation.BOUNDS)


def _candidates() -> list[Sandbox]:
    """Best first."""
    uid = UNPRIVILEGED_UID if os.geteuid() == 0 else None
    filters = dict.fromkeys((tool_filter(platform.machine()), None))
    return [
        *(Sandbox(isolation=Isolation.BUBBLEWRAP, uid=uid, filter=seccomp) for seccomp in filters),
        Sandbox(isolation=Isolation.NAMESPACES),
    ]


async def _works(sandbox: Sandbox, below: Path | None) -> bool:
    if not shutil.which("bwrap" if sandbox.isolation is Isolation.BUBBLEWRAP else "unshare"):
        return False
    with _trial_folder(below) as name:
        folder = Path(name)
        try:
            give_access(sandbox, folder)
        except PermissionError:
            return False
        limits = ResourceLimits(memory_bytes=4 * 1024**3, cpu_s=int(_TRIAL_S), file_bytes=1024**2)
        with filter_of(sandbox) as fds:
            prefix = sandbox_argv(sandbox, limits, FileAccess(writes=(folder,), cwd=folder), *fds)
            return await _succeeds([*prefix, *_TRIAL, str(folder / "frame")], fds)


def _trial_folder(below: Path | None) -> "tempfile.TemporaryDirectory[str]":
    if below is not None:
        below.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(prefix="kinolog-trial-", dir=below)


async def _succeeds(argv: Sequence[str], fds: tuple[int, ...]) -> bool:
    devnull = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*argv, stdin=devnull, stdout=devnull, stderr=devnull, pass_fds=fds)
    try:
        return await asyncio.wait_for(process.wait(), _TRIAL_S) == 0
    except TimeoutError:
        return False
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def give_access(sandbox: Sandbox, folder: Path) -> None:
    """Make a folder and its subfolders writable for the tool's user. kinolog is root then, and can read its files."""
    if sandbox.uid is not None:
        for path, _, _ in os.walk(folder):
            os.chown(path, sandbox.uid, sandbox.uid, follow_symlinks=False)


def can_read(sandbox: Sandbox, path: Path) -> bool:
    """Whether the tool's user can read the mounted file; parent folders do not matter."""
    return sandbox.uid is None or bool(path.stat().st_mode & 0o004)
