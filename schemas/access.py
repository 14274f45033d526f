"""Who may do what: rows of the compacted topic `media.tokens`, keyed by token id. Times are seconds since the epoch."""

from typing import Literal

import msgspec

Role = Literal["viewer", "editor", "admin"]


class TokenRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An API token. The last record of a key counts; the token itself is nowhere."""

    id: str
    #: sha256 of the secret part, hex. The secret is random and long, so a fast hash is enough.
    digest: str
    role: Role
    created_at: float
    #: Whose things it sees; unset only for an operator's.
    owner: str | None = None
    #: What it is for, in its maker's words.
    label: str | None = None
    #: When it ends by itself.
    expires_at: float | None = None
    #: When it was revoked.
    revoked_at: float | None = None
    #: Owner or name of who made it.
    created_by: str | None = None
    #: Most requests per second to one replica; unset: the setting's.
    requests_per_s: float | None = None
