"""API tokens: rows of the compacted topic `media.tokens`, keyed by token id. Times are seconds since the epoch."""

from typing import Literal

import msgspec

Role = Literal["viewer", "editor", "admin"]


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
