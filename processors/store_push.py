"""The step `store`: pushes what other steps published to another store. (processors/store.py is the store itself.)"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec
from obstore.exceptions import BaseError

from processors.errors import InvalidParams, SourceUnavailable
from processors.store import Store, StoreError, in_thread
from processors.store_keys import InvalidKey, checked_key
from processors.work import Work
from schemas.store import StoredStep, StoreOutputs, StoreParams

#: assets/<asset>/<step>/<attempt>-<lease>
_UNIT_PARTS = 4


class StorePush:
    """Copies objects one by one; a repeat writes the same ones again."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def process(self, work: Work) -> StoreOutputs:
        """What was pushed. Raises InvalidParams, SourceUnavailable."""
        params = _params(work)
        steps = params.steps or tuple(work.inputs)
        target = _target(params.to)
        units = {step: sorted(set(_units(work.inputs.get(step, {})))) for step in steps}
        try:
            stored = [await self._push(work, params, target, step, units[step]) for step in steps]
            if params.delete_local:
                for unit in (unit for found in units.values() for unit in found):
                    await self._store.delete_prefix(unit)
        except InvalidKey as error:
            raise InvalidParams(f"The path of the step store cannot be one: {error}") from error
        except StoreError as error:
            raise SourceUnavailable("One of the two stores cannot be reached.", detail=str(error)) from error
        return StoreOutputs(to=params.to, stored=tuple(stored), deleted_local=params.delete_local)

    async def _push(self, work: Work, params: StoreParams, target: Store, step: str, units: list[str]) -> StoredStep:
        path = params.path.format(asset_id=work.prefix.split("/")[1], step=step)
        objects, size_bytes = 0, 0
        for unit in units:
            for stored in await self._store.list(unit):
                local = work.scratch / "pushed"
                await self._store.fetch(stored.key, local)
                key = checked_key(f"{path}/{stored.key.removeprefix(unit + '/')}")
                await target.put_file(local, key, _attributes(params, key))
                await in_thread(_gone, local)
                objects, size_bytes = objects + 1, size_bytes + stored.size_bytes
        return StoredStep(step=step, path=path, objects=objects, size_bytes=size_bytes)


def _gone(path: Path) -> None:
    path.unlink(missing_ok=True)


def _attributes(params: StoreParams, key: str) -> dict[str, str]:
    kind = params.content_types.get(PurePosixPath(key).suffix)
    return dict(params.metadata) | ({"Content-Type": kind} if kind else {})


def _units(outputs: Any) -> Iterator[str]:
    """The attempts' folders of every key that the outputs name."""
    if isinstance(outputs, str):
        parts = outputs.split("/")
        if parts[0] == "assets" and len(parts) > _UNIT_PARTS:
            yield "/".join(parts[:_UNIT_PARTS])
    elif isinstance(outputs, dict | list | tuple):
        for child in outputs.values() if isinstance(outputs, dict) else outputs:
            yield from _units(child)


def _target(url: str) -> Store:
    try:
        return Store(url)
    except (BaseError, ValueError, OSError) as error:
        raise InvalidParams("The other store's address cannot be used.", detail=str(error)[:200]) from error


def _params(work: Work) -> StoreParams:
    try:
        params = msgspec.convert(work.params, StoreParams)
        params.path.format(asset_id="a", step="s")
    except (msgspec.ValidationError, KeyError, IndexError, ValueError) as error:
        raise InvalidParams(f"The parameters of the step store do not fit: {error}") from error
    return params
