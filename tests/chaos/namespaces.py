"""Namespaces of our own. Source: unshare(2)."""

import ctypes

MOUNTS, NETWORK = 0x00020000, 0x40000000


def unshare(kind: int) -> bool:
    """Give this process a namespace of its own; False where the machine allows none. Before there are threads."""
    return bool(ctypes.CDLL(None, use_errno=True).unshare(kind) == 0)
