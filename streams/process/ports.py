"""TCP ports that a server can listen on; free ones on loopback that stay free for a server that restarts."""

import errno
import random
import socket
from pathlib import Path
from typing import Any, NamedTuple

_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOWEST = 10_240
_LOOPBACK = "127.0.0.1"


class Refusal(NamedTuple):
    """Why no server can listen, and what to do."""

    reason: str
    remedy: str
    #: Whether another process has the port now.
    is_taken: bool


def name_to_bind(host: str) -> str | None:
    """The host to pass to getaddrinfo: None, which is every address of both IP versions, for "::"."""
    return None if host == "::" else host


def refusal(port: int, host: str = _LOOPBACK, section: str = "WEB") -> Refusal | None:
    """Why no server can listen on `port` of `host` now; None: one can. Connections of a dead server do not count.

    `section`: of the setting that names the port, `KINOLOG_<section>__PORT`. A broker's host is always loopback.
    """
    try:
        found = socket.getaddrinfo(name_to_bind(host), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, *_, address in found:
            _listen(family, address)
    except OSError as error:
        name = f"KINOLOG_{section}__PORT"
        if error.errno == errno.EADDRINUSE:
            return Refusal(f"Port {port} is in use.", f"Stop its process, or set {name} (0: any free port).", True)
        if error.errno in (errno.EACCES, errno.EPERM):
            return Refusal(f"This user may not listen on port {port}.", f"Set {name} to 1024 or higher.", False)
        own = "Set KINOLOG_WEB__HOST to an address of this machine, or to 0.0.0.0 for all of them."
        remedy = "Set up the loopback interface." if host == _LOOPBACK else own
        return Refusal(f"Nothing can listen on {host}: {error.strerror or error}.", remedy, False)
    return None


def is_free(port: int, host: str = _LOOPBACK) -> bool:
    """Whether a server can listen on `port` now."""
    return refusal(port, host) is None


def _listen(family: int, address: Any) -> None:
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        probe.bind(address)
        probe.listen(1)  # binding succeeds beside a listener that has SO_REUSEADDR; listening does not


def free_port() -> int:
    """A free port below the kernel's ephemeral range.

    A client that retries against a port inside that range can be given it as its own: it then talks to itself, and
    the server that was restarted finds its port taken (TCP simultaneous open, RFC 9293 section 3.5).
    """
    candidates = range(_LOWEST, _ephemeral_start())
    for port in random.sample(candidates, 200):
        if is_free(port):
            return port
    raise OSError("no free port on 127.0.0.1")


def _ephemeral_start() -> int:
    try:
        return max(int(_EPHEMERAL.read_text().split()[0]), _LOWEST + 1_000)
    except (OSError, ValueError, IndexError):
        return 32_768  # Linux's default, where /proc is not mounted
