"""Execution of one attempt: source -> processor -> store, ending with exactly one event."""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from agents.executor.attempts import Attempt
from agents.executor.capacity import CpuBudget
from agents.executor.failures import error_record
from agents.executor.scratch import Scratch, Space
from agents.executor.sources import Sources, downloaded
from processors.contract import Processor, Work
from processors.errors import OutputsTooLarge, Skipped
from processors.storage.disk_reserve import DiskReserve
from processors.storage.errors import StoreError
from processors.storage.local_files import files_below
from processors.storage.local_store import LocalStore
from processors.storage.object_store import ObjectStore
from processors.threads import in_thread
from schemas.base import Json
from schemas.download import STEP as DOWNLOAD
from schemas.step_events import (
    AttemptCancelled,
    AttemptCompleted,
    AttemptFailed,
    AttemptReleased,
    AttemptSkipped,
    StepEvent,
    StepRequested,
)
from streams.kafka.source_urls import SourceUrls
from tables.bounds import bounded_error, outputs_fit
from tables.policies import OUTPUTS_TOO_LARGE

log = logging.getLogger(__name__)

#: For steps without files or without a source: writing below it fails.
_NO_FOLDER = Path(os.devnull)


class AttemptResources(NamedTuple):
    """The resources that the attempts of one executor share."""

    store: ObjectStore
    scratch: Scratch
    sources: Sources
    budget: CpuBudget
    #: Full URLs of sources; unset: inputs have them.
    urls: SourceUrls | None = None
    #: Of the disks of the scratch space and the store.
    reserve: DiskReserve = DiskReserve()


async def execute(attempt: Attempt, processor: Processor, resources: AttemptResources) -> StepEvent:
    """Run the attempt. Returns its last event. Raises nothing."""
    attempt.state = "running"
    try:
        if attempt.stop_reason is not None:
            return _stopped(attempt)
        async with attempt.slots or contextlib.nullcontext():
            attempt.has_slot = True
            outputs = await _outputs(attempt, processor, resources)
        return AttemptCompleted(**attempt.identity.event_fields, outputs=outputs)
    except asyncio.CancelledError as error:
        return _stopped(attempt) if attempt.stop_reason is not None else _failed(attempt, error)
    except Skipped as skipped:
        outputs = {"hint": skipped.hint} if skipped.hint else {}
        return AttemptSkipped(**attempt.identity.event_fields, reason=skipped.reason, outputs=outputs)
    except Exception as error:  # noqa: BLE001 - whatever it is, an attempt ends with an event, never the process
        return _failed(attempt, error)
    finally:
        attempt.state = "ended"
        attempt.release_cpus()


async def _outputs(attempt: Attempt, processor: Processor, resources: AttemptResources) -> Json:
    if not attempt.identity.kind.files:
        return _as_json(await processor.process(_fileless_work(attempt)))
    name = f"{attempt.identity.request.step}-{attempt.identity.name}"
    if isinstance(resources.store, LocalStore):
        resources.reserve.require(resources.store.root)
    async with resources.scratch.space(name) as space:
        return await resources.reserve.guard(space.folder, _written(attempt, processor, resources, space))


async def _written(attempt: Attempt, processor: Processor, resources: AttemptResources, space: Space) -> Json:
    source = await _source(attempt, resources, space)
    outputs = _as_json(await _processed(attempt, processor, resources, source, space))
    await _publish(attempt, resources.store, space.output)
    return outputs


def _fileless_work(attempt: Attempt) -> Work:
    prefix = attempt.identity.store_prefix
    return Work(source=_NO_FOLDER, scratch=_NO_FOLDER, output=_NO_FOLDER, prefix=prefix, **_request_fields(attempt))


async def _source(attempt: Attempt, resources: AttemptResources, space: Space) -> Path:
    if not attempt.identity.kind.source:
        return _NO_FOLDER
    request = attempt.identity.request
    return await resources.sources.resolve(downloaded(request), space.folder, request.asset_id)


async def _processed(
    attempt: Attempt, processor: Processor, resources: AttemptResources, source: Path, space: Space
) -> msgspec.Struct:
    cpus = 1
    if attempt.cpu_ticket is not None:
        await attempt.cpu_ticket.acquire()
        cpus = resources.budget.cpus
    attempt.progress.begin(time.monotonic())

    async def fetch(key: str) -> Path:
        return await resources.sources.artifact(key, space.folder)

    fields = {**_request_fields(attempt), "url": await _source_url(attempt.identity.request, resources.urls)}
    work = Work(
        source=source,
        scratch=space.work,
        output=space.output,
        prefix=attempt.identity.store_prefix,
        cpus=cpus,
        fetch=fetch,
        release_cpus=attempt.release_cpus,
        **fields,
    )
    try:
        return await processor.process(work)
    finally:
        attempt.release_cpus()  # publishing needs no CPU: the next attempt starts


async def _source_url(request: StepRequested, urls: SourceUrls | None) -> str | None:
    """The full URL of the source, for the step that reads it. Raises SourceMissing, SourceUnavailable."""
    offset = request.input.url_offset
    if offset is None or urls is None or request.step != DOWNLOAD.name:
        return request.input.url
    return await urls.find(request.asset_id, request.job_id, offset)


def _request_fields(attempt: Attempt) -> Mapping[str, Any]:
    request = attempt.identity.request
    return {
        "params": request.params,
        "inputs": request.inputs,
        "url": request.input.url,
        "filename": request.filename,
        "report": attempt.report,
        "on_caption": attempt.show,
        "asleep_left": request.asleep_left,
    }


def _as_json(outputs: msgspec.Struct) -> Json:
    plain: Json = msgspec.to_builtins(outputs)
    if not outputs_fit(plain):
        raise OutputsTooLarge(OUTPUTS_TOO_LARGE.message)
    return plain


async def _publish(attempt: Attempt, store: ObjectStore, output: Path) -> None:
    """Copy the outputs to the store, if there are any; an attempt that does not complete leaves none."""
    if not await in_thread(files_below, output):
        return
    try:
        await store.publish_tree(output, attempt.identity.store_prefix)
    except BaseException:
        await _retract(attempt, store)
        raise


async def _retract(attempt: Attempt, store: ObjectStore) -> None:
    prefix = attempt.identity.store_prefix
    try:
        await store.delete_prefix(prefix)
    except (StoreError, OSError) as error:  # nothing refers to the files; the error that led here is reported
        log.warning("unpublished outputs could not be removed", extra={"prefix": prefix, "error": str(error)})


def _stopped(attempt: Attempt) -> StepEvent:
    kind = AttemptReleased if attempt.stop_reason == "released" else AttemptCancelled
    return kind(**attempt.identity.event_fields, progress=attempt.progress.value)


def _failed(attempt: Attempt, error: BaseException) -> AttemptFailed:
    record = bounded_error(error_record(attempt, error))
    return AttemptFailed(**attempt.identity.event_fields, error=record, progress=attempt.progress.value)
