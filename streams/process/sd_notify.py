"""Tells whoever started this process that it is ready: systemd's notification protocol.

Source: sd_notify(3). `kinolog up` listens the same way, so systemd's Type=notify works too.
"""

import os
import socket


def ready() -> None:
    """Say READY=1 on $NOTIFY_SOCKET; nothing happens when nobody asked. Harmless to repeat."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as peer:
        try:
            peer.connect(address.replace("@", "\0", 1) if address.startswith("@") else address)
            peer.send(b"READY=1")
        except OSError:
            return  # the listener has gone: then nobody waits for the word
