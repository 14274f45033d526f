"""Cores that this process may use: of its affinity, and of the CPU quota of its container.

A container with a limit of two cores on a machine with 64 sees all of them: an encoder with 64 threads would be
throttled, and needs memory for each. Source: cgroups(7), proc(5), and of Linux's documentation cgroup-v2 and sched-bwc.
"""

import contextlib
import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

_PROC = Path("/proc/self")
#: Of the second version: quota and period, microseconds; no limit is "max".
_MAX = "cpu.max"
#: Of the first version; no limit is -1.
_QUOTA, _PERIOD = "cpu.cfs_quota_us", "cpu.cfs_period_us"


class _Mount(NamedTuple):
    """A hierarchy of control groups that this process sees."""

    #: The group at the mount point.
    root: str
    point: str
    is_second_version: bool


def available_cpus() -> int:
    """Number of cores, at least 1. Half a core of a quota counts as one."""
    affinity = len(os.sched_getaffinity(0))
    quota = cpu_quota()
    return affinity if quota is None else max(1, min(affinity, math.ceil(quota)))


def cpu_quota(proc: Path = _PROC) -> float | None:
    """The lowest CPU quota of this process's control groups and those above them, cores; None: there is none, or it
    cannot be read. `proc`: the process in proc(5).
    """
    with contextlib.suppress(OSError, ValueError):
        groups = _groups((proc / "cgroup").read_text())
        mounts = list(_mounts((proc / "mountinfo").read_text()))
        folders = {
            (folder, mount.is_second_version)
            for mount in mounts
            if mount.is_second_version in groups
            for folder in _folders(mount, groups[mount.is_second_version])
        }
        return min(filter(None, (_quota_of(*folder) for folder in folders)), default=None)
    return None


def _groups(text: str) -> dict[bool, str]:
    """The process's groups in the hierarchies that limit CPUs, by whether they are of the second version."""
    fields = [line.split(":", 2) for line in text.splitlines()]
    return {number == "0": path for number, kinds, path in fields if number == "0" or "cpu" in kinds.split(",")}


def _mounts(text: str) -> Iterator[_Mount]:
    for line in text.splitlines():
        fields, _, rest = line.partition(" - ")
        kind, _, options = rest.split(" ", 2)
        if kind == "cgroup2" or (kind == "cgroup" and "cpu" in options.split(",")):
            root, point = fields.split(" ")[3:5]
            yield _Mount(root, point, kind == "cgroup2")


def _folders(mount: _Mount, group: str) -> Iterator[Path]:
    """Folders of the group, and of those above it. A container may see its own group as the mount, under any name."""
    below = PurePosixPath(group)
    if below.is_relative_to(mount.root):
        below = PurePosixPath("/") / below.relative_to(mount.root)
    for folder in (below, *below.parents):
        yield Path(mount.point + str(folder))


def _quota_of(folder: Path, is_second_version: bool) -> float | None:
    """Cores; None: no limit, or no such group."""
    with contextlib.suppress(OSError, ValueError):
        if is_second_version:
            quota, period = (folder / _MAX).read_text().split()
        else:
            quota, period = ((folder / name).read_text() for name in (_QUOTA, _PERIOD))
        if int(quota) > 0 and int(period) > 0:
            return int(quota) / int(period)
    return None
