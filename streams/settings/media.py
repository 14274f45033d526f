"""Settings of the store, the cache, retention and Redis."""

from itertools import chain

from processors.storage.keys import FOLDERS, InvalidKey, checked_key
from streams.settings.section import PREFIX, Section

_OWNER_PREFIXES = f"{PREFIX}STORE__OWNER_PREFIXES"


class Store(Section, frozen=True, kw_only=True):
    """Media storage."""

    #: URL of the store: "file:///folder" or "s3://bucket[/prefix]"; unset: <data_dir>/store.
    url: str | None = None
    #: Folders that inputs given as `path` must be in, as JSON.
    input_roots: tuple[str, ...] = ()
    #: Further inputs that owners may use besides their own uploads and assets, as JSON: by owner, prefixes of `object`
    #: keys and, with a leading "/", folders of `path`. "*": every owner; {owner}: the owner's name. Admins may use any
    #: input. E.g. {"*": ["media/{owner}"], "cms": ["attachments", "/srv/cms"]}
    owner_prefixes: dict[str, tuple[str, ...]] = {}
    #: Public URL of the object store's server for presigned URLs, if it differs from AWS_ENDPOINT_URL.
    public_endpoint: str | None = None
    #: Whether /media redirects to presigned URLs of the bucket, which needs a CORS rule there.
    redirect: bool = True
    #: Maximum size of an executor's local cache of bucket objects, bytes.
    local_cache_bytes: int = 20 * 1024**3
    #: A source in a bucket is large from this size on, bytes: its job's steps go to the executor that has it in its
    #: cache, if that has a slot free.
    large_source_bytes: int = 256 * 1024**2

    def __post_init__(self) -> None:
        if self.public_endpoint is not None and not self.public_endpoint.startswith(("http://", "https://")):
            raise ValueError(f"{PREFIX}STORE__PUBLIC_ENDPOINT: must start with http:// or https://")
        for prefix in chain.from_iterable(self.owner_prefixes.values()):
            _require_owner_prefix(prefix)


def _require_owner_prefix(prefix: str) -> None:
    """Reject an invalid prefix, and folders whose files have owners already. Raises ValueError."""
    if prefix.startswith("/"):
        return
    try:
        folder = checked_key(prefix.rstrip("/")).partition("/")[0]
    except InvalidKey as error:
        raise ValueError(f"{_OWNER_PREFIXES}: {error}") from error
    if folder.casefold() in FOLDERS:
        raise ValueError(f"{_OWNER_PREFIXES}: {prefix[:80]!r} is in {folder}/, where each file already has an owner")


_REDIS_SCHEMES = ("redis://", "rediss://", "unix://")


class Redis(Section, frozen=True, kw_only=True):
    """Redis, which executors share limits and single-flight through; its content may be lost at any time."""

    #: URL of the server or of a cluster's, "redis://[user:password@]host:port/0", "rediss://…" with TLS, "unix://path";
    #: unset: each executor has its own limits.
    url: str | None = None
    #: Response timeout, seconds.
    timeout_s: float = 1.0
    #: Lease time of a download, seconds: after that another executor takes over from a dead one.
    lease_s: float = 10.0

    def __post_init__(self) -> None:
        if self.url is not None and not self.url.startswith(_REDIS_SCHEMES):
            raise ValueError(f"{PREFIX}REDIS__URL: must start with {', '.join(_REDIS_SCHEMES)}")


class Cache(Section, frozen=True, kw_only=True):
    """Cache of remote media."""

    #: Maximum size of the cache, bytes; the least recently used media is evicted. 0: unlimited.
    max_bytes: int = 0
    #: Check interval, seconds.
    every_s: float = 60.0
    #: Lifetime of URLs that `resolve` returns, seconds.
    url_ttl_s: int = 3600


class Retention(Section, frozen=True, kw_only=True):
    """Retention of finished jobs; their assets are kept. A pipeline file may override it (`keep`)."""

    #: Maximum number of jobs kept per pipeline and final state (completed, failed, cancelled); 0: unlimited.
    jobs: int = 100_000
    #: Age since its end at which a job is removed, seconds; 0: never.
    age_s: float = 30 * 86_400.0
    #: Maximum number of jobs that a replica removes because of their age in one check; 0: unlimited. Bounds the loss
    #: when a broker's clock is wrong.
    max_aged: int = 10_000
    #: Check interval, seconds.
    every_s: float = 60.0
