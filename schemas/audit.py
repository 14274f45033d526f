"""Facts on `media.audit`: who asked for what, and what came of it. Each names the hash of the one before it."""

from typing import ClassVar, Literal

import msgspec

from schemas.base import Message


class AuditLink(msgspec.Struct, frozen=True, kw_only=True):
    """A record of the topic that stood there when a chain was opened."""

    offset: int
    #: sha256 of its value, hex.
    hash: str


class AuditRecorded(Message, frozen=True, kw_only=True):
    """One request that was to change something, or was refused, or the opening of a chain."""

    TYPE: ClassVar[str] = "media.audit.recorded.v1"

    #: The writer's chain; each start of a web replica opens one.
    chain: str
    #: Number within the chain, from 1.
    seq: int
    #: sha256 of the value of the chain's entry before this one, hex; empty for the first.
    prev: str
    #: When, seconds since the epoch.
    at: float
    #: What: method and route, e.g. "POST /v1/jobs/{job_id}/cancel", or "open".
    action: str
    #: On what: the path that was asked for.
    subject: str | None = None
    result: Literal["done", "refused", "failed"] = "done"
    #: HTTP status of the answer.
    status: int | None = None
    #: The problem's code, where it was one.
    code: str | None = None
    #: Who: the owner; unset for an operator, and where nobody was recognised.
    owner: str | None = None
    role: str | None = None
    #: Id of the token, never the token.
    token_id: str | None = None
    #: Address that the request came from.
    remote: str | None = None
    request_id: str | None = None
    #: The last record of the topic when the chain was opened: ties the chains together.
    after: AuditLink | None = None
