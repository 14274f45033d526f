"""Readiness notification of a process: systemd's protocol, which `kinolog up` uses too. Source: sd_notify(3)."""

import os
import socket


def ready() -> None:
    """Send READY=1 to $NOTIFY_SOCKET, if it is set. Harmless to repeat."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as peer:
        try:
            peer.connect(address.replace("@", "\0", 1) if address.startswith("@") else address)
            peer.send(b"READY=1")
        except OSError:
            return  # the listener has exited and does not need it any more
