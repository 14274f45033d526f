"""A network of our own that can be cut: loopback in a network namespace. Whatever kills us, nothing of it stays.

Routing rules drop packets by port: connections stay open and silent, as when a cable is pulled.
"""

import shutil
import subprocess

from tests.chaos.namespaces import NETWORK, unshare

#: Local addresses are looked up before any other rule is asked; they must wait for ours. Source: ip-rule(8).
_SET_UP = (
    ("link", "set", "lo", "up"),
    ("rule", "add", "pref", "10", "lookup", "local"),
    ("rule", "del", "pref", "0"),
)


def private_network() -> bool:
    """Give this process a loopback of its own; False where the machine allows none. Before there are threads."""
    if shutil.which("ip") is None or not _works() or not unshare(NETWORK):
        return False
    for words in _SET_UP:
        subprocess.run(["ip", *words], check=True)
    return True


def cut(*ports: int) -> None:
    """No packet to or from these ports goes through."""
    for words in _cuts(ports):
        subprocess.run(["ip", "rule", "add", *words], check=True)


def mend(*ports: int) -> None:
    """Undo `cut`."""
    for words in _cuts(ports):
        subprocess.run(["ip", "rule", "del", *words], check=True)


def _cuts(ports: tuple[int, ...]) -> list[list[str]]:
    return [
        ["pref", "5", "ipproto", "tcp", side, str(port), "blackhole"] for port in ports for side in ("dport", "sport")
    ]


def _works() -> bool:
    """Whether all of it works, tried in a namespace that goes at once."""
    lines = [["ip", *words] for words in _SET_UP]
    lines += [["ip", "rule", what, *words] for what in ("add", "del") for words in _cuts((1,))]
    script = " && ".join(" ".join(line) for line in lines)
    tried = subprocess.run(["unshare", "--net", "sh", "-c", script], check=False, capture_output=True)
    return tried.returncode == 0
