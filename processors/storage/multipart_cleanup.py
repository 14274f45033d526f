"""Multipart uploads of an S3 bucket that were begun and not ended: parts that a killed process left, paid for unseen.

obstore can neither list nor end them. Source: Amazon S3 API, ListMultipartUploads and AbortMultipartUpload.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import NamedTuple, Self
from urllib.parse import quote, urlencode, urlsplit
from xml.etree import ElementTree as ET

import aiohttp
from yarl import URL

from processors.storage.s3_signing import S3Account, account_of, signed_headers

_TRIES = 5
_PAUSE_S = 0.5
_TIMEOUT = aiohttp.ClientTimeout(total=60)


class MultipartsUnavailable(Exception):
    """The bucket does not list its multipart uploads, or does not end one."""


class Multipart(NamedTuple):
    """One that has not ended."""

    #: Below the store's prefix.
    key: str
    upload_id: str
    begun_at: datetime


class Page(NamedTuple):
    """A part of the list. Keys are the bucket's."""

    found: list[Multipart]
    #: What to ask the next one with, None after the last.
    markers: dict[str, str] | None


class Multiparts:
    """Those of one bucket."""

    def __init__(self, bucket_url: str, prefix: str, account: S3Account) -> None:
        self._bucket_url, self._account = bucket_url, account
        self._prefix = f"{prefix}/" if prefix else ""

    @classmethod
    def of(cls, store_url: str, environ: Mapping[str, str] = os.environ) -> Self | None:
        """Those of a store "s3://bucket[/prefix]"; None where they cannot be asked for: other stores, no keys."""
        parts, account = urlsplit(store_url), account_of(environ)
        if parts.scheme not in ("s3", "s3a") or account is None:
            return None
        return cls(_bucket_url(parts.netloc, account.region, environ), parts.path.strip("/"), account)

    async def below(self, folder: str) -> AsyncIterator[Multipart]:
        """Those whose key lies below `folder`. Raises MultipartsUnavailable."""
        markers: dict[str, str] | None = {}
        while markers is not None:
            query = {"uploads": "", "prefix": f"{self._prefix}{folder}/", **markers}
            page = read_page(await self._ask("GET", "", query))
            for one in page.found:
                yield one._replace(key=one.key.removeprefix(self._prefix))
            markers = page.markers

    async def end(self, one: Multipart) -> None:
        """Forget its parts. A repeat is harmless. Raises MultipartsUnavailable."""
        await self._ask("DELETE", f"/{quote(self._prefix + one.key)}", {"uploadId": one.upload_id}, good=(204, 404))

    async def _ask(self, method: str, path: str, query: Mapping[str, str], good: tuple[int, ...] = (200,)) -> bytes:
        url = URL(f"{self._bucket_url}{path}?{urlencode(query, quote_via=quote, safe='')}", encoded=True)
        answer = ""
        for turn in range(_TRIES):
            try:
                status, body = await self._once(method, url)
            except (aiohttp.ClientError, OSError) as error:
                answer = str(error) or type(error).__name__
            else:
                if status in good:
                    return body
                answer = f"HTTP {status}"
                if status < 500:
                    break
            await asyncio.sleep(_PAUSE_S * turn)
        raise MultipartsUnavailable(f"the bucket's multipart uploads cannot be looked after: {answer}")

    async def _once(self, method: str, url: URL) -> tuple[int, bytes]:
        headers = signed_headers(method, url, self._account, datetime.now(UTC))
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT, auto_decompress=False) as session,
            session.request(method, url, headers=headers, allow_redirects=False) as answer,
        ):
            return answer.status, await answer.read()


def read_page(body: bytes) -> Page:
    """What the bucket answers, as values."""
    root = ET.fromstring(body)  # noqa: S314  our own bucket's answer
    space = root.tag.rpartition("}")[0] + "}" if root.tag.startswith("{") else ""

    def text(element: ET.Element, name: str) -> str:
        return element.findtext(f"{space}{name}") or ""

    found = [
        Multipart(text(one, "Key"), text(one, "UploadId"), datetime.fromisoformat(text(one, "Initiated")))
        for one in root.iter(f"{space}Upload")
    ]
    if text(root, "IsTruncated") != "true":
        return Page(found, None)
    names = {"key-marker": "NextKeyMarker", "upload-id-marker": "NextUploadIdMarker"}
    return Page(found, {query: text(root, name) for query, name in names.items()})


def _bucket_url(bucket: str, region: str, environ: Mapping[str, str]) -> str:
    endpoint = environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or environ.get("AWS_ENDPOINT")
    if endpoint and environ.get("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "").lower() in ("1", "true"):
        return endpoint.rstrip("/")
    return f"{(endpoint or f'https://s3.{region}.amazonaws.com').rstrip('/')}/{bucket}"
