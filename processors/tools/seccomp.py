"""The seccomp filter of tools: the system calls that the kernel denies. Pure.

A decoder reads, computes, starts threads and writes. It needs no socket, no other process and no memory outside its
address space. Without these, the limits of one process are the limits of everything that a file can make it do.

Source: seccomp(2), Linux Documentation/userspace-api/seccomp_filter; asm/unistd_64.h, asm-generic/unistd.h.
"""

import errno
import struct
from collections.abc import Iterator
from typing import NamedTuple


class _Machine(NamedTuple):
    """Properties of a processor architecture."""

    #: Source: linux/audit.h.
    audit: int
    #: Index of its numbers in `_DENIED`.
    column: int
    clone: int


#: By name as in uname(1).
_MACHINES = {"x86_64": _Machine(0xC000003E, 0, 56), "aarch64": _Machine(0xC00000B7, 1, 220)}

#: Numbers on x86_64 and on aarch64.
_DENIED = {
    "socket": (41, 198),
    "socketpair": (53, 199),
    # processes; threads use clone
    "fork": (57, None),
    "vfork": (58, None),
    "unshare": (272, 97),
    "setns": (308, 268),
    "personality": (135, 92),
    # other processes
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    # memory outside the address space
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "msgget": (68, 186),
    "semget": (64, 190),
    "mq_open": (240, 180),
    # mounts
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "fanotify_init": (300, 262),
    # large kernel interfaces that no decoder needs
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
}
#: Its flags are in memory, where no filter sees them: without it the C library uses `clone`.
_CLONE3 = 435
_CLONE_THREAD = 0x00010000
#: Numbers from here are calls of the x32 ABI on x86_64.
_X32 = 0x40000000

#: Instructions of classic BPF. Source: linux/bpf_common.h.
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
#: Offsets of fields. Source: linux/seccomp.h, struct seccomp_data.
_NUMBER_AT, _AUDIT_AT, _FIRST_ARGUMENT_AT = 0, 4, 16
#: Source: linux/seccomp.h, SECCOMP_RET_*.
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000


def tool_filter(machine: str) -> bytes | None:
    """The filter for an architecture as in uname(1); None for an unknown one."""
    known = _MACHINES.get(machine)
    return None if known is None else b"".join(_program(known))


def _program(machine: _Machine) -> Iterator[bytes]:
    yield _step(_LOAD, _AUDIT_AT)
    yield _step(_EQUAL, machine.audit, then=1)
    yield _step(_RETURN, _KILL)
    yield _step(_LOAD, _NUMBER_AT)
    yield from _return_if(_AT_LEAST, _X32, _ERROR | errno.ENOSYS)
    yield from _return_if(_EQUAL, _CLONE3, _ERROR | errno.ENOSYS)
    for numbers in _DENIED.values():
        if (number := numbers[machine.column]) is not None:
            yield from _return_if(_EQUAL, number, _ERROR | errno.EPERM)
    yield _step(_EQUAL, machine.clone, then=1)
    yield _step(_RETURN, _ALLOW)
    yield _step(_LOAD, _FIRST_ARGUMENT_AT)
    yield _step(_ANY_BIT, _CLONE_THREAD, otherwise=1)
    yield _step(_RETURN, _ALLOW)
    yield _step(_RETURN, _ERROR | errno.EPERM)


def _return_if(test: int, value: int, then: int) -> Iterator[bytes]:
    yield _step(test, value, otherwise=1)
    yield _step(_RETURN, then)


def _step(code: int, value: int, *, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("=HBBI", code, then, otherwise, value)
