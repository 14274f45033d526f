"""What a bucket says of its multipart uploads, and how it is asked."""

from datetime import UTC, datetime

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from yarl import URL

from processors.storage.multipart_uploads import MultipartUpload, read_page
from processors.storage.s3_requests import S3Requests, _bucket_url
from processors.storage.s3_signing import S3Account, account_of, signed_headers

KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "eu-north-1"}
UPLOAD = """<Upload><Key>pre/assets/a&amp;b</Key><UploadId>u1</UploadId>
<Initiated>2026-11-24T08:00:00.000Z</Initiated></Upload>"""
FOUND = MultipartUpload("pre/assets/a&b", "u1", datetime(2026, 11, 24, 8, tzinfo=UTC))


@pytest.mark.parametrize("space", ["", ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'])
def test_a_page_is_read_with_and_without_a_namespace(space: str) -> None:
    last = f"<ListMultipartUploadsResult{space}>{UPLOAD}</ListMultipartUploadsResult>"
    assert read_page(last.encode()) == ([FOUND], None)
    more = "<IsTruncated>true</IsTruncated><NextKeyMarker>k</NextKeyMarker><NextUploadIdMarker>u</NextUploadIdMarker>"
    page = read_page(last.replace(UPLOAD, more).encode())
    assert page == ([], {"key-marker": "k", "upload-id-marker": "u"})


@pytest.mark.parametrize("token", [None, "temporary"])
@pytest.mark.parametrize(
    "address",
    [
        "https://s3.eu-north-1.amazonaws.com/media?uploads=&prefix=below%2Fassets%2F&key-marker=a%20b%2B",
        "http://127.0.0.1:9000/media/below/assets/a%20%26b/x%2By~.mp4?uploadId=u-1",
        "https://media.example.com/?uploads=",
    ],
)
def test_a_request_is_signed_as_amazons_own_library_signs_it(
    address: str, token: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime(2026, 11, 24, 8, 30, 1, tzinfo=UTC)
    for place in ("botocore.auth.get_current_datetime", "botocore.compat.get_current_datetime"):
        monkeypatch.setattr(place, lambda **_: now.replace(tzinfo=None), raising=False)
    theirs = AWSRequest("GET", address)
    S3SigV4Auth(Credentials("key", "secret", token), "s3", "eu-north-1").add_auth(theirs)
    ours = signed_headers("GET", URL(address, encoded=True), S3Account("key", "secret", token, "eu-north-1"), now)
    assert ours["authorization"] == theirs.headers["Authorization"]


def test_a_bucket_is_where_the_usual_variables_say() -> None:
    assert _bucket_url("b", "eu-north-1", {}) == "https://s3.eu-north-1.amazonaws.com/b"
    own = {"AWS_ENDPOINT_URL": "https://account.r2.example/"}
    assert _bucket_url("b", "auto", own) == "https://account.r2.example/b"
    assert _bucket_url("b", "auto", own | {"AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "true"}) == "https://account.r2.example"


def test_without_keys_or_on_other_stores_nobody_is_asked() -> None:
    assert account_of({"AWS_REGION": "eu-north-1"}) is None
    assert S3Requests.of("s3://b/below", {}) is None
    assert S3Requests.of("file:///folder", KEYS) is None
    assert S3Requests.of("s3://b/below", KEYS) is not None
