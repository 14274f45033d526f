"""What the kernel will say to a call, found by running the filter as it would."""

import errno
import struct

import pytest

from processors.tools.seccomp import tool_filter

_ALLOWED, _KILLED = "allowed", "killed"
_X86, _ARM = 0xC000003E, 0xC00000B7
_THREAD, _PROCESS = 0x00010000, 17


def _says(machine: str, audit: int, number: int, argument: int = 0) -> str:
    """Source: linux/filter.h; only the instructions that a filter of ours may have."""
    content = tool_filter(machine)
    assert content is not None
    program = list(struct.iter_unpack("=HBBI", content))
    call = struct.pack("=IIQQ", number, audit, 0, argument)
    held = at = 0
    while True:
        code, then, otherwise, value = program[at]
        at += 1
        if code == 0x20:
            (held,) = struct.unpack_from("=I", call, value)
        elif code == 0x06:
            return {0x7FFF0000: _ALLOWED, 0x80000000: _KILLED}.get(value) or errno.errorcode[value & 0xFFFF]
        else:
            holds = {0x15: held == value, 0x35: held >= value, 0x45: bool(held & value)}[code]
            at += then if holds else otherwise


@pytest.mark.parametrize(
    "number, argument, answer",
    [
        (0, 0, _ALLOWED),  # read
        (59, 0, _ALLOWED),  # execve
        (231, 0, _ALLOWED),  # exit_group
        (41, 0, "EPERM"),  # socket
        (57, 0, "EPERM"),  # fork
        (101, 0, "EPERM"),  # ptrace
        (319, 0, "EPERM"),  # memfd_create
        (251, 0, _ALLOWED),  # above keyctl
        (435, 0, "ENOSYS"),  # clone3
        (56, _PROCESS, "EPERM"),
        (56, _THREAD | 0x3D0F00, _ALLOWED),
        (0x40000000 + 41, 0, "ENOSYS"),
    ],
)
def test_on_x86(number: int, argument: int, answer: str) -> None:
    assert _says("x86_64", _X86, number, argument) == answer


@pytest.mark.parametrize(
    "number, argument, answer",
    [
        (63, 0, _ALLOWED),  # read
        (198, 0, "EPERM"),  # socket
        (117, 0, "EPERM"),  # ptrace
        (57, 0, _ALLOWED),  # close
        (435, 0, "ENOSYS"),
        (220, _PROCESS, "EPERM"),
        (220, _THREAD, _ALLOWED),
    ],
)
def test_on_arm(number: int, argument: int, answer: str) -> None:
    assert _says("aarch64", _ARM, number, argument) == answer


def test_a_call_of_another_architecture_ends_the_tool() -> None:
    assert _says("x86_64", 0x40000003, 0) == _KILLED


def test_a_machine_that_is_not_known_has_no_filter() -> None:
    assert tool_filter("riscv64") is None
