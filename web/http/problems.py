"""Problem details: the one exception of an error response, its JSON, and its stable code. Source: RFC 9457."""

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web
from msgspec import UNSET, UnsetType

from processors.storage.disk_reserve import ReserveReached
from processors.storage.local_files import DISK_FULL
from web.http.cursors import InvalidCursor
from web.http.fair_semaphore import CALLER, QueueFull
from web.http.routing import Handler
from web.http.token_bucket import Buckets
from web.http.tracebacks import forget_tracebacks

log = logging.getLogger("kinolog.web")

#: The request's id, in responses and in the log.
REQUEST_ID = web.RequestKey("request_id", str)

#: The problem code of a response: for the audit and the metrics.
CODE = web.ResponseKey("code", str)
#: Seconds that a response waits before it is sent. It waits outside all middleware: what a request keeps while it is
#: handled, some hundred objects, is what collections of garbage look at.
DELAY_S = web.ResponseKey("delay_s", float)

#: Header of responses that leave the rest of the request body unread.
CLOSE = {"Connection": "close"}

_CLIENT_CLOSED_REQUEST = 499
#: Refusals that a client gets again and again: of too many requests, and of bodies that are not read.
_REPEATED = frozenset({413, 415, 429})
#: Those of one caller that come at once, per second and in a burst. The others take a while, in seconds: a
#: client that asks again and again would cost the others as much as if it were served.
_PROMPT_PER_S, _PROMPT_BURST, _TOO_MANY_S = 10.0, 100.0, 1.0
#: Statuses that the standard library does not know. Source: tus 1.0.0, Checksum.
_TITLES = {460: "Checksum Mismatch"}

#: Stable codes of aiohttp's own error responses.
_CODES = {
    404: "not-found",
    405: "method-not-allowed",
    413: "body-too-large",
    415: "unsupported-media-type",
    417: "expectation-failed",
}


class Problem(Exception):
    """An error response: HTTP status, stable code, and a sentence for the caller."""

    def __init__(self, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail, self.headers = status, code, detail, dict(headers or {})


#: Exception type -> the problem that it means, or None for a bug. The first type that matches decides.
ErrorTable = Mapping[type[Exception], Callable[[Any], Problem | None]]

#: The error table of the application.
ERROR_TABLE: web.AppKey[ErrorTable] = web.AppKey("error-table")
#: Refusals, by caller.
REFUSALS = web.AppKey("refusals", Buckets)


class ProblemView(msgspec.Struct, frozen=True, kw_only=True):
    """An error. Source: RFC 9457."""

    #: urn:kinolog:problem:<code>.
    type: str
    title: str
    status: int
    #: Stable, for programs.
    code: str
    #: One sentence for the caller.
    detail: str
    #: Documentation of the code.
    docs: str
    request_id: str | UnsetType = UNSET


def not_found(what: str) -> Problem:
    """404. Also for what the caller may not see: that it exists is not disclosed."""
    return Problem(404, "not-found", f"{what} not found")


def unavailable(code: str, detail: str, retry_after_s: int = 1) -> Problem:
    """503 with a Retry-After header."""
    return Problem(503, code, detail, {"Retry-After": str(retry_after_s)})


def problem_view(problem: Problem, request_id: str | UnsetType = UNSET) -> ProblemView:
    """Render the problem for clients."""
    return ProblemView(
        type=f"urn:kinolog:problem:{problem.code}",
        title=_TITLES.get(problem.status) or HTTPStatus(problem.status).phrase,
        status=problem.status,
        code=problem.code,
        detail=problem.detail,
        docs=f"/docs#{problem.code}",
        request_id=request_id,
    )


def as_problem(error: Exception, table: ErrorTable) -> Problem | None:
    """Map an exception to the problem that it means for the caller; None: a bug."""
    for kind, problem_of in table.items():
        if isinstance(error, kind):
            return problem_of(error)
    return None


def _of_disk(error: OSError) -> Problem | None:
    if isinstance(error, ReserveReached):
        detail = "the service's disk has no space for this: its last part is reserved"
        return Problem(507, "disk-reserved", detail, CLOSE | {"Retry-After": "60"})
    is_full = error.errno in DISK_FULL
    return unavailable("disk-full", "the service's disk is full: try again later", 5) if is_full else None


def _of_http(error: web.HTTPException) -> Problem:
    code = _CODES.get(error.status, f"http-{error.status}")
    allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    return Problem(error.status, code, error.reason, allow)


def _of_full_queue(_: QueueFull) -> Problem:
    detail = "too many of your requests wait for their turn: wait for their responses"
    return Problem(429, "too-many-waiting-requests", detail, {"Retry-After": "2"})


#: Exceptions of this package, aiohttp and the disk. web/app.py adds those of the layers above.
HTTP_ERRORS: ErrorTable = {
    Problem: lambda problem: problem,
    InvalidCursor: lambda error: Problem(400, "invalid-cursor", str(error)),
    QueueFull: _of_full_queue,
    web.RequestPayloadError: lambda _: Problem(400, "broken-body", "the body is malformed or incomplete", CLOSE),
    web.HTTPException: _of_http,
    OSError: _of_disk,
}


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Middleware that turns every error of a handler into problem+json; a bug's traceback goes to the log only."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        forget_tracebacks(error)  # the request keeps one about an unknown path
        if error.status < 400 or error.prepared:
            raise
        return _response(request, _of_http(error))
    except Exception as error:  # noqa: BLE001  this is where every error becomes a response
        try:
            if _is_of_a_client_that_left(request, error):
                return _unsent(request, error)
            if request.writer.output_size > 0:
                return _cut(request, error)
            # In a variable here, the error and its traceback would keep each other until garbage is collected.
            return _in_time(request, as_problem(error, request.app[ERROR_TABLE]) or _unexpected(request, error))
        finally:
            forget_tracebacks(error)


def _in_time(request: web.Request, problem: Problem) -> web.Response:
    response = _response(request, problem)
    if problem.status in _REPEATED:
        now = asyncio.get_running_loop().time()
        if request.app[REFUSALS].wait_s(CALLER.get(), now, per_s=_PROMPT_PER_S, burst=_PROMPT_BURST) > 0:
            # Not all at once: callers repeat in step, and hundreds of requests would come together each time.
            response[DELAY_S] = random.uniform(_TOO_MANY_S / 2, _TOO_MANY_S * 3 / 2)  # noqa: S311 - jitter, no secret
    return response


def _is_of_a_client_that_left(request: web.Request, error: Exception) -> bool:
    """Whether the client disconnected and the error is no bug."""
    has_left = request.transport is None or request.transport.is_closing()
    return has_left and (isinstance(error, ConnectionError) or as_problem(error, request.app[ERROR_TABLE]) is not None)


def _unsent(request: web.Request, error: Exception) -> web.Response:
    """Response for a client that disconnected, which is never read. Status 499 as nginx logs it."""
    extra = {"method": request.method, "path": request.path, "request_id": request.get(REQUEST_ID)}
    log.info("client disconnected", extra=extra | {"reason": str(error)[:200]})
    return web.Response(status=_CLIENT_CLOSED_REQUEST, reason="Client Closed Request")


def _cut(request: web.Request, error: Exception) -> web.Response:
    """Abort a response whose headers are sent: only a premature end shows the client that it is incomplete."""
    log.warning("response aborted", extra={"path": request.path, "error": repr(error)})
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


def _unexpected(request: web.Request, error: Exception) -> Problem:
    extra = {"method": request.method, "path": request.path, "request_id": request.get(REQUEST_ID)}
    log.error("request failed", extra=extra, exc_info=error)
    return Problem(500, "internal-error", "internal error: the service's log has details under the request id")


def _response(request: web.Request, problem: Problem) -> web.Response:
    if problem.status in (429, 503) and "text/event-stream" in request.headers.get("Accept", ""):
        return _reconnect(problem)
    text = msgspec.json.encode(problem_view(problem, request.get(REQUEST_ID, UNSET)))
    response = web.Response(body=text, status=problem.status, content_type="application/problem+json")
    response.headers.update(problem.headers)
    response[CODE] = problem.code
    if problem.headers.get("Connection") == "close":
        response.force_close()
    return response


def _reconnect(problem: Problem) -> web.Response:
    """An event stream that ends at once. An EventSource would give up for good on any status other than 200.

    Source: HTML Living Standard, section 9.2.2: retry sets the delay of its next request, milliseconds.
    """
    retry_ms = 1000 * int(problem.headers.get("Retry-After", "1"))
    reason = msgspec.json.encode({"reason": problem.code, "detail": problem.detail}).decode()
    response = web.Response(text=f"retry: {retry_ms}\nevent: end\ndata: {reason}\n\n", content_type="text/event-stream")
    response[CODE] = problem.code
    response.force_close()
    return response
