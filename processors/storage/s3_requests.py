"""Requests to an S3 bucket that obstore does not offer, with the keys of the AWS environment variables."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Self
from urllib.parse import quote, urlencode, urlsplit

import aiohttp
import stamina
from yarl import URL

from processors.storage.s3_signing import S3Account, account_of, signed_headers

_TRIES = 5
_PAUSE_S = 0.5
_SERVER_ERROR = 500
_TIMEOUT = aiohttp.ClientTimeout(total=60)


class S3Refused(Exception):
    """The bucket does not answer, or not as expected."""

    def __init__(self, message: str, status: int | None = None) -> None:
        """`status`: of the response, if there was one."""
        super().__init__(message)
        self.status = status


class S3Requests:
    """Signed requests without a body to one bucket."""

    def __init__(self, bucket_url: str, prefix: str, account: S3Account) -> None:
        self._bucket_url, self._account = bucket_url, account
        #: Of every key in the store: empty, or with a slash at its end.
        self.prefix = f"{prefix}/" if prefix else ""

    @classmethod
    def of(cls, store_url: str, environ: Mapping[str, str] = os.environ) -> Self | None:
        """Those to the bucket of a store "s3://bucket[/prefix]"; None for other stores, and without keys."""
        parts, account = urlsplit(store_url), account_of(environ)
        if parts.scheme not in ("s3", "s3a") or account is None:
            return None
        return cls(_bucket_url(parts.netloc, account.region, environ), parts.path.strip("/"), account)

    async def send(self, method: str, path: str, query: Mapping[str, str], expected: tuple[int, ...] = (200,)) -> bytes:
        """The response's body; server errors are tried again. Raises S3Refused."""
        url = URL(f"{self._bucket_url}{path}?{urlencode(query, quote_via=quote, safe='')}", encoded=True)
        retries = stamina.retry_context(on=_is_transient, attempts=_TRIES, timeout=None, wait_initial=_PAUSE_S)
        body = b""
        try:
            async for attempt in retries:
                with attempt:
                    body = await self._send(method, url, expected)
        except (aiohttp.ClientError, OSError) as error:
            status = error.status if isinstance(error, _UnexpectedStatus) else None
            raise S3Refused(str(error) or type(error).__name__, status) from error
        return body

    async def _send(self, method: str, url: URL, expected: tuple[int, ...]) -> bytes:
        """The response's body. Raises ClientError for another status than `expected`."""
        headers = signed_headers(method, url, self._account, datetime.now(UTC))
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT, auto_decompress=False) as session,
            session.request(method, url, headers=headers, allow_redirects=False) as response,
        ):
            if response.status not in expected:
                raise _UnexpectedStatus(response.status)
            return await response.read()


class _UnexpectedStatus(aiohttp.ClientError):
    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status


def _is_transient(error: Exception) -> bool:
    if isinstance(error, _UnexpectedStatus):
        return error.status >= _SERVER_ERROR
    return isinstance(error, (aiohttp.ClientError, OSError))


def _bucket_url(bucket: str, region: str, environ: Mapping[str, str]) -> str:
    endpoint = environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or environ.get("AWS_ENDPOINT")
    if endpoint and environ.get("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "").lower() in ("1", "true"):
        return endpoint.rstrip("/")
    return f"{(endpoint or f'https://s3.{region}.amazonaws.com').rstrip('/')}/{bucket}"
