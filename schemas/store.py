"""The step `store`: pushes what other steps published to another store."""

import msgspec

from schemas.steps import StepKind

STEP = StepKind(name="store", slots=5, source=False)


class StoreObject(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One file to be pushed."""

    #: The file here: its step, and its path below what that step published, e.g. "thumbnails/poster.jpg".
    object: str
    #: Path in the other store; {asset_id} is filled in.
    path: str
    #: Media type; by the path's ending otherwise.
    content_type: str | None = None
    #: Metadata beside that of all objects.
    metadata: dict[str, str] = {}


class StoreParams(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a pipeline may choose."""

    #: Where to: "s3://bucket[/prefix]" or "file:///folder".
    to: str
    #: Steps whose files are pushed; none: of all steps that this one comes after, unless `objects` names files.
    steps: tuple[str, ...] = ()
    #: Single files that are pushed, wherever they shall lie.
    objects: tuple[StoreObject, ...] = ()
    #: Path in the other store; {asset_id} and {step} are filled in.
    path: str = "{asset_id}/{step}"
    #: Content types by ending, e.g. {".m4s": "video/mp4"}; the usual ones otherwise.
    content_types: dict[str, str] = {}
    #: Further metadata of every object.
    metadata: dict[str, str] = {}
    #: Whether the files here are removed when all are there.
    delete_local: bool = False


class StoredStep(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was pushed of one step, or one file of it."""

    step: str
    #: Path in the other store: the folder of a step's files, or a file.
    path: str
    objects: int
    size_bytes: int


class StoreOutputs(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What stands in the other store."""

    to: str
    stored: tuple[StoredStep, ...] = ()
    deleted_local: bool = False
