"""The address filter of downloads: decides on the IP address that a socket is about to use, not on a name.

Whatever a name resolves to, however an address is written and wherever a redirect leads: the connection is made to the
same address that was checked, so DNS rebinding has no effect.
"""

import socket
from collections.abc import Collection
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any
from urllib.parse import quote, urlsplit

from yarl import URL

from processors.errors import InvalidUrl

#: Longest URL. Source: RFC 9110 section 4.1 recommends that at least 8,000 octets are supported.
MAX_URL_CHARS = 8000

#: Everything in ASCII is sent as it is given.
_TARGET = "".join(map(chr, range(0x21, 0x7F)))

#: Networks that `ipaddress.is_global` accepts although they do not identify a host.
_NOT_HOSTS = tuple(
    ip_network(network)
    for network in (
        "64:ff9b::/96",  # NAT64: carries any IPv4 address. Source: RFC 6052
        "64:ff9b:1::/48",  # the same for private networks. Source: RFC 8215
        "2002::/16",  # 6to4, and its anycast relay below. Source: RFC 7526
        "192.88.99.0/24",
        "2001::/23",  # protocol assignments, Teredo among them. Source: RFC 2928, RFC 4380
        "192.0.0.0/24",  # the same of IPv4; some clouds keep their metadata there. Source: RFC 6890
        "5f00::/16",  # segment routing. Source: RFC 9602
        "3fff::/20",  # documentation. Source: RFC 9637
        "::/96",  # IPv4-compatible. Source: RFC 4291 section 2.5.5.1
        "fec0::/10",  # site-local. Source: RFC 3879
    )
)


class Denied(OSError):
    """The IP address is forbidden."""


def is_public(text: str) -> bool:
    """Whether an IP address is global unicast: a host on the internet, and no tunnel into a private network."""
    address: IPv4Address | IPv6Address = ip_address(text.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if not address.is_global or address.is_multicast:
        return False
    return not any(address in network for network in _NOT_HOSTS if network.version == address.version)


class AddressFilter:
    """Checks the URLs and opens the sockets of one download. `allow_hosts`: trusted, "host" or "host:port"."""

    def __init__(self, ports: Collection[int], allow_hosts: Collection[str]) -> None:
        self._ports = frozenset(ports)
        self._allowed = frozenset(host.strip().lower().strip("[]") for host in allow_hosts)
        self._trusted = False
        #: The last IP address that was refused.
        self.denied: str | None = None

    def allow(self, text: str | URL) -> URL:
        """The URL of the next request. Raises InvalidUrl if it is not allowed."""
        url = checked_url(text)
        self._trusted = self._is_allowed(url)
        self.denied = None
        if not self._trusted and url.port not in self._ports:
            raise InvalidUrl(f"Port {url.port} is not allowed.")
        return url

    def make_socket(self, address: tuple[Any, ...]) -> socket.socket:
        """A socket for a resolved address. Raises Denied if it is forbidden."""
        family, kind, protocol, _, sockaddr = address
        if not self._trusted and not is_public(sockaddr[0]):
            self.denied = sockaddr[0]
            raise Denied(f"{sockaddr[0]} is not a public address")
        return socket.socket(family, kind, protocol)

    def _is_allowed(self, url: URL) -> bool:
        host = (url.host or "").lower()
        return host in self._allowed or f"{host}:{url.port}" in self._allowed


def checked_url(text: str | URL) -> URL:
    """Parse an http or https URL with a host and without credentials. Raises InvalidUrl."""
    plain = str(text)
    _require_plain(plain)
    if "\\" in plain:  # some parsers read it as a slash, so the host would be ambiguous
        raise InvalidUrl("The URL has a backslash.")
    try:
        url = URL(plain)
        port, host, named = url.port, url.host, "@" in urlsplit(plain).netloc
    except (ValueError, IndexError) as error:  # an IndexError is yarl's 1.x for "http://[z]@"
        raise InvalidUrl("The URL is malformed.", detail=str(error)[:200]) from error
    if url.scheme not in ("http", "https") or not host or port is None:
        raise InvalidUrl("The URL must be a complete http or https URL.")
    if "%" in host:  # an interface of this machine, or a name in disguise
        raise InvalidUrl("The host of the URL has a percent sign.")
    if named:
        raise InvalidUrl("The URL contains a user name or password. Remove it.")
    _require_plain(str(url))  # a name may have got a space in it on its way to ASCII
    return _as_given(url, plain)


def _as_given(url: URL, text: str) -> URL:
    """The URL with path and query exactly as in `text`, which may be signed; only what is not ASCII is encoded."""
    parts = urlsplit(text)
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    return URL(str(url.origin()) + quote(target, safe=_TARGET), encoded=True)


def _require_plain(text: str) -> None:
    if not text or len(text) > MAX_URL_CHARS or any(ord(char) <= 32 or ord(char) == 127 for char in text):
        raise InvalidUrl("The URL is empty, too long, or has spaces or control characters.")
