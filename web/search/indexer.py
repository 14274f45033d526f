"""Asset rows -> artifacts in the store -> search index, for as long as the process lives.

An index entry names the artifacts that it was made from. An entry that differs from the asset's row is made again, so
no other state is needed, neither after a restart nor after a loss of the index.
"""

import asyncio
import io
import logging
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np

from processors.storage.errors import ObjectNotFound, StoreError
from processors.storage.object_store import ObjectStore
from processors.transcripts.passages import passages, speech_of
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

#: Assets that are indexed concurrently.
_CONCURRENCY = 8
_RETRY_S = 5.0

_transcripts = msgspec.json.Decoder(Transcript)
_passage_files = msgspec.json.Decoder(PassagesFile)


class Artifacts(NamedTuple):
    """Store keys of an asset's transcript, from its row."""

    #: Key of the transcript.
    transcript: str
    #: Keys of its passages and vectors; None while there are none of this transcript.
    passages: str | None = None
    vectors: str | None = None

    @property
    def source(self) -> str:
        """Name of these artifacts in the index. The content of a key never changes."""
        return "\n".join(key for key in self if key is not None)


class UnreadableArtifact(Exception):
    """An artifact cannot be decoded or does not match its description."""


class Indexer:
    """Keeps the index equal to the assets. Notified of changes by the changelog follower."""

    def __init__(self, model: ReadModel, position: Position, store: ObjectStore, index: SearchIndex) -> None:
        self._model, self._position, self._store, self._index = model, position, store, index
        #: Assets to check, in order of change.
        self._changed: dict[str, None] = {}
        #: Assets that may be in the index; None while unknown.
        self._indexed: set[str] | None = None
        self._wakeup = asyncio.Event()
        self._compare_all = True

    def changed(self, changes: Iterable[Change[Asset]]) -> None:
        """Check new, changed or deleted assets. Assets without a transcript cost nothing."""
        self._check(change.id for change in changes if self._is_of_interest(change))

    def _is_of_interest(self, change: Change[Asset]) -> bool:
        if self._indexed is None or change.id in self._indexed:
            return True
        return change.row is not None and artifacts_of(change.row) is not None

    def _check(self, asset_ids: Iterable[str]) -> None:
        self._changed.update(dict.fromkeys(asset_ids))
        if self._changed:
            self._wakeup.set()

    def caught_up(self) -> None:
        """Compare everything: the read model is complete (again)."""
        self._compare_all = True
        self._wakeup.set()

    async def run(self) -> None:
        """Follow until cancelled."""
        await self._position.caught_up.wait()
        while True:
            if self._compare_all or self._index.emptied.is_set():
                await self._compare()
            await self._index_changed()
            try:
                async with asyncio.timeout(_RETRY_S):
                    await self._wakeup.wait()
            except TimeoutError:
                pass  # the index may have been recreated meanwhile
            self._wakeup.clear()

    async def _compare(self) -> None:
        """Collect the differences between the assets and the index."""
        self._compare_all, self._indexed = False, None
        self._index.emptied.clear()
        current, indexed = await self._model.read(artifacts_of_all), await self._index.sources()
        self._indexed = set(indexed)
        differs = [asset_id for asset_id in current if indexed.get(asset_id) != current[asset_id].source]
        self._changed.update(dict.fromkeys([*differs, *(indexed.keys() - current.keys())]))
        if self._changed:
            log.info("updating search index", extra={"assets": len(self._changed)})

    async def _index_changed(self) -> None:
        while self._changed:
            # The latest change first: a user waits for it, but not for the rest of a rebuild.
            batch = [self._changed.popitem()[0] for _ in range(min(_CONCURRENCY, len(self._changed)))]
            await asyncio.gather(*(self._try_to_index(asset_id) for asset_id in batch))

    async def _try_to_index(self, asset_id: str) -> None:
        try:
            await self._index_asset(asset_id)
        except ObjectNotFound:
            log.warning("asset not indexed", extra={"asset_id": asset_id, "reason": "an artifact was deleted"})
            await self._remove(asset_id)
        except UnreadableArtifact as error:
            log.warning("asset not indexed", extra={"asset_id": asset_id, "reason": str(error)})
            await self._remove(asset_id)
        except (StoreError, OSError) as error:
            log.warning("asset not indexed, retrying", extra={"asset_id": asset_id, "reason": str(error)})
            asyncio.get_running_loop().call_later(_RETRY_S, self._check, [asset_id])
        except Exception:  # a bug: one asset missing in the search is better than no web process
            log.exception("asset not indexed", extra={"asset_id": asset_id})

    async def _index_asset(self, asset_id: str) -> None:
        asset = await self._model.read(queries.asset, asset_id)
        artifacts = None if asset is None else artifacts_of(asset)
        if asset is None or artifacts is None:
            await self._remove(asset_id)
        elif await self._index.source(asset_id) != artifacts.source:
            entry = await self._entry(asset, artifacts)
            if self._indexed is not None:
                self._indexed.add(asset_id)
            await self._index.put(entry)

    async def _remove(self, asset_id: str) -> None:
        await self._index.remove([asset_id])
        if self._indexed is not None:
            self._indexed.discard(asset_id)

    async def _entry(self, asset: Asset, artifacts: Artifacts) -> Entry:
        if artifacts.passages is None or artifacts.vectors is None:
            content = await self._content(artifacts.transcript)
            parts = await asyncio.to_thread(_of_transcript, content)
            return Entry(asset.id, asset.owner, artifacts.source, parts)
        content, vectors = await self._content(artifacts.passages), await self._content(artifacts.vectors)
        parts, embedded = await asyncio.to_thread(_of_embedding, content, vectors)
        return Entry(asset.id, asset.owner, artifacts.source, parts, embedded)

    async def _content(self, key: str) -> bytes:
        return b"".join([chunk async for chunk in self._store.get(key)])


def artifacts_of_all(db: Any) -> dict[str, Artifacts]:
    """Artifacts of all assets with a transcript, by id."""
    by_asset = ((asset.id, artifacts_of(asset)) for asset in queries.all_assets(db))
    return {asset_id: artifacts for asset_id, artifacts in by_asset if artifacts is not None}


def artifacts_of(asset: Asset) -> Artifacts | None:
    """Artifacts of the asset; None without a transcript. Vectors of an older transcript do not count."""
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
        raise UnreadableArtifact(
            f"vectors have shape {matrix.shape} and type {matrix.dtype}, expected {(count, dim)} and float32"
        )
    vectors: Floats = matrix
    return vectors
