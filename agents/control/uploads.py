"""media.uploads -> media.commands: turns upload events into SubmitJob commands."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from schemas.base import ErrorRecord
from schemas.commands import SubmitJob
from schemas.uploads import UploadCompleted
from streams.ids import derived_id
from streams.kafka.dead_letters import dead_letter
from streams.kafka.envelope import Entry, Unreadable, read, structured
from streams.kafka.partitioner import partition_of
from streams.kafka.topics import names
from streams.settings import Settings
from streams.worker.app import KinologApp
from streams.worker.guard import Guard
from streams.worker.quarantine import LIMIT, position_of, quarantined
from tables.pipelines import Pipelines
from tables.source_urls import secret_url, with_public_url
from tables.submissions import Refused, event_hash, submission

log = logging.getLogger(__name__)

_Result = SubmitJob | ErrorRecord


def add_uploads_agent(
    app: KinologApp, settings: Settings, pipelines: Pipelines, guard: Guard, mark: Callable[[int], None]
) -> None:
    """Add the agent to `app`. `mark(partition)` is called when an applied offset is in no row."""
    topics = names(settings)
    source = app.topic(topics.uploads, value_type=bytes, value_serializer="raw", key_serializer="raw", allow_empty=True)

    @app.agent(source, name="uploads")
    async def submit(stream: Any) -> None:
        async for event in stream.events():
            await guard.check(event.message)
            await _handle(app, settings, pipelines, event.message)
            if app.continuity.is_in_rows(event.message.tp):
                app.continuity.claim(topics.uploads, event.message.partition, event.message.offset)
                mark(event.message.partition)


async def _handle(app: KinologApp, settings: Settings, pipelines: Pipelines, message: Any) -> None:
    place = position_of(message)
    position = f"{message.topic}/{message.partition}/{message.offset}"
    crashes = app.quarantine.crashes(place)
    try:
        if crashes.times >= LIMIT:
            await _dead_letter(app, settings, message, message.value or b"", quarantined(crashes))
            return
        convert = _command_or_error if crashes.times == LIMIT - 1 else _command_or_rejection
        with app.quarantine.handling(place):
            entries = read(message.value, message.headers or ())
            results = [convert(entry, settings, pipelines, message.timestamp, position) for entry in entries]
        results = await asyncio.gather(*(_with_url_apart(app, settings, result) for result in results))
        for entry, result in zip(entries, results, strict=True):
            if isinstance(result, SubmitJob):
                _submit(app, settings, result)
            else:
                await _dead_letter(app, settings, message, entry.content, result)
    except Exception as error:  # part of it may be published, and only a replay repairs that
        log.exception("upload event failed")
        await app.exit_over_record(message, error)


def _command_or_rejection(
    entry: Entry | Unreadable, settings: Settings, pipelines: Pipelines, now: float, position: str
) -> SubmitJob | ErrorRecord:
    try:
        return command_for(entry, settings, pipelines, now, position)
    except Refused as error:
        return ErrorRecord(code=error.code, message=str(error))


def _command_or_error(
    entry: Entry | Unreadable, settings: Settings, pipelines: Pipelines, now: float, position: str
) -> SubmitJob | ErrorRecord:
    """For a record that has ended the process before: only the entry that fails is lost."""
    try:
        return _command_or_rejection(entry, settings, pipelines, now, position)
    except Exception as error:
        log.exception("upload entry failed")
        return ErrorRecord(code="internal-error", message=f"control failed: {error!r}")


async def _with_url_apart(app: KinologApp, settings: Settings, result: _Result) -> _Result:
    """A command without the secret parts of its URL, which are on the log apart from it."""
    if not isinstance(result, SubmitJob) or (url := secret_url(result)) is None:
        return result
    topic, partition = names(settings).source_urls, partition_of(result.asset_id, settings.partitions)
    delivery = await app.send_record(topic, partition, result.job_id.encode(), url.encode(), [])
    return with_public_url(result, (await delivery).offset)


def _submit(app: KinologApp, settings: Settings, command: SubmitJob) -> None:
    encoded = structured(
        command,
        event_id=f"{command.job_id}/submit",
        source="kinolog/uploads",
        subject=command.asset_id,
        correlation_id=command.job_id,
    )
    app.outbox.put(names(settings).commands, partition_of(command.asset_id, settings.partitions), encoded)


async def _dead_letter(app: KinologApp, settings: Settings, message: Any, raw: bytes, error: ErrorRecord) -> None:
    letter = dead_letter(message, raw, error, "uploads")
    await app.send_record(names(settings).dead_letters, message.partition % settings.partitions, *letter)


def command_for(
    entry: Entry | Unreadable, settings: Settings, pipelines: Pipelines, now: float, position: str
) -> SubmitJob:
    """The command for an upload event. The same event gives the same ids. Raises Refused.

    `position` of its record: named in the dead letter of another event with the same id.
    """
    if isinstance(entry, Unreadable):
        raise Refused(entry.code, entry.reason)
    if not isinstance(entry.message, UploadCompleted):
        raise Refused("unexpected-type", f"{entry.message.TYPE} is not an upload event")
    origin = (entry.event.source, entry.event.id)
    return submission(
        entry.message,
        job_id=derived_id("job", *origin),
        asset_id=entry.message.asset_id or derived_id("asset", *origin),
        pipelines=pipelines,
        default_pipeline=settings.default_pipeline,
        input_roots=settings.store.input_roots,
        now=now,
        body_hash=event_hash(entry.message, position),
    )
