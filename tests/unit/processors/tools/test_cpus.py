"""A container's CPU limit is found wherever the kernel tells it: each case is a layout as container runtimes make them.

Reports: ollama/ollama#17916, celery/celery#10328, thatmattlove/hyperglass#356, livekit/agents#3117,
conan-io/conan#11667, ClickHouse/ClickHouse#35815 (shares are no limit), eclipse-openj9/openj9#1166,
UKGovernmentBEIS/inspect_ai#5164.
"""

import os
from pathlib import Path
from typing import NamedTuple

import pytest

from processors.tools import cpus
from processors.tools.cpus import available_cpus, cpu_quota


class Layout(NamedTuple):
    #: /proc/self/cgroup, mounts (root, folder, kind), files by path below the mounts' folder, and the cores.
    cgroup: str
    mounts: tuple[tuple[str, str, str], ...]
    files: dict[str, str]
    cores: float | None


V2, V1 = "cgroup2", "cgroup"
LAYOUTS = {
    "docker, second version, a namespace": Layout("0::/\n", (("/", "c", V2),), {"c/cpu.max": "200000 100000\n"}, 2.0),
    "no limit, second version": Layout("0::/\n", (("/", "c", V2),), {"c/cpu.max": "max 100000\n"}, None),
    "the root group has no such file": Layout("0::/\n", (("/", "c", V2),), {"c/cpu.stat": ""}, None),
    "a systemd unit": Layout(
        "0::/system.slice/kinolog.service\n",
        (("/", "c", V2),),
        {
            "c/system.slice/kinolog.service/cpu.max": "150000 100000\n",
            "c/system.slice/cpu.max": "max 100000\n",
            "c/cpu.weight": "100\n",
        },
        1.5,
    ),
    "a pod has less than its container": Layout(
        "0::/kubepods/pod1/c1\n",
        (("/", "c", V2),),
        {"c/kubepods/pod1/c1/cpu.max": "max 100000\n", "c/kubepods/pod1/cpu.max": "50000 100000\n"},
        0.5,
    ),
    "the host's group names, its own group mounted": Layout(
        "0::/docker/abc\n", (("/docker/abc", "c", V2),), {"c/cpu.max": "400000 100000\n"}, 4.0
    ),
    "a group outside the namespace": Layout("0::/../other\n", (("/", "c", V2),), {"c/cpu.max": "300000 100000\n"}, 3.0),
    "first version": Layout(
        "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n",
        (("/docker/abc", "m", f"{V1} memory"), ("/docker/abc", "c", f"{V1} cpu,cpuacct")),
        {"c/cpu.cfs_quota_us": "200000\n", "c/cpu.cfs_period_us": "100000\n", "c/cpu.shares": "1024\n"},
        2.0,
    ),
    "first version, no limit but shares": Layout(
        "4:cpu:/\n",
        (("/", "c", f"{V1} cpu"),),
        {"c/cpu.cfs_quota_us": "-1\n", "c/cpu.cfs_period_us": "100000\n", "c/cpu.shares": "2\n"},
        None,
    ),
    "first version, a cpuset is not its quota": Layout(
        "3:cpuset:/x\n", (("/", "c", f"{V1} cpuset"),), {"c/x/cpu.cfs_quota_us": "100000\n"}, None
    ),
    "both versions, the limit in the first": Layout(
        "4:cpu:/a\n0::/b\n",
        (("/", "u", V2), ("/", "c", f"{V1} cpu")),
        {"c/a/cpu.cfs_quota_us": "800000\n", "c/a/cpu.cfs_period_us": "100000\n", "u/b/cgroup.procs": ""},
        8.0,
    ),
    "nothing is mounted": Layout("0::/\n", (), {}, None),
    "garbage": Layout("x\n", (("/", "c", V2),), {"c/cpu.max": "200000 100000\n"}, None),
    "a limit that is none": Layout("0::/\n", (("/", "c", V2),), {"c/cpu.max": "0 0\n"}, None),
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_the_quota_of_a_container_is_found(layout: Layout, tmp_path: Path) -> None:
    (tmp_path / "cgroup").write_text(layout.cgroup)
    lines = ["23 1 8:1 / / rw,relatime shared:1 - ext4 /dev/root rw"]
    for number, (root, folder, mounted) in enumerate(layout.mounts, start=30):
        kind, _, controllers = mounted.partition(" ")
        options = f"rw,{controllers}" if controllers else "rw,nsdelegate"
        lines.append(f"{number} 23 0:{number} {root} {tmp_path / folder} rw,nosuid shared:9 - {kind} {kind} {options}")
    (tmp_path / "mountinfo").write_text("\n".join(lines) + "\n")
    for name, text in layout.files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert cpu_quota(tmp_path) == layout.cores


def test_a_process_that_cannot_look_has_no_quota(tmp_path: Path) -> None:
    assert cpu_quota(tmp_path / "missing") is None


@pytest.mark.parametrize("quota, cores", [(None, 4), (0.1, 1), (1.0, 1), (1.5, 2), (3.0, 3), (64.0, 4)])
def test_a_part_of_a_core_counts_and_affinity_is_a_limit_too(
    monkeypatch: pytest.MonkeyPatch, quota: float | None, cores: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 7})
    monkeypatch.setattr(cpus, "cpu_quota", lambda: quota)
    assert available_cpus() == cores
