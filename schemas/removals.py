"""Removals on `media.removals`, from control to executors: files without a reference."""

from typing import ClassVar

from schemas.base import Message


class RemoveArtifacts(Message, frozen=True, kw_only=True):
    """Remove these files from the store. A repeat is harmless."""

    TYPE: ClassVar[str] = "media.artifacts.remove.v1"

    asset_id: str
    #: When their job or asset was deleted, seconds since the epoch.
    deleted_at: float
    #: Job that published them; unset for a whole asset.
    job_id: str | None = None
    #: Folders of attempts in the store.
    prefixes: tuple[str, ...] = ()
    #: Remove the job's full URL from `media.source-urls`.
    source_url: bool = False
    #: Remove all files of the asset, including its source; files newer than `deleted_at` stay.
    whole_asset: bool = False
