"""Settings of the HTTP interface, of its authentication and of compatibility routes."""

import re
from typing import Annotated, Literal

import msgspec

from streams.settings.section import PREFIX, Section, require_long

#: Scheme, host, and perhaps a path.
_PUBLIC_URL = re.compile(r"https?://[^/?#\s]+(/[^?#\s]*)?")


class Web(Section, frozen=True, kw_only=True):
    """The HTTP interface."""

    #: Address to bind. Every IPv4 address of the machine is `0.0.0.0`, every one of both versions `::`.
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
    #: Seconds after SIGTERM in which a replica serves on while `/readyz` responds 503, so that load balancers send it
    #: no requests any more once it is gone. A second signal ends it at once.
    drain_s: float = 0.0
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
        require_long(f"{PREFIX}AUTH__JWT__SECRET", self.secret)
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
        require_long(f"{PREFIX}AUTH__SIGNING_SECRET", self.signing_secret)
        require_long(f"{PREFIX}AUTH__PREVIOUS_SIGNING_SECRETS", *self.previous_signing_secrets)


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
        require_long(f"{PREFIX}COMPAT__SIGNING_KEY", self.signing_key)
        require_long(f"{PREFIX}COMPAT__NEXT_SIGNING_KEY", self.next_signing_key)
