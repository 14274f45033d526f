"""The command line that takes everything away from a tool which it does not need."""

import os
import shlex
from pathlib import Path

from processors.tools.sandbox import FileAccess, Isolation, ResourceLimits, Sandbox, can_read, filter_of, sandbox_argv

_BOUNDS = ResourceLimits(memory_bytes=1000, cpu_s=20, file_bytes=3000, open_files=64)
_REACH = FileAccess(reads=(Path("/store/a/source"),), writes=(Path("/scratch/1"),), cwd=Path("/scratch/1"))
_PRLIMIT = "choom -n 500 -- prlimit --as=1000 --cpu=20 --fsize=3000 --nofile=64 --core=0 -- "


def _text(sandbox: Sandbox) -> str:
    return shlex.join(sandbox_argv(sandbox, _BOUNDS, _REACH))


def test_bubblewrap_shows_the_system_the_source_and_what_may_be_written() -> None:
    assert _text(Sandbox(isolation=Isolation.BUBBLEWRAP, uid=65534)) == (
        _PRLIMIT
        + "bwrap --unshare-ipc --unshare-pid --unshare-net --unshare-uts --unshare-cgroup-try --die-with-parent "
        "--dev /dev --size 16777216 --tmpfs /tmp --perms 0755 --dir /etc --perms 0755 --dir /scratch "
        "--perms 0755 --dir /store --perms 0755 --dir /store/a --ro-bind-try /usr /usr --ro-bind-try /bin /bin "
        "--ro-bind-try /sbin /sbin --ro-bind-try /lib /lib --ro-bind-try /lib64 /lib64 "
        "--ro-bind-try /etc/alternatives /etc/alternatives --ro-bind-try /etc/ld.so.cache /etc/ld.so.cache "
        "--ro-bind /store/a/source /store/a/source --bind /scratch/1 /scratch/1 "
        "--remount-ro /dev --remount-ro / --chdir /scratch/1 -- setpriv --no-new-privs "
        "--bounding-set=-all --inh-caps=-all --reuid=65534 --regid=65534 --clear-groups -- prlimit --nproc=4096 --"
    )


def test_who_is_not_root_keeps_his_user_and_gets_a_user_namespace() -> None:
    text = _text(Sandbox(isolation=Isolation.BUBBLEWRAP))
    assert "--unshare-user" in text
    assert "setpriv" not in text


def test_without_bubblewrap_there_is_no_network_and_the_tool_dies_with_us() -> None:
    assert _text(Sandbox(isolation=Isolation.NAMESPACES)) == (
        _PRLIMIT + "setpriv --pdeathsig=KILL -- unshare --net --pid --ipc --uts --mount-proc --map-root-user --fork "
        "--kill-child=KILL -- setpriv --no-new-privs --bounding-set=-all --inh-caps=-all -- prlimit --nproc=4096 -- "
        """sh -c '"$@"; exit $?' sh"""
    )


def test_a_filter_is_handed_over_as_an_open_file() -> None:
    sandbox = Sandbox(isolation=Isolation.BUBBLEWRAP, filter=b"a filter")
    with filter_of(sandbox) as (number,):
        assert f"--seccomp {number}" in shlex.join(sandbox_argv(sandbox, _BOUNDS, _REACH, number))
        assert os.read(number, 100) == b"a filter"
    with filter_of(Sandbox(isolation=Isolation.BUBBLEWRAP)) as none:
        assert none == ()
    assert "--seccomp" not in _text(Sandbox(isolation=Isolation.BUBBLEWRAP))


def test_without_namespaces_the_bounds_remain() -> None:
    assert _text(Sandbox(isolation=Isolation.BOUNDS)) == _PRLIMIT + "setpriv --no-new-privs --pdeathsig=KILL --"


def test_a_private_file_cannot_be_read_by_another_user(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"x")
    source.chmod(0o600)
    assert can_read(Sandbox(isolation=Isolation.NAMESPACES), source)
    assert not can_read(Sandbox(isolation=Isolation.BUBBLEWRAP, uid=65534), source)
    source.chmod(0o644)
    assert can_read(Sandbox(isolation=Isolation.BUBBLEWRAP, uid=65534), source)
