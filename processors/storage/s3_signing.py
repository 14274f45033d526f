"""Signatures of S3 requests that obstore does not offer. Source: AWS Signature Version 4. Pure."""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from functools import reduce
from typing import NamedTuple

from yarl import URL

_ALGORITHM = "AWS4-HMAC-SHA256"
_NO_BODY = hashlib.sha256(b"").hexdigest()


class S3Account(NamedTuple):
    """Credentials and region of a bucket."""

    key_id: str
    secret: str
    #: Set for temporary credentials.
    session_token: str | None
    region: str


def account_of(environ: Mapping[str, str]) -> S3Account | None:
    """The account in the AWS environment variables; None without keys, e.g. with a role."""
    key_id, secret = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
    if not key_id or not secret:
        return None
    region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    return S3Account(key_id, secret, environ.get("AWS_SESSION_TOKEN"), region)


def signed_headers(method: str, url: URL, account: S3Account, now: datetime) -> dict[str, str]:
    """Signed headers of a request without a body; `url` with path and query as sent, `now` in UTC."""
    at = now.strftime("%Y%m%dT%H%M%SZ")
    host = url.raw_authority
    headers = {"host": host, "x-amz-content-sha256": _NO_BODY, "x-amz-date": at}
    if account.session_token:
        headers["x-amz-security-token"] = account.session_token
    scope = [at[:8], account.region, "s3", "aws4_request"]
    names = ";".join(headers)
    lines = [method, url.raw_path, _canonical_query(url), *(f"{name}:{value}" for name, value in headers.items())]
    request = hashlib.sha256("\n".join([*lines, "", names, _NO_BODY]).encode()).hexdigest()
    text = "\n".join([_ALGORITHM, at, "/".join(scope), request])
    signature = _hmac(reduce(_hmac, scope, b"AWS4" + account.secret.encode()), text).hex()
    credential = f"{account.key_id}/{'/'.join(scope)}"
    headers["authorization"] = f"{_ALGORITHM} Credential={credential}, SignedHeaders={names}, Signature={signature}"
    return headers


def _canonical_query(url: URL) -> str:
    pairs = (pair.partition("=") for pair in url.raw_query_string.split("&") if pair)
    return "&".join(sorted(f"{name}={value}" for name, _, value in pairs))


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")
