"""Which connections are accepted: so many of one address at a time and a second. Pure; the time is an argument."""

from collections import Counter
from ipaddress import IPv6Address

from web.http.token_bucket import Buckets

#: Of an IPv6 address the network counts: one customer has all of it. Source: RFC 6177 section 2.
_NETWORK_BYTES = 8


class Admission:
    """Counts the connections of each address. 0: unlimited."""

    def __init__(self, per_address: int, per_s: float) -> None:
        """`per_s`: new ones of one address; bursts of as many as it may have are accepted."""
        self._per_address, self._per_s = per_address, per_s
        self._burst = float(max(per_address, 2 * per_s))
        self._open: Counter[str] = Counter()
        self._rates = Buckets()

    @property
    def tells_clients_apart(self) -> bool:
        """Whether an address stands for a client, not for a proxy of all."""
        return self._per_address > 0

    def enter(self, address: str, now: float) -> bool:
        """Whether another connection is accepted; `leave` must follow then."""
        source = source_of(address)
        if 0 < self._per_address <= self._open[source]:
            return False
        if self._per_s > 0 and self._rates.wait_s(source, now, per_s=self._per_s, burst=self._burst) > 0:
            return False
        self._open[source] += 1
        return True

    def leave(self, address: str) -> None:
        """Count one connection less."""
        source = source_of(address)
        self._open[source] -= 1
        if self._open[source] <= 0:
            del self._open[source]  # addresses that have left leave nothing behind


def source_of(address: str) -> str:
    """As whom an address counts: itself, or its IPv6 network."""
    if ":" not in address:
        return address
    parsed = IPv6Address(address.partition("%")[0])
    return str(parsed.ipv4_mapped) if parsed.ipv4_mapped else parsed.packed[:_NETWORK_BYTES].hex()
