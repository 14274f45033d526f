"""The step `store`: copies published files to another store."""

import msgspec

from schemas.steps import StepKind

STEP = StepKind(name="store", slots=5, source=False)


class StoreObject(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One file to copy."""

    #: Step and relative path of the file, e.g. "thumbnails/poster.jpg".
    object: str
    #: Path in the target store; {asset_id} is replaced.
    path: str
    #: Media type; unset: by the path's extension.
    content_type: str | None = None
    #: Metadata in addition to that of all objects.
    metadata: dict[str, str] = {}


class StoreParams(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Parameters of the step."""

    #: URL of the target store: "s3://bucket[/prefix]" or "file:///folder".
    to: str
    #: Steps whose files are copied; empty: all earlier steps, unless `objects` names files.
    steps: tuple[str, ...] = ()
    #: Single files to copy, each to its own path.
    objects: tuple[StoreObject, ...] = ()
    #: Path in the target store; {asset_id} and {step} are replaced.
    path: str = "{asset_id}/{step}"
    #: Content types by extension, over the defaults, e.g. {".m4s": "video/mp4"}.
    content_types: dict[str, str] = {}
    #: Metadata of every object.
    metadata: dict[str, str] = {}
    #: Delete the copied files from kinolog's store afterwards.
    delete_local: bool = False


class StoredStep(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The copied files of one step, or one of its files."""

    step: str
    #: Path in the target store: folder of the step's files, or the file.
    path: str
    objects: int
    size_bytes: int


class StoreOutputs(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Outputs of the step."""

    to: str
    stored: tuple[StoredStep, ...] = ()
    deleted_local: bool = False
