"""What a download may do and use."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class FetchLimits:
    """Bounds of one download. Sizes in bytes, times in seconds."""

    #: "host" or "host:port" that may be asked wherever they are.
    allow_hosts: tuple[str, ...] = ()
    ports: tuple[int, ...] = (80, 443)
    max_bytes: int = 20 * 1024**3
    #: For all of it, every try included.
    timeout_s: float = 3600.0
    connect_timeout_s: float = 10.0
    #: Longest silence, and the stretch over which the speed is measured.
    stall_s: float = 20.0
    min_bytes_per_s: int = 1024
    max_redirects: int = 5
    #: Tries within one attempt when the connection breaks.
    tries: int = 3
    #: Pause before the second try; each further one is twice as long.
    pause_s: float = 0.5
