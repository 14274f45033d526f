"""Audit records on `media.audit`: requests and their results, chained by hash."""

from typing import ClassVar, Literal

import msgspec

from schemas.base import Message


class AuditLink(msgspec.Struct, frozen=True, kw_only=True):
    """The last record of the topic when a chain was opened."""

    offset: int
    #: sha256 of its value, hex.
    hash: str


class AuditRecorded(Message, frozen=True, kw_only=True):
    """A modifying or refused request, a refused record of the log, or the opening of a chain."""

    TYPE: ClassVar[str] = "media.audit.recorded.v1"

    #: Chain id; each start of a web replica opens a chain.
    chain: str
    #: Number within the chain, from 1.
    seq: int
    #: sha256 of the value of the chain's entry before this one, hex; empty for the first.
    prev: str
    #: When, seconds since the epoch.
    at: float
    #: Method and route, e.g. "POST /v1/jobs/{job_id}/cancel", or "refused-record", or "open".
    action: str
    #: Path of the request; topic, offset and key of a record.
    subject: str | None = None
    result: Literal["done", "refused", "failed"] = "done"
    #: HTTP status of the response.
    status: int | None = None
    #: Problem code of an error; of a record "unsigned", "forged" or "replayed".
    code: str | None = None
    #: Owner of the caller; unset for operators and unauthenticated callers.
    owner: str | None = None
    role: str | None = None
    #: Id of the token, never the token.
    token_id: str | None = None
    #: IP address of the client.
    remote: str | None = None
    request_id: str | None = None
    #: The last record of the topic when the chain was opened: ties the chains together.
    after: AuditLink | None = None
