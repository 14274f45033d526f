"""Orders on `media.removals`, from control to executors: files that nothing points at any more."""

from typing import ClassVar

from schemas.base import Message


class RemoveArtifacts(Message, frozen=True, kw_only=True):
    """Remove these files from the store. A repeat is harmless."""

    TYPE: ClassVar[str] = "media.artifacts.remove.v1"

    asset_id: str
    #: When what they belonged to was deleted, seconds since the epoch.
    deleted_at: float
    #: The job that they came from, when it is one job's files.
    job_id: str | None = None
    #: Attempts' folders in the store, removed whole.
    prefixes: tuple[str, ...] = ()
    #: Whether all that the asset has goes, its source included; files newer than `deleted_at` stay.
    whole_asset: bool = False
