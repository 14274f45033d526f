"""Free TCP ports on loopback that stay free for a server that restarts."""

import random
import socket
from pathlib import Path

_EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOWEST = 10_240


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server can listen on `port` now. Connections of a dead server do not count."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)  # binding succeeds beside a listener that has SO_REUSEADDR; listening does not
        except OSError:
            return False
    return True


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
