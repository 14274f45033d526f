"""Incomplete multipart uploads of an S3 bucket: parts that a killed process left, invisible and paid for.

obstore can neither list nor abort them. Source: Amazon S3 API, ListMultipartUploads and AbortMultipartUpload.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import NamedTuple
from urllib.parse import quote
from xml.etree import ElementTree as ET

from processors.storage.s3_requests import S3Requests


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

    def __init__(self, requests: S3Requests) -> None:
        self._requests = requests

    async def below(self, folder: str) -> AsyncIterator[MultipartUpload]:
        """Uploads whose key is below `folder`. Raises S3Refused."""
        markers: dict[str, str] | None = {}
        while markers is not None:
            query = {"uploads": "", "prefix": f"{self._requests.prefix}{folder}/", **markers}
            page = read_page(await self._requests.send("GET", "", query))
            for one in page.uploads:
                yield one._replace(key=one.key.removeprefix(self._requests.prefix))
            markers = page.next_markers

    async def abort(self, one: MultipartUpload) -> None:
        """Remove its parts. A repeat is harmless. Raises S3Refused."""
        path = f"/{quote(self._requests.prefix + one.key)}"
        await self._requests.send("DELETE", path, {"uploadId": one.upload_id}, expected=(204, 404))


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
