"""Backends of a model step: an ordered chain of local models and endpoints; the next one is asked when one fails."""

import asyncio
import importlib.util
import logging
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

log = logging.getLogger(__name__)

T = TypeVar("T")

_LOCAL = "local:"
_REMOTE = ("https://", "http://")
#: Longest answer of an endpoint that is taken.
_ANSWER_BYTES = 256 * 1024**2
_DETAIL_CHARS = 1000
#: A gateway in front of an endpoint that is scaled to zero. Source: RFC 9110, 15.6.3 and 15.6.5.
_GATEWAY = frozenset({502, 504})
_TOO_MANY = 429
_UNAVAILABLE = 503


class Backend(NamedTuple):
    """One entry of a chain."""

    #: As it is set: the name by which it is recorded.
    name: str
    #: Folder or name of a local model; None for an endpoint.
    model: str | None
    #: Address of an endpoint; None for a local model.
    url: str | None


def parse_backend(text: str) -> Backend:
    """`local:PATH_OR_NAME` or `https://…`. Raises ValueError that says what it must be."""
    if text.startswith(_LOCAL) and text != _LOCAL:
        return Backend(text, text.removeprefix(_LOCAL), None)
    if text.startswith(_REMOTE):
        return Backend(text, None, text)
    raise ValueError(f"{text!r} is neither local:PATH_OR_NAME nor https://…")


def parse_chain(backends: str | Sequence[str]) -> tuple[Backend, ...]:
    """A chain as it is set: a list, or text with commas between. Raises ValueError."""
    texts = backends.split(",") if isinstance(backends, str) else backends
    return tuple(parse_backend(text.strip()) for text in texts if text.strip())


def model_folder(name: str) -> Path | None:
    """The folder that a local model's name means: a path, or `package/folder` of an installed Python package."""
    path = Path(name)
    if path.is_dir():
        return path.resolve()
    package, _, below = name.partition("/")
    if not package.isidentifier():
        return None
    spec = importlib.util.find_spec(package)
    roots = spec.submodule_search_locations if spec is not None else None
    folders = (Path(root) / below for root in roots or ())
    return next((folder for folder in folders if folder.is_dir()), None)


async def first_served(tries: Mapping[str, Callable[[], Awaitable[T]]], *, asleep_left: int) -> tuple[str, T]:
    """Name of the first backend that served, and what it gave. Whatever is no BackendError is not tried elsewhere.

    An endpoint that is asleep raises EndpointAsleep while the policy has waits left (`asleep_left`): it is asked again
    later. When nobody served, the error is one that may go away, if there is one.
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
    """A remote model that is asked over HTTP. Source: Hugging Face, Inference Endpoints and HF Inference API."""

    url: str
    #: Bearer token; unset: none is sent.
    token: str | None = None
    #: From the request to the whole answer.
    timeout_s: float = 300.0

    async def ask(self, body: Any) -> Any:
        """The JSON that it answers to the JSON `body`.

        Raises EndpointAsleep, EndpointUnreachable, EndpointTimedOut, EndpointBusy, EndpointRefused, AnswerInvalid.
        """
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        content = await asyncio.to_thread(orjson.dumps, body)
        try:
            status, answer = await self._post(content, headers)
        except TimeoutError as error:
            raise EndpointTimedOut(f"The endpoint did not answer within {self.timeout_s:.0f} s.") from error
        except aiohttp.ClientError as error:
            raise EndpointUnreachable("The endpoint cannot be reached.", detail=repr(error)) from error
        if failed := refusal(status, answer):
            raise failed
        try:
            return await asyncio.to_thread(orjson.loads, answer)
        except orjson.JSONDecodeError as error:
            raise AnswerInvalid("The endpoint's answer is not JSON.", detail=_begin(answer)) from error

    async def _post(self, content: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        timeout = aiohttp.ClientTimeout(total=self.timeout_s)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            # A redirect would carry the token and the speech to somebody else.
            session.post(self.url, data=content, headers=headers, allow_redirects=False) as response,
        ):
            answer = bytearray()
            async for chunk in response.content.iter_chunked(64 * 1024):
                answer += chunk
                if len(answer) > _ANSWER_BYTES:
                    raise AnswerInvalid("The endpoint's answer is longer than any answer to this can be.")
            return response.status, bytes(answer)


def refusal(status: int, answer: bytes) -> BackendError | None:
    """What an HTTP status and its body mean; None when it served."""
    detail = f"{status}: {_begin(answer)}"
    if status in _GATEWAY or (status == _UNAVAILABLE and _is_loading(answer)):
        return EndpointAsleep("The endpoint is waking up.", detail=detail)
    if status == _TOO_MANY:
        return EndpointBusy("The endpoint asks to be asked less often.", detail=detail)
    if status >= 500:
        return EndpointUnreachable("The endpoint failed.", detail=detail)
    if not 200 <= status < 300:
        return EndpointRefused("The endpoint refused the request: check its address and token.", detail=detail)
    return None


def _is_loading(answer: bytes) -> bool:
    """Whether a 503 says that the model is being loaded, and not just that it is unavailable."""
    try:
        told = orjson.loads(answer)
    except orjson.JSONDecodeError:
        return b"loading" in answer.lower()
    if isinstance(told, dict) and "estimated_time" in told:
        return True
    return "loading" in str(told).lower()


def _begin(answer: bytes) -> str:
    return answer[:_DETAIL_CHARS].decode(errors="replace")
