"""The upload event on `media.uploads`, from upstream services."""

from typing import ClassVar

from schemas.base import Message
from schemas.jobs import Input


class UploadCompleted(Message, frozen=True, kw_only=True):
    """Media is there: start its job. The same event (source, id) twice is one job."""

    TYPE: ClassVar[str] = "media.upload.completed.v1"

    #: Exactly one of object, url, path; `path` only below the configured roots. Whose object it is is not checked: who
    #: may write to this topic is trusted.
    input: Input
    #: Kept when given; derived from the event's source and id otherwise.
    asset_id: str | None = None
    #: Original file name, for people.
    filename: str | None = None
    #: Name of a pipeline; the default pipeline otherwise.
    pipeline: str | None = None
    #: "high", "normal" or "low": which requests for a step go first; low ones are never starved for ever.
    priority: str = "normal"
    #: The submitter's own text, at most 4,096 characters.
    passthrough: str | None = None
    #: Whose it is; owners see their own. Taken as the producer says.
    owner: str | None = None
