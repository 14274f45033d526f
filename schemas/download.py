"""The step `download`: foreign media, once and safely, into our own store."""

from typing import Literal

import msgspec

from schemas.steps import StepKind

STEP = StepKind(name="download", slots=4, source=False)


class DownloadParams(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a pipeline may choose."""

    #: Kinds of media that are taken.
    families: tuple[Literal["video", "audio", "image"], ...] = ("video", "audio", "image")


class DownloadOutputs(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """File values are keys in the store."""

    object: str
    size_bytes: int
    #: Of the content, hex.
    sha256: str
    #: What it is, by its first bytes: "video", "audio" or "image".
    family: str
    #: For people, e.g. "MP4".
    kind: str
    content_type: str
    #: As the origin gave them, for asking again.
    etag: str | None = None
    last_modified: str | None = None
    #: Whether it was there already and was copied inside the store.
    from_cache: bool = False
