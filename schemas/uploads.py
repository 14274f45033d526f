"""The upload event on `media.uploads`, from upstream services."""

from typing import ClassVar

from schemas.base import Message
from schemas.jobs import Input


class UploadCompleted(Message, frozen=True, kw_only=True):
    """Media was uploaded: start its job. A repeat of the event (source, id) starts none."""

    TYPE: ClassVar[str] = "media.upload.completed.v1"

    #: Exactly one of object, url, path; `path` only below the configured roots. Ownership is not checked: producers of
    #: this topic are trusted.
    input: Input
    #: Unset: derived from the event's source and id.
    asset_id: str | None = None
    #: Original file name, for display.
    filename: str | None = None
    #: Name of a pipeline; unset: the default pipeline.
    pipeline: str | None = None
    #: "high", "normal" or "low": order of requests for a step; low priority never starves.
    priority: str = "normal"
    #: Opaque text of the submitter, at most 4,096 characters.
    passthrough: str | None = None
    #: When its job is to start: ISO 8601 with a zone, at most 366 days after the event's record and not before it.
    #: Unset: at once.
    run_at: str | None = None
    #: Owner of the asset. Not checked.
    owner: str | None = None
