"""The step `download`: remote media into the store, once for all requests."""

from typing import Literal

import msgspec

from schemas.steps import StepKind

STEP = StepKind(name="download", slots=4, source=False)


class DownloadParams(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Parameters of the step."""

    #: Accepted kinds of media.
    families: tuple[Literal["video", "audio", "image"], ...] = ("video", "audio", "image")


class DownloadOutputs(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Outputs of the step; files are store keys."""

    object: str
    size_bytes: int
    #: Of the content, hex.
    sha256: str
    #: Kind of media by its first bytes: "video", "audio" or "image".
    family: str
    #: For display, e.g. "MP4".
    kind: str
    content_type: str
    #: HTTP validators from the origin, for conditional requests.
    etag: str | None = None
    last_modified: str | None = None
    #: Copied from an earlier download in the store.
    from_cache: bool = False
