"""Versions of an S3 bucket's objects: where it keeps them, a deleted object can still be read by its version."""

import asyncio
from typing import Literal
from xml.etree import ElementTree as ET

from processors.storage.s3_requests import S3Refused, S3Requests

_NOT_FOUND = 404
#: What a rule has that leaves objects, or versions, out.
_PARTIAL = ("Tag", "ObjectSizeGreaterThan", "ObjectSizeLessThan", "NewerNoncurrentVersions")

#: How long the bucket keeps what was deleted: not at all, for some days, for ever, or not known.
Kept = Literal["no", "unknown", "for ever"] | int


async def deleted_objects_kept(store_url: str) -> Kept:
    """How long a deleted object of the store stays readable by its version, days."""
    requests = S3Requests.of(store_url)
    if requests is None:
        return "unknown"
    try:
        versioning, rules = await asyncio.gather(_body(requests, "versioning"), _body(requests, "lifecycle"))
    except S3Refused:
        return "unknown"
    if versioning is None or not is_versioned(versioning):
        return "no"
    return "for ever" if rules is None else days_kept(rules, requests.prefix)


async def _body(requests: S3Requests, subresource: str) -> bytes | None:
    """A subresource of the bucket; None where it has none."""
    try:
        return await requests.send("GET", "", {subresource: ""})
    except S3Refused as error:
        if error.status == _NOT_FOUND:
            return None
        raise


def is_versioned(body: bytes) -> bool:
    """Whether the XML of GetBucketVersioning says that new versions are kept. Pure."""
    return _text(ET.fromstring(body), "Status") == "Enabled"  # noqa: S314  the operator's own bucket


def days_kept(body: bytes, prefix: str) -> int | Literal["for ever"]:
    """Days after which the rules of GetBucketLifecycleConfiguration remove old versions below `prefix`. Pure."""
    root = ET.fromstring(body)  # noqa: S314  the operator's own bucket
    rules = [rule for rule in root if _text(rule, "Status") == "Enabled" and _covers(rule, prefix)]
    ends = [_first(rule, "NoncurrentVersionExpiration") for rule in rules]
    return min((int(_text(end, "NoncurrentDays")) for end in ends if end is not None), default="for ever")


def _covers(rule: ET.Element, prefix: str) -> bool:
    """Whether the rule is for every object of the store."""
    is_partial = any(_first(rule, name) is not None for name in _PARTIAL)
    return prefix.startswith(_text(rule, "Prefix")) and not is_partial


def _text(element: ET.Element, name: str) -> str:
    found = _first(element, name)
    return (found.text or "").strip() if found is not None else ""


def _first(element: ET.Element, name: str) -> ET.Element | None:
    """The first element of this name, in any namespace."""
    return next((one for one in element.iter() if one.tag.rpartition("}")[2] == name), None)
