"""The step `download`: foreign media, once and safely, into our own store."""

import hashlib
import logging
import time
from pathlib import Path

import msgspec

from processors.contract import Work, params_of
from processors.errors import InvalidUrl, ProcessingError, SourceUnavailable
from processors.fetch.address_filter import checked_url
from processors.fetch.fetcher import Fetched, Fetcher
from processors.fetch.responses import Validators
from processors.fetch.single_flight import Entry, Flights
from processors.storage.errors import ObjectNotFound, StoreError
from processors.storage.keys import content_type
from processors.storage.object_store import ObjectStore
from schemas.base import ErrorRecord
from schemas.download import DownloadOutputs, DownloadParams

log = logging.getLogger(__name__)


def address_of(url: str) -> str:
    """The digest under which an address is known. Raises InvalidUrl."""
    return hashlib.sha256(str(checked_url(url)).encode()).hexdigest()


class _Failed(ProcessingError):
    """Somebody else has just failed with it."""

    def __init__(self, record: ErrorRecord) -> None:
        super().__init__(record.message, detail=record.detail)
        self._record = record

    def record(self) -> ErrorRecord:
        """The error as it was."""
        return self._record


class Download:
    """Brings what an address gives into the store: from its server, or from where an earlier download put it.

    What it publishes is the attempt's own object, a copy inside the store where it was there before: so deleting an
    asset takes nothing from another one.
    """

    def __init__(self, store: ObjectStore, fetcher: Fetcher, flights: Flights, fresh_s: float) -> None:
        self._store, self._fetcher, self._flights, self._fresh_s = store, fetcher, flights, fresh_s

    async def process(self, work: Work) -> DownloadOutputs:
        """The object's key and what is known of it. Raises InvalidUrl, InvalidParams and what the fetcher raises."""
        if work.url is None:
            raise InvalidUrl("There is no address to download from.")
        params, url = params_of(work, DownloadParams), str(checked_url(work.url))
        address, asked_at = address_of(url), time.time()
        found = await self._known(work, address, asked_at - self._fresh_s)
        if found is not None:
            return found
        async with self._flights.flight(address):
            # Whoever had the flight before us may have brought it while we waited.
            return await self._known(work, address, asked_at, failures=True) or await self._fly(
                work, params, url, address
            )

    async def _known(self, work: Work, address: str, since: float, *, failures: bool = False) -> DownloadOutputs | None:
        """A copy of what is known and not older than `since`; with `failures`, raises what went wrong since then."""
        entry = await self._flights.find(address)
        if entry is None or entry.at < since:
            return None
        if entry.error is not None:
            # Another one's job may take other kinds of media than ours.
            if failures and entry.error.code != "unsupported-media":
                raise _Failed(entry.error)
            return None
        return await self._copy(work, entry.outputs) if entry.outputs is not None else None

    async def _fly(self, work: Work, params: DownloadParams, url: str, address: str) -> DownloadOutputs:
        before = await self._flights.find(address)
        try:
            async with self._flights.turn(checked_url(url).host or ""):
                outputs = await self._fetch(work, params, url, before)
        except ProcessingError as error:
            known = before.outputs if before is not None else None
            await self._flights.keep(address, Entry(at=time.time(), error=error.record(), outputs=known))
            raise
        await self._flights.keep(address, Entry(at=time.time(), outputs=outputs))
        return outputs

    async def _fetch(self, work: Work, params: DownloadParams, url: str, entry: Entry | None) -> DownloadOutputs:
        path, known = work.scratch / "download", entry.outputs if entry is not None else None
        validators = Validators(known.etag, known.last_modified) if known is not None else Validators()

        def heard(size_bytes: int, total_bytes: int | None) -> None:
            work.report(size_bytes / total_bytes if total_bytes else 0.0, {})

        fetched = await self._fetcher.fetch(url, path, known=validators, families=params.families, heard=heard)
        if fetched is None and known is not None and (copied := await self._copy(work, known)) is not None:
            return copied
        if fetched is None:  # unchanged there, and gone here
            fetched = await self._fetcher.fetch(url, path, families=params.families, heard=heard)
        if fetched is None:
            raise SourceUnavailable("The server does not send the media, as if it were known here.")
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
        """The same as an object of our own; None when it is not there any more."""
        key = work.key(known.object.rpartition("/")[2])
        try:
            if (await self._store.head(known.object)).size_bytes != known.size_bytes:
                return None
            await self._store.copy(known.object, key)
        except ObjectNotFound:
            return None
        except StoreError as error:  # a copy may be refused where a download is not, e.g. above S3's 5 GB
            log.warning("a cached object cannot be copied", extra={"key": known.object, "error": str(error)})
            return None
        return msgspec.structs.replace(known, object=key, from_cache=True)
