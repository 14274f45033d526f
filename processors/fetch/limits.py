"""Limits of downloads: the settings section `download`."""

import re

import msgspec

#: Source: RFC 9110 sections 5.1 and 5.5.
_NAME, _VALUE = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"), re.compile(r"[\x20-\x7e]*")
#: Headers that the download sets itself.
_OWN_HEADERS = frozenset(
    {"host", "connection", "content-length", "transfer-encoding", "accept-encoding", "range", "if-range"}
)


class FetchLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Downloads from remote servers: what is allowed, and how much."""

    #: Hosts exempt from the address and port checks, "host" or "host:port", as JSON or separated by commas.
    allow_hosts: tuple[str, ...] | str = ()
    #: Allowed ports, as JSON.
    ports: tuple[int, ...] = (80, 443)
    #: Largest file, bytes.
    max_bytes: int = 20 * 1024**3
    #: Time limit of one download including its retries, seconds.
    timeout_s: float = 3600.0
    #: Time limit of connecting, seconds.
    connect_timeout_s: float = 10.0
    #: Longest time without a byte, and the interval over which the speed is measured, seconds.
    stall_s: float = 20.0
    #: Lowest accepted speed, bytes per second.
    min_bytes_per_s: int = 1024
    #: Most redirects that are followed.
    max_redirects: int = 5
    #: Tries within one attempt when a connection breaks.
    tries: int = 3
    #: Further request headers by host, as JSON, for servers that demand a Referer or a browser's User-Agent, e.g.
    #: {"media.example.com": {"Referer": "https://example.com/"}}. Sent to exactly that host.
    headers: dict[str, dict[str, str]] = {}
    #: Concurrent downloads from one host; with Redis, across all executors.
    per_host: int = 4
    #: New downloads from one host per second; 0: unlimited.
    per_host_per_s: float = 0.0
    #: Seconds for which the result of a download is reused without asking the server again.
    fresh_s: float = 300.0

    def __post_init__(self) -> None:
        for host, headers in self.headers.items():
            for name, value in headers.items():
                if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value) or name.lower() in _OWN_HEADERS:
                    raise ValueError(f"KINOLOG_DOWNLOAD__HEADERS: {host[:80]}: the header {name[:80]!r} is not allowed")

    def headers_of(self, host: str) -> dict[str, str]:
        """Further headers of requests to a host."""
        return next((found for name, found in self.headers.items() if name.lower() == host.lower()), {})

    @property
    def allowed_hosts(self) -> tuple[str, ...]:
        """`allow_hosts` as a tuple, however it was written."""
        hosts = self.allow_hosts.split(",") if isinstance(self.allow_hosts, str) else self.allow_hosts
        return tuple(host.strip() for host in hosts if host.strip())
