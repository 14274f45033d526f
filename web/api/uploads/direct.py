"""/v1/uploads/presign: a presigned URL for an upload straight into the bucket."""

import mimetypes
from pathlib import PurePosixPath
from typing import Annotated

import msgspec
from aiohttp import web

from processors.storage.bucket_store import BucketStore
from streams.ids import new_id
from web.api.common import data_response, json_body
from web.api.source_access import direct_folder
from web.auth.middleware import caller_of
from web.http.problems import Problem
from web.http.routing import Routes
from web.services import services
from web.views.models import Answer, View

routes = Routes("Uploads")

_MAX_TTL_S = 86_400
#: Largest body of one PUT. Source: Amazon S3, Google Cloud Storage and Cloudflare R2 take 5 GiB.
_MAX_PUT_BYTES = 5 * 1024**3


class PresignRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file to upload."""

    #: Only its extension is used.
    filename: str | None = None
    #: Its size, if known: refused here if it is too large, not after its bytes were sent.
    size_bytes: Annotated[int, msgspec.Meta(ge=0)] | None = None
    #: Validity of the URL, seconds.
    ttl_s: Annotated[int, msgspec.Meta(ge=1, le=_MAX_TTL_S)] = 3600


class Presigned(View, frozen=True, kw_only=True):
    """A presigned URL, and the object to submit after the upload."""

    #: PUT the bytes here.
    url: str
    method: str
    #: Required headers of the PUT.
    headers: dict[str, str]
    #: Then `POST /v1/assets {"input": {"object": …}}`.
    object: str
    expires_in_s: int
    #: Largest file that may be uploaded this way; larger ones go to `/v1/uploads` or `/v1/uploads/tus`.
    max_bytes: int


@routes.post(
    "/v1/uploads/presign",
    body=PresignRequest,
    responses={201: Answer[Presigned]},
    problems=(400, 403, 409, 413, 415, 422, 503),
)
async def presign_upload(request: web.Request) -> web.Response:
    """Create a presigned URL for one upload; only where the store is a bucket (409 otherwise).

    The bytes go straight to the bucket: name the object in `POST /v1/assets` after the upload.
    """
    parts, principal = services(request), caller_of(request)
    body: PresignRequest = await json_body(request, PresignRequest)
    if not isinstance(parts.store, BucketStore):
        raise Problem(409, "store-not-remote", "the store is a local folder: upload to /v1/uploads")
    max_bytes = min(parts.settings.web.max_upload_bytes, _MAX_PUT_BYTES)
    if body.size_bytes is not None and body.size_bytes > max_bytes:
        raise Problem(413, "upload-too-large", _too_large(body.size_bytes, max_bytes))
    suffix = PurePosixPath(body.filename or "").suffix.lower()
    key = f"{direct_folder(principal)}/{new_id('upload')}{suffix if suffix[1:].isalnum() else ''}"
    kind = mimetypes.guess_type(key)[0] or "application/octet-stream"
    return data_response(
        Presigned(
            url=await parts.store.presigned("PUT", key, body.ttl_s),
            method="PUT",
            headers={"Content-Type": kind},
            object=key,
            expires_in_s=body.ttl_s,
            max_bytes=max_bytes,
        ),
        status=201,
    )


def _too_large(size_bytes: int, max_bytes: int) -> str:
    return f"a direct upload may have {max_bytes} bytes, this has {size_bytes}: larger ones go to /v1/uploads/tus"
