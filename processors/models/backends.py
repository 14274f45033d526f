"""Backends of a model step: an ordered chain of local models and endpoints, each the fallback of the one before."""

import asyncio
import importlib.util
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import aiohttp
import orjson

from processors.errors import (
    AnswerInvalid,
    BackendError,
    EndpointAsleep,
    EndpointBusy,
    EndpointRefused,
    EndpointTimedOut,
    EndpointUnreachable,
)
from processors.public_url import public_url

log = logging.getLogger(__name__)

T = TypeVar("T")

_LOCAL = "local:"
_REMOTE = ("https://", "http://")
#: Largest accepted response of an endpoint.
_RESPONSE_BYTES = 256 * 1024**2
_DETAIL_CHARS = 1000
#: A gateway in front of an endpoint that is scaled to zero. Source: RFC 9110, 15.6.3 and 15.6.5.
_GATEWAY = frozenset({502, 504})
_TOO_MANY = 429
_UNAVAILABLE = 503


class Backend(NamedTuple):
    """One backend of a chain."""

    #: The setting's text without userinfo and query, which may be secrets: outputs and logs have it.
    name: str
    #: Folder or name of a local model; None for an endpoint.
    model: str | None
    #: URL of an endpoint; None for a local model.
    url: str | None


def parse_backend(text: str) -> Backend:
    """Parse `local:PATH_OR_NAME` or `https://…`. Raises ValueError."""
    if text.startswith(_LOCAL) and text != _LOCAL:
        return Backend(text, text.removeprefix(_LOCAL), None)
    if text.startswith(_REMOTE):
        url, mark, options = text.partition("#")
        return Backend(f"{public_url(url)}{mark}{options}", None, text)
    raise ValueError(f"{text!r} is neither local:PATH_OR_NAME nor https://…")


def parse_chain(backends: str | Sequence[str]) -> tuple[Backend, ...]:
    """Parse a chain: a list, or text separated by commas. Raises ValueError."""
    texts = backends.split(",") if isinstance(backends, str) else backends
    return _distinct([parse_backend(text.strip()) for text in texts if text.strip()])


def _distinct(chain: Sequence[Backend]) -> tuple[Backend, ...]:
    """The backends, with a number behind a name that an earlier one has: a chain is a mapping by name."""
    counts: Counter[str] = Counter()
    named: list[Backend] = []
    for backend in chain:
        counts[backend.name] += 1
        number = counts[backend.name]
        named.append(backend if number == 1 else backend._replace(name=f"{backend.name} ({number})"))
    return tuple(named)


def model_folder(name: str) -> Path | None:
    """The folder of a local model: a path, or `package/folder` of an installed Python package. None if neither."""
    path = Path(name)
    if path.is_dir():
        return path.resolve()
    package, _, subfolder = name.partition("/")
    if not package.isidentifier():
        return None
    spec = importlib.util.find_spec(package)
    roots = spec.submodule_search_locations if spec is not None else None
    folders = (Path(root) / subfolder for root in roots or ())
    return next((folder for folder in folders if folder.is_dir()), None)


async def first_success(tries: Mapping[str, Callable[[], Awaitable[T]]], *, asleep_left: int) -> tuple[str, T]:
    """Name and result of the first backend that succeeds. Errors other than BackendError do not fall back.

    A sleeping endpoint raises EndpointAsleep while the policy has waits left (`asleep_left`), so that it is retried
    later. If all fail, raises a retriable error if there is one.
    """
    errors: list[BackendError] = []
    for name, attempt in tries.items():
        try:
            return name, await attempt()
        except BackendError as error:
            if isinstance(error, EndpointAsleep) and asleep_left > 0:
                raise
            errors.append(error)
            log.warning("backend failed", extra={"backend": name, "code": error.code, "detail": error.detail})
    raise next((error for error in errors if error.retriable), errors[-1])


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A remote model over HTTP. Source: Hugging Face, Inference Endpoints and HF Inference API."""

    url: str
    #: Bearer token; unset: none is sent.
    token: str | None = None
    #: Time limit of a request including its response.
    timeout_s: float = 300.0

    async def request(self, body: Any) -> Any:
        """Post the JSON `body`, and return the JSON response.

        Raises EndpointAsleep, EndpointUnreachable, EndpointTimedOut, EndpointBusy, EndpointRefused, AnswerInvalid.
        """
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        content = await asyncio.to_thread(orjson.dumps, body)
        try:
            status, response = await self._post(content, headers)
        except TimeoutError as error:
            raise EndpointTimedOut(f"The endpoint did not respond within {self.timeout_s:.0f} s.") from error
        except aiohttp.ClientError as error:
            raise EndpointUnreachable("The endpoint cannot be reached.", detail=repr(error)) from error
        if failed := status_error(status, response):
            raise failed
        try:
            return await asyncio.to_thread(orjson.loads, response)
        except orjson.JSONDecodeError as error:
            raise AnswerInvalid("The endpoint's response is not JSON.", detail=_start(response)) from error

    async def _post(self, content: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        timeout = aiohttp.ClientTimeout(total=self.timeout_s)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            # A redirect would send the token and the speech to another server.
            session.post(self.url, data=content, headers=headers, allow_redirects=False) as response,
        ):
            body = bytearray()
            async for chunk in response.content.iter_chunked(64 * 1024):
                body += chunk
                if len(body) > _RESPONSE_BYTES:
                    raise AnswerInvalid("The endpoint's response is too large.")
            return response.status, bytes(body)


def status_error(status: int, body: bytes) -> BackendError | None:
    """The error for an HTTP status and body; None for success."""
    detail = f"{status}: {_start(body)}"
    if status in _GATEWAY or (status == _UNAVAILABLE and _is_loading(body)):
        return EndpointAsleep("The endpoint is starting up.", detail=detail)
    if status == _TOO_MANY:
        return EndpointBusy("The endpoint limits the request rate.", detail=detail)
    if status >= 500:
        return EndpointUnreachable("The endpoint failed.", detail=detail)
    if not 200 <= status < 300:
        return EndpointRefused("The endpoint refused the request. Check its URL and token.", detail=detail)
    return None


def _is_loading(body: bytes) -> bool:
    """Whether a 503 means that the model is loading, not just unavailable."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return b"loading" in body.lower()
    if isinstance(parsed, dict) and "estimated_time" in parsed:
        return True
    return "loading" in str(parsed).lower()


def _start(body: bytes) -> str:
    return body[:_DETAIL_CHARS].decode(errors="replace")
