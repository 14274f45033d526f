"""Limits of downloads: the settings section `download`."""

import msgspec


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
    #: Concurrent downloads from one host; with Redis, across all executors.
    per_host: int = 4
    #: New downloads from one host per second; 0: unlimited.
    per_host_per_s: float = 0.0
    #: Seconds for which the result of a download is reused without asking the server again.
    fresh_s: float = 300.0

    @property
    def allowed_hosts(self) -> tuple[str, ...]:
        """`allow_hosts` as a tuple, however it was written."""
        hosts = self.allow_hosts.split(",") if isinstance(self.allow_hosts, str) else self.allow_hosts
        return tuple(host.strip() for host in hosts if host.strip())
