"""Errors of the client.

ClientError
├── InvalidUrl      the URL of the service is not an http(s) URL
├── Unreachable     there is no response, or it broke off
└── Rejected        an error response: HTTP status, stable code, title and detail
    ├── Unauthorized    401, 403: the token is missing or invalid, or its role may not do this
    ├── NotFound        404
    └── Conflict        409: not possible in the present state
"""

from collections.abc import Mapping
from typing import Any


class ClientError(Exception):
    """A request failed."""

    #: Exit code of the command line.
    exit_code = 2


class InvalidUrl(ClientError):
    """The URL of the service is not an http(s) URL with a host."""


class Unreachable(ClientError):
    """There is no response at the URL, or the connection broke."""

    exit_code = 3


class Rejected(ClientError):
    """An error response. `code` is stable (application/problem+json, RFC 9457)."""

    def __init__(self, status: int, code: str, title: str, detail: str = "") -> None:
        super().__init__(f"{detail or title} ({code})")
        self.status, self.code, self.title, self.detail = status, code, title, detail
        self.exit_code = 3 if status >= 500 else 2


class Unauthorized(Rejected):
    """The token is missing or invalid, or its role may not do this."""


class NotFound(Rejected):
    """It does not exist, or belongs to another owner."""


class Conflict(Rejected):
    """Not possible in the present state."""


_BY_STATUS: dict[int, type[Rejected]] = {401: Unauthorized, 403: Unauthorized, 404: NotFound, 409: Conflict}


def rejection(status: int, problem: Mapping[str, Any]) -> Rejected:
    """The error of a response with this status and problem document."""
    kind = _BY_STATUS.get(status, Rejected)
    title = problem.get("title") or f"HTTP {status}"
    return kind(status, problem.get("code") or f"http-{status}", title, problem.get("detail") or "")
