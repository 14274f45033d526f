"""Incomplete multipart uploads of an S3 bucket: parts that a killed process left, invisible and paid for.

obstore can neither list nor abort them. Source: Amazon S3 API, ListMultipartUploads and AbortMultipartUpload.
"""

import os
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import NamedTuple, Self
from urllib.parse import quote, urlencode, urlsplit
from xml.etree import ElementTree as ET

import aiohttp
import stamina
from yarl import URL

from processors.storage.s3_signing import S3Account, account_of, signed_headers

_TRIES = 5
_PAUSE_S = 0.5
_SERVER_ERROR = 500
_TIMEOUT = aiohttp.ClientTimeout(total=60)


class MultipartUploadsUnavailable(Exception):
    """The bucket does not list its multipart uploads, or does not abort one."""


class MultipartUpload(NamedTuple):
    """One incomplete upload."""

    #: Below the store's prefix.
    key: str
    upload_id: str
    started_at: datetime


class Page(NamedTuple):
    """One page of the list; keys include the store's prefix."""

    uploads: list[MultipartUpload]
    #: Query parameters of the next page; None on the last.
    next_markers: dict[str, str] | None


class MultipartUploads:
    """The incomplete multipart uploads of one bucket."""

    def __init__(self, bucket_url: str, prefix: str, account: S3Account) -> None:
        self._bucket_url, self._account = bucket_url, account
        self._prefix = f"{prefix}/" if prefix else ""

    @classmethod
    def of(cls, store_url: str, environ: Mapping[str, str] = os.environ) -> Self | None:
        """Those of a store "s3://bucket[/prefix]"; None where they cannot be listed: other stores, no keys."""
        parts, account = urlsplit(store_url), account_of(environ)
        if parts.scheme not in ("s3", "s3a") or account is None:
            return None
        return cls(_bucket_url(parts.netloc, account.region, environ), parts.path.strip("/"), account)

    async def below(self, folder: str) -> AsyncIterator[MultipartUpload]:
        """Uploads whose key is below `folder`. Raises MultipartUploadsUnavailable."""
        markers: dict[str, str] | None = {}
        while markers is not None:
            query = {"uploads": "", "prefix": f"{self._prefix}{folder}/", **markers}
            page = read_page(await self._request("GET", "", query))
            for one in page.uploads:
                yield one._replace(key=one.key.removeprefix(self._prefix))
            markers = page.next_markers

    async def abort(self, one: MultipartUpload) -> None:
        """Remove its parts. A repeat is harmless. Raises MultipartUploadsUnavailable."""
        path = f"/{quote(self._prefix + one.key)}"
        await self._request("DELETE", path, {"uploadId": one.upload_id}, expected=(204, 404))

    async def _request(
        self, method: str, path: str, query: Mapping[str, str], expected: tuple[int, ...] = (200,)
    ) -> bytes:
        url = URL(f"{self._bucket_url}{path}?{urlencode(query, quote_via=quote, safe='')}", encoded=True)
        retries = stamina.retry_context(on=_is_transient, attempts=_TRIES, timeout=None, wait_initial=_PAUSE_S)
        body = b""
        try:
            async for attempt in retries:
                with attempt:
                    body = await self._send(method, url, expected)
        except (aiohttp.ClientError, OSError) as error:
            reason = str(error) or type(error).__name__
            raise MultipartUploadsUnavailable(f"{method} of multipart uploads failed: {reason}") from error
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


def read_page(body: bytes) -> Page:
    """Parse the XML of ListMultipartUploads."""
    root = ET.fromstring(body)  # noqa: S314  the operator's own bucket
    space = root.tag.rpartition("}")[0] + "}" if root.tag.startswith("{") else ""

    def text(element: ET.Element, name: str) -> str:
        return element.findtext(f"{space}{name}") or ""

    uploads = [
        MultipartUpload(text(one, "Key"), text(one, "UploadId"), datetime.fromisoformat(text(one, "Initiated")))
        for one in root.iter(f"{space}Upload")
    ]
    if text(root, "IsTruncated") != "true":
        return Page(uploads, None)
    names = {"key-marker": "NextKeyMarker", "upload-id-marker": "NextUploadIdMarker"}
    return Page(uploads, {query: text(root, name) for query, name in names.items()})


def _bucket_url(bucket: str, region: str, environ: Mapping[str, str]) -> str:
    endpoint = environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or environ.get("AWS_ENDPOINT")
    if endpoint and environ.get("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "").lower() in ("1", "true"):
        return endpoint.rstrip("/")
    return f"{(endpoint or f'https://s3.{region}.amazonaws.com').rstrip('/')}/{bucket}"
