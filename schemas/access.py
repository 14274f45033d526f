"""API tokens and signing keys: rows of the topic `media.tokens`, keyed by id. Times are seconds since the epoch."""

from typing import Literal

import msgspec

Role = Literal["viewer", "editor", "admin"]


class UsedToken(msgspec.Struct, frozen=True, kw_only=True):
    """A scheduler's token that was used, on the topic `media.calls`. The first record of an id counts."""

    #: Derived from the token's id.
    id: str
    #: Derived from the id of the message that it was used for.
    message: str


class TokenRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An API token. The last record of a key counts; the token itself is not stored."""

    id: str
    #: sha256 of the secret part, hex. The secret is random and long, so a fast hash is enough.
    digest: str
    role: Role
    created_at: float
    #: Owner whose jobs and assets it can access; unset only for operators.
    owner: str | None = None
    #: Purpose, as entered at creation.
    label: str | None = None
    #: When it expires.
    expires_at: float | None = None
    #: When it was revoked.
    revoked_at: float | None = None
    #: Owner or name of its creator.
    created_by: str | None = None
    #: Maximum requests per second to one replica; unset: the value of the setting.
    requests_per_s: float | None = None


class SigningKeyRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A key that signs media URLs, without the key: replicas derive it from their signing secret and the id."""

    #: "key_…".
    id: str
    #: When it was made; unset: it is a key of the settings.
    created_at: float | None = None
    #: Owner or name of its creator.
    created_by: str | None = None
    #: When it was revoked.
    revoked_at: float | None = None
    #: Owner or name of who revoked it.
    revoked_by: str | None = None
