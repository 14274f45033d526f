"""The step `download`: remote media into the store, once for all requests."""

import hashlib
import logging
import time
from functools import partial
from pathlib import Path

import msgspec

from processors.contract import Work, params_of
from processors.errors import InvalidUrl, ProcessingError, SourceUnavailable
from processors.fetch.address_filter import checked_url
from processors.fetch.fetcher import Fetched, Fetcher
from processors.fetch.responses import Validators
from processors.fetch.single_flight import CachedDownload, SingleFlight
from processors.storage.errors import ObjectNotFound, StoreError
from processors.storage.keys import content_type
from processors.storage.object_store import ObjectStore
from schemas.base import ErrorRecord
from schemas.download import DownloadOutputs, DownloadParams

log = logging.getLogger(__name__)


def url_key(url: str) -> str:
    """The digest of a normalised URL. Raises InvalidUrl."""
    return hashlib.sha256(str(checked_url(url)).encode()).hexdigest()


class _SharedFailure(ProcessingError):
    """The error of another attempt at the same URL."""

    def __init__(self, record: ErrorRecord) -> None:
        super().__init__(record.message, detail=record.detail)
        self._record = record

    def record(self) -> ErrorRecord:
        """The original error."""
        return self._record


class Download:
    """Downloads a URL into the store, or copies the object of an earlier download.

    Each attempt publishes an object of its own, so deleting one asset does not affect another.
    """

    def __init__(self, store: ObjectStore, fetcher: Fetcher, single_flight: SingleFlight, fresh_s: float) -> None:
        self._store, self._fetcher, self._single_flight, self._fresh_s = store, fetcher, single_flight, fresh_s

    async def process(self, work: Work) -> DownloadOutputs:
        """Download or copy the media. Raises InvalidUrl, InvalidParams, and the errors of Fetcher."""
        if work.url is None:
            raise InvalidUrl("The job has no URL to download from.")
        params, url = params_of(work, DownloadParams), str(checked_url(work.url))
        key, requested_at = url_key(url), time.time()
        cached = await self._cached(work, key, requested_at - self._fresh_s)
        if cached is not None:
            return cached
        async with self._single_flight.lock(key):
            # The previous holder of the lock may have downloaded it meanwhile.
            return await self._cached(work, key, requested_at, failures=True) or await self._download(
                work, params, url, key
            )

    async def _cached(self, work: Work, key: str, since: float, *, failures: bool = False) -> DownloadOutputs | None:
        """A copy of a result not older than `since`; with `failures`, raises its error."""
        entry = await self._single_flight.find(key)
        if entry is None or entry.at < since:
            return None
        if entry.error is not None:
            # Another job may accept other kinds of media.
            if failures and entry.error.code != "unsupported-media":
                raise _SharedFailure(entry.error)
            return None
        return await self._copy(work, entry.outputs) if entry.outputs is not None else None

    async def _download(self, work: Work, params: DownloadParams, url: str, key: str) -> DownloadOutputs:
        previous = await self._single_flight.find(key)
        try:
            async with self._single_flight.host_slot(checked_url(url).host or ""):
                outputs = await self._fetch(work, params, url, previous)
        except ProcessingError as error:
            known = previous.outputs if previous is not None else None
            await self._single_flight.keep(key, CachedDownload(at=time.time(), error=error.record(), outputs=known))
            raise
        await self._single_flight.keep(key, CachedDownload(at=time.time(), outputs=outputs))
        return outputs

    async def _fetch(
        self, work: Work, params: DownloadParams, url: str, entry: CachedDownload | None
    ) -> DownloadOutputs:
        path, known = work.scratch / "download", entry.outputs if entry is not None else None
        validators = Validators(known.etag, known.last_modified) if known is not None else Validators()

        def on_progress(size_bytes: int, total_bytes: int | None) -> None:
            work.report(size_bytes / total_bytes if total_bytes else 0.0, {})

        fetch = partial(self._fetcher.fetch, url, path, families=params.families, on_progress=on_progress)
        fetched = await fetch(known=validators)
        if fetched is None and known is not None and (copied := await self._copy(work, known)) is not None:
            return copied
        if fetched is None:  # not modified, but missing in the store
            fetched = await fetch()
        if fetched is None:
            raise SourceUnavailable("The server answered 304 to an unconditional request.")
        return await self._publish(work, path, fetched)

    async def _publish(self, work: Work, path: Path, fetched: Fetched) -> DownloadOutputs:
        key = work.key(f"media{fetched.kind.suffix}")
        await self._store.put_file(path, key)
        return DownloadOutputs(
            object=key,
            size_bytes=fetched.size_bytes,
            sha256=fetched.sha256,
            family=fetched.kind.family,
            kind=fetched.kind.name,
            content_type=content_type(key),
            etag=fetched.validators.etag,
            last_modified=fetched.validators.last_modified,
        )

    async def _copy(self, work: Work, known: DownloadOutputs) -> DownloadOutputs | None:
        """Copy an earlier download for this attempt; None if its object is gone."""
        key = work.key(known.object.rpartition("/")[2])
        try:
            if (await self._store.head(known.object)).size_bytes != known.size_bytes:
                return None
            await self._store.copy(known.object, key)
        except ObjectNotFound:
            return None
        except StoreError as error:  # a copy may be refused where a download is not, e.g. above S3's 5 GB
            log.warning("cached object could not be copied", extra={"key": known.object, "error": str(error)})
            return None
        return msgspec.structs.replace(known, object=key, from_cache=True)
