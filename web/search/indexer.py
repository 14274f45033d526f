"""Rows of assets -> artifacts of the store -> search index, for as long as the process lives.

An index entry names the artifacts that it was made of. Whatever differs from the asset's row is made again, so nothing
needs to be remembered: not after a restart, not after the loss of the index.
"""

import asyncio
import io
import logging
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from processors.media.passages import passages, speech_of
from processors.storage.errors import ObjectNotFound, StoreError
from processors.storage.object_store import ObjectStore
from schemas.embed import EmbedOutputs, Passage, PassagesFile
from schemas.jobs import Asset
from schemas.transcribe import Transcript
from web.readmodel import queries
from web.readmodel.changelog import Change
from web.readmodel.position import Position
from web.readmodel.read_model import ReadModel
from web.search.index import Embedded, Entry, SearchIndex
from web.search.vector_file import Floats

log = logging.getLogger("kinolog.web")

#: Artifacts that are fetched at a time.
_FETCHES = 8
_AGAIN_S = 5.0

_transcripts = msgspec.json.Decoder(Transcript)
_passage_files = msgspec.json.Decoder(PassagesFile)


class Artifacts(NamedTuple):
    """Where the speech of an asset is, as its row says."""

    #: ObjectStore key of the transcript.
    transcript: str
    #: ObjectStore keys of its passages and vectors; None while there are none of this transcript.
    passages: str | None = None
    vectors: str | None = None

    @property
    def source(self) -> str:
        """Names them in the index. Keys never change their content."""
        return "\n".join(key for key in self if key is not None)


class UnreadableArtifact(Exception):
    """An artifact is not what its step says that it is."""


class Indexer:
    """Keeps the index like the assets are. Told of changes by the follower of the log."""

    def __init__(self, model: ReadModel, position: Position, store: ObjectStore, index: SearchIndex) -> None:
        self._model, self._position, self._store, self._index = model, position, store, index
        #: Assets to look at, in the order in which they changed.
        self._changed: dict[str, None] = {}
        #: Assets that are in the index, or may be; None while that is not known.
        self._indexed: set[str] | None = None
        self._woken = asyncio.Event()
        self._compare_all = True

    def changed(self, changes: Iterable[Change[Asset]]) -> None:
        """These rows are new, different or gone. Most say nothing of speech and cost nothing."""
        self._look_at(change.id for change in changes if self._is_of_interest(change))

    def _is_of_interest(self, change: Change[Asset]) -> bool:
        if self._indexed is None or change.id in self._indexed:
            return True
        return change.row is not None and artifacts_of(change.row) is not None

    def _look_at(self, asset_ids: Iterable[str]) -> None:
        self._changed.update(dict.fromkeys(asset_ids))
        if self._changed:
            self._woken.set()

    def caught_up(self) -> None:
        """The read model is complete (again): what it does not have is gone."""
        self._compare_all = True
        self._woken.set()

    async def run(self) -> None:
        """Follow until cancelled."""
        await self._position.caught_up.wait()
        while True:
            if self._compare_all or self._index.emptied.is_set():
                await self._compare()
            await self._work_off()
            try:
                async with asyncio.timeout(_AGAIN_S):
                    await self._woken.wait()
            except TimeoutError:
                pass  # the index may have been lost meanwhile
            self._woken.clear()

    async def _compare(self) -> None:
        """Find everything that differs between the assets and the index."""
        self._compare_all, self._indexed = False, None
        self._index.emptied.clear()
        wanted, indexed = await self._model.read(artifacts_of_all), await self._index.sources()
        self._indexed = set(indexed)
        differs = [asset_id for asset_id in wanted if indexed.get(asset_id) != wanted[asset_id].source]
        self._changed.update(dict.fromkeys([*differs, *(indexed.keys() - wanted.keys())]))
        if self._changed:
            log.info("search index is brought up to date", extra={"assets": len(self._changed)})

    async def _work_off(self) -> None:
        while self._changed:
            # What changed last comes first: somebody waits for it, while nobody waits for the rest of a rebuild.
            some = [self._changed.popitem()[0] for _ in range(min(_FETCHES, len(self._changed)))]
            await asyncio.gather(*(self._bring_up(asset_id) for asset_id in some))

    async def _bring_up(self, asset_id: str) -> None:
        try:
            await self._index_asset(asset_id)
        except ObjectNotFound:
            log.warning("nothing to index", extra={"asset_id": asset_id, "reason": "an artifact is gone"})
            await self._forget(asset_id)
        except UnreadableArtifact as error:
            log.warning("nothing to index", extra={"asset_id": asset_id, "reason": str(error)})
            await self._forget(asset_id)
        except (StoreError, OSError) as error:
            log.warning("an asset cannot be indexed now", extra={"asset_id": asset_id, "reason": str(error)})
            asyncio.get_running_loop().call_later(_AGAIN_S, self._look_at, [asset_id])
        except Exception:  # a bug of ours: without its speech in the index an asset is worth more than without a page
            log.exception("an asset cannot be indexed", extra={"asset_id": asset_id})

    async def _index_asset(self, asset_id: str) -> None:
        asset = await self._model.read(queries.asset, asset_id)
        artifacts = None if asset is None else artifacts_of(asset)
        if asset is None or artifacts is None:
            await self._forget(asset_id)
        elif await self._index.source(asset_id) != artifacts.source:
            entry = await self._entry(asset, artifacts)
            if self._indexed is not None:
                self._indexed.add(asset_id)
            await self._index.put(entry)

    async def _forget(self, asset_id: str) -> None:
        await self._index.remove([asset_id])
        if self._indexed is not None:
            self._indexed.discard(asset_id)

    async def _entry(self, asset: Asset, artifacts: Artifacts) -> Entry:
        if artifacts.passages is None or artifacts.vectors is None:
            content = await self._content(artifacts.transcript)
            found = await asyncio.to_thread(_of_transcript, content)
            return Entry(asset.id, asset.owner, artifacts.source, found)
        content, vectors = await self._content(artifacts.passages), await self._content(artifacts.vectors)
        found, embedded = await asyncio.to_thread(_of_embedding, content, vectors)
        return Entry(asset.id, asset.owner, artifacts.source, found, embedded)

    async def _content(self, key: str) -> bytes:
        return b"".join([chunk async for chunk in self._store.get(key)])


def artifacts_of_all(db: Any) -> dict[str, Artifacts]:
    """Where the speech of each asset is that has some."""
    found = ((asset.id, artifacts_of(asset)) for asset in queries.all_assets(db))
    return {asset_id: artifacts for asset_id, artifacts in found if artifacts is not None}


def artifacts_of(asset: Asset) -> Artifacts | None:
    """Where the asset's speech is; None where nothing was transcribed. Vectors of an older transcript do not count."""
    transcript = (asset.outputs.get("transcribe") or {}).get("transcript")
    if not isinstance(transcript, str):
        return None
    try:
        embedded = msgspec.convert(asset.outputs.get("embed"), EmbedOutputs)
    except msgspec.ValidationError:
        return Artifacts(transcript)
    if embedded.transcript != transcript:
        return Artifacts(transcript)
    return Artifacts(transcript, embedded.passages, embedded.vectors)


def _of_transcript(content: bytes) -> Sequence[Passage]:
    try:
        return passages(speech_of(_transcripts.decode(content)))
    except msgspec.MsgspecError as error:
        raise UnreadableArtifact(f"the transcript cannot be read: {error}") from error


def _of_embedding(content: bytes, vectors: bytes) -> tuple[Sequence[Passage], Embedded]:
    try:
        file = _passage_files.decode(content)
        matrix = np.load(io.BytesIO(vectors), allow_pickle=False)
    except (msgspec.MsgspecError, ValueError, EOFError, OSError) as error:
        raise UnreadableArtifact(f"the passages cannot be read: {error}") from error
    return file.passages, Embedded(file.space, _checked(matrix, len(file.passages), file.space.dim))


def _checked(matrix: Any, count: int, dim: int) -> Floats:
    if matrix.dtype != np.float32 or matrix.shape != (count, dim) or not np.isfinite(matrix).all():
        raise UnreadableArtifact(f"vectors of {matrix.shape}, {matrix.dtype} are not {count} of {dim} numbers")
    vectors: Floats = matrix
    return vectors
