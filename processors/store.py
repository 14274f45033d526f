"""The step `store`: copies published files to another store."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from obstore.exceptions import BaseError

from processors.contract import Work, params_of
from processors.errors import InvalidParams, SourceMissing, SourceUnavailable
from processors.storage.errors import ObjectNotFound, StoreError
from processors.storage.keys import InvalidKey, checked_key, content_type
from processors.storage.object_store import ObjectStore, open_store
from processors.threads import in_thread
from schemas.store import StoredStep, StoreObject, StoreOutputs, StoreParams

#: assets/<asset>/<step>/<attempt>-<lease>
_UNIT_PARTS = 4


class StorePush:
    """Copies objects one by one; a repeat overwrites them."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    async def process(self, work: Work) -> StoreOutputs:
        """Copy the files. Raises InvalidParams, SourceMissing, SourceUnavailable."""
        params = _params(work)
        copying = _Copying(self._store, _target(params.to), params, work)
        try:
            stored = await copying.run()
        except InvalidKey as error:
            raise InvalidParams(f"Invalid path in the step store: {error}") from error
        except ObjectNotFound as error:
            raise SourceMissing("A file to copy is not in the store.", detail=str(error)) from error
        except StoreError as error:
            raise SourceUnavailable("A store cannot be reached.", detail=str(error)) from error
        return StoreOutputs(to=params.to, stored=tuple(stored), deleted_local=params.delete_local)


class _Copying:
    """One attempt."""

    def __init__(self, store: ObjectStore, target: ObjectStore, params: StoreParams, work: Work) -> None:
        self._store, self._target, self._params, self._work = store, target, params, work
        self._asset_id = work.prefix.split("/")[1]

    async def run(self) -> list[StoredStep]:
        """Copy everything; deletes local files only afterwards."""
        objects = self._params.objects
        steps = self._params.steps or (() if objects else tuple(self._work.inputs))
        units = {step: sorted(set(_units(self._work.inputs.get(step, {})))) for step in steps}
        stored = [await self._copy_step(step, folders) for step, folders in units.items()]
        keys = [self._key_of(one) for one in objects]
        stored += [await self._copy_object(one, key) for one, key in zip(objects, keys, strict=True)]
        if self._params.delete_local:
            for copied in (*(unit for folders in units.values() for unit in folders), *keys):
                await self._store.delete_prefix(copied)
        return stored

    async def _copy_step(self, step: str, units: list[str]) -> StoredStep:
        path = self._params.path.format(asset_id=self._asset_id, step=step)
        for unit in units:
            for stored in await self._store.list(unit):
                key = f"{path}/{stored.key.removeprefix(unit + '/')}"
                await self._copy(stored.key, key, self._params.content_types.get(PurePosixPath(key).suffix), {})
        # Counted in the target: an earlier try may have copied them, and deleted them here.
        copied = await self._target.list(path)
        if units and not copied:
            raise ObjectNotFound(f"no files of {step} in either store")
        return StoredStep(step=step, path=path, objects=len(copied), size_bytes=sum(one.size_bytes for one in copied))

    async def _copy_object(self, one: StoreObject, source: str) -> StoredStep:
        path = one.path.format(asset_id=self._asset_id)
        with contextlib.suppress(ObjectNotFound):
            await self._copy(source, path, one.content_type, one.metadata)
        copied = await self._target.head(path)
        return StoredStep(step=one.object.partition("/")[0], path=path, objects=1, size_bytes=copied.size_bytes)

    def _key_of(self, one: StoreObject) -> str:
        """The store key of STEP/PATH. Raises InvalidParams."""
        step, _, path = one.object.partition("/")
        units = sorted(set(_units(self._work.inputs.get(step, {}))))
        if not units or not path:
            raise InvalidParams(f"Unknown file {one.object!r} in the step store: use STEP/PATH of an earlier step.")
        return f"{units[-1]}/{path}"

    async def _copy(self, source: str, key: str, kind: str | None, metadata: Mapping[str, str]) -> None:
        local = self._work.scratch / "copied"
        await self._store.fetch(source, local)
        attributes = {**self._params.metadata, **metadata, "Content-Type": kind or content_type(key)}
        await self._target.put_file(local, checked_key(key), attributes)
        await in_thread(_unlink, local)


def _unlink(path: Path) -> None:
    path.unlink(missing_ok=True)


def _units(outputs: Any) -> Iterator[str]:
    """The folders of attempts, for every store key in the outputs."""
    if isinstance(outputs, str):
        parts = outputs.split("/")
        if parts[0] == "assets" and len(parts) > _UNIT_PARTS:
            yield "/".join(parts[:_UNIT_PARTS])
    elif isinstance(outputs, dict | list | tuple):
        for child in outputs.values() if isinstance(outputs, dict) else outputs:
            yield from _units(child)


def _target(url: str) -> ObjectStore:
    try:
        return open_store(url)
    except (BaseError, ValueError, OSError) as error:
        raise InvalidParams("The URL of the target store is invalid.", detail=str(error)[:200]) from error


def _params(work: Work) -> StoreParams:
    try:
        params = params_of(work, StoreParams)
        for path in (params.path, *(one.path for one in params.objects)):
            path.format(asset_id="a", step="s")
    except (KeyError, IndexError, ValueError) as error:
        raise InvalidParams(f"Invalid path in the step store: {error}") from error
    return params
