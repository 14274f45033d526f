"""/v1/dead-letters and /v1/audit: the newest records of the two topics, read from the log."""

import base64
from typing import Annotated, Any, TypeVar

import msgspec
from aiohttp import web
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from schemas.audit import AuditRecorded
from schemas.base import Message
from schemas.facts import DeadLetter
from streams.kafka.envelope import iso_time
from streams.kafka.reader import open_reader, read_between
from streams.kafka.topics import names
from streams.settings import Settings
from web.api.common import data_response
from web.api.log_reads import read_log
from web.http.problems import Problem, unavailable
from web.http.routing import Routes
from web.services import services
from web.views.models import Answer, AuditView, DeadLetterView

routes = Routes("Operation")

M = TypeVar("M", bound=Message)

_MOST, _DEFAULT = 500, 100
#: Characters of a dead letter's bytes that are shown.
_PREVIEW_CHARS = 500


class NewestQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Query parameters of lists of the newest records."""

    #: Maximum number of results.
    limit: Annotated[int, msgspec.Meta(ge=1, le=_MOST)] = _DEFAULT


@routes.get(
    "/v1/dead-letters",
    access="admin",
    query=NewestQuery,
    responses={200: Answer[list[DeadLetterView]]},
    problems=(400, 429, 503),
)
async def list_dead_letters(request: web.Request) -> web.Response:
    """List the newest records that could not be processed, the newest first."""
    settings = services(request).settings
    parts = [TopicPartition(names(settings).dead_letters, number) for number in range(settings.partitions)]
    letters = await _newest(request, parts, DeadLetter)
    return data_response([_letter_view(at, letter) for at, letter in letters])


@routes.get(
    "/v1/audit",
    access="admin",
    query=NewestQuery,
    responses={200: Answer[list[AuditView]]},
    problems=(400, 429, 503),
)
async def list_audit(request: web.Request) -> web.Response:
    """List the newest entries of the audit, the newest first; `kinolog audit verify` checks that none is missing."""
    entries = await _newest(request, [TopicPartition(names(services(request).settings).audit, 0)], AuditRecorded)
    return data_response([_audit_view(entry) for _, entry in entries])


async def _newest(request: web.Request, parts: list[TopicPartition], kind: type[M]) -> list[tuple[float, M]]:
    """The newest records with their times, the newest first. Raises Problem: 400, 503."""
    limit, settings = _limit(request), services(request).settings
    try:
        found = await read_log(request, lambda: _tail(settings, parts, limit))
    except (KafkaError, OSError, TimeoutError) as error:
        raise unavailable("log-unreadable", "The log cannot be read at the moment: try again.") from error
    decoder = msgspec.json.Decoder(kind)
    return [(timestamp_ms / 1000, decoder.decode(value)) for timestamp_ms, _, value in found]


async def _tail(settings: Settings, parts: list[TopicPartition], limit: int) -> list[tuple[int, int, Any]]:
    """Timestamp, offset and value of the last `limit` records of all partitions, the newest first."""
    async with open_reader(settings.cluster, parts, reset="earliest") as reader:
        starts, ends = await reader.beginning_offsets(parts), await reader.end_offsets(parts)
        lasts = {part: max(starts[part], ends[part] - limit) for part in parts}
        found = [
            (record.timestamp, record.offset, record.value)
            async for record in read_between(reader, lasts, ends)
            if record.value
        ]
    return sorted(found, key=lambda record: record[:2], reverse=True)[:limit]


def _limit(request: web.Request) -> int:
    text = request.query.get("limit", str(_DEFAULT))
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= _MOST):
        raise Problem(400, "invalid-limit", f"limit must be a number from 1 to {_MOST}")
    return int(text)


def _letter_view(at: float, letter: DeadLetter) -> DeadLetterView:
    raw = base64.b64decode(letter.value_base64 or "")
    return DeadLetterView(
        time=iso_time(at),
        topic=letter.topic,
        partition=letter.partition,
        offset=letter.offset,
        found_by=letter.found_by,
        code=letter.error.code,
        message=letter.error.message,
        key=letter.message_key,
        preview=raw[: 4 * _PREVIEW_CHARS].decode(errors="replace")[:_PREVIEW_CHARS],
        value_base64=letter.value_base64,
    )


def _audit_view(entry: AuditRecorded) -> AuditView:
    return AuditView(
        time=iso_time(entry.at),
        action=entry.action,
        subject=entry.subject,
        result=entry.result,
        status=entry.status,
        code=entry.code,
        owner=entry.owner,
        role=entry.role,
        token_id=entry.token_id,
        remote=entry.remote,
    )
