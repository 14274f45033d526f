"""Access to sources: the stored objects and local files that a caller may submit, by ownership and by the settings.

Checked only here: control and executors trust the log and its other producers.
"""

from collections.abc import Iterator
from pathlib import Path

from processors.storage.keys import FOLDERS, InvalidKey, checked_key
from processors.storage.local_store import LocalStore
from schemas.jobs import Input
from streams.ids import derived_id
from streams.settings.media import Store as StoreSettings
from web.auth.principal import Principal
from web.readmodel import queries
from web.services import Services

#: Folder of direct uploads in the bucket.
DIRECT_FOLDER = "direct"
#: In KINOLOG_STORE__OWNER_PREFIXES: the entry for every owner, and the placeholder for the owner's name.
_EVERY_OWNER, _OWNER_NAME = "*", "{owner}"


def direct_folder(principal: Principal) -> str:
    """Folder of an owner's direct uploads in the bucket."""
    return f"{DIRECT_FOLDER}/{derived_id('owner', principal.owner or '')}"


async def may_see_asset(parts: Services, principal: Principal, asset_id: str, *, if_absent: bool) -> bool:
    """Whether the caller may see the asset; `if_absent` when it does not exist."""
    owner = await parts.model.read(queries.asset_owner, asset_id)
    return if_absent if owner is None else principal.sees(owner[0])


async def may_read(parts: Services, principal: Principal, source: Input) -> bool:
    """Whether the caller may submit this input."""
    if source.object is not None:
        return await may_read_object(parts, principal, source.object)
    return source.path is None or may_read_path(parts, principal, Path(source.path))


async def may_read_object(parts: Services, principal: Principal, key: str) -> bool:
    """Whether the caller may read an object, which need not exist. Keys are compared literally."""
    if principal.role == "admin":
        return True
    try:
        folder, _, rest = checked_key(key).partition("/")
    except InvalidKey:
        return False
    if folder.casefold() not in FOLDERS:
        return is_key_open(parts.settings.store, principal.owner, key)
    if folder == DIRECT_FOLDER:
        return _is_below(key, direct_folder(principal))
    return folder in FOLDERS and await may_see_asset(parts, principal, rest.partition("/")[0], if_absent=False)


def may_read_path(parts: Services, principal: Principal, path: Path) -> bool:
    """Whether the caller may read a local file, after following symbolic links. Never below kinolog's own folders."""
    if principal.role == "admin":
        return True
    own = [parts.settings.data_path, *([parts.store.root] if isinstance(parts.store, LocalStore) else [])]
    is_own = any(path.is_relative_to(folder.resolve()) for folder in own)
    return not is_own and is_path_open(parts.settings.store, principal.owner, path)


def is_key_open(settings: StoreSettings, owner: str | None, key: str) -> bool:
    """Whether the settings grant a valid key to an owner. Pure."""
    return any(_is_below(key, prefix) for prefix in _prefixes(settings, owner) if not prefix.startswith("/"))


def is_path_open(settings: StoreSettings, owner: str | None, path: Path) -> bool:
    """Whether the settings grant a path, after following symbolic links, to an owner."""
    folders = (Path(prefix).resolve() for prefix in _prefixes(settings, owner) if prefix.startswith("/"))
    return any(path.is_relative_to(folder) for folder in folders)


def _prefixes(settings: StoreSettings, owner: str | None) -> Iterator[str]:
    opened = settings.owner_prefixes
    for prefix in (*opened.get(_EVERY_OWNER, ()), *opened.get(owner or "", ())):
        if _OWNER_NAME not in prefix:
            yield prefix
        elif owner is not None and _is_one_part(owner):
            yield prefix.replace(_OWNER_NAME, owner)


def _is_one_part(name: str) -> bool:
    """Whether a name is one segment of a key."""
    try:
        return "/" not in checked_key(name)
    except InvalidKey:
        return False


def _is_below(key: str, prefix: str) -> bool:
    """Whether `key` is the prefix or below it, by whole segments: media/anna is not a prefix of media/annabel."""
    folder = prefix.rstrip("/")
    return key == folder or key.startswith(f"{folder}/")
