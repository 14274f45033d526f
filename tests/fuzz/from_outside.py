"""What strangers send: records, requests, addresses, the environment."""

import asyncio
import math
import sqlite3
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl

import jwt
import orjson

from agents.control.uploads import command_for
from processors.errors import InvalidUrl
from processors.fetch.address_filter import checked_url
from processors.fetch.responses import retry_after_s
from processors.storage.keys import InvalidKey, checked_key, content_type
from schemas.base import ErrorRecord
from streams.data_files import pipelines_dir
from streams.kafka.dead_letters import dead_letter
from streams.kafka.envelope import Entry, Unreadable, batch, read, structured
from streams.settings import SettingsError, load, to_environ
from streams.settings.interface import Jwt
from tables.pipelines import Pipelines, load_pipelines
from tables.submissions import Refused
from tests.fuzz.common import header_text, settings_of_here, unless
from web.api.jobs.listing import JOBS
from web.api.uploads.tus_headers import metadata
from web.auth.jwt_tokens import JwtTokens
from web.auth.principal import Principal
from web.auth.signed_urls import Signer
from web.auth.tickets import Tickets
from web.compat.signature import signed_call
from web.http.byte_ranges import Span, Unsatisfiable, etag_matches, range_allowed, span
from web.http.cursors import InvalidCursor, LiveCursor, PageCursor, WriteCursor, dump
from web.http.cursors import load as load_cursor
from web.http.problems import Problem
from web.readmodel.list_query import parse as parse_listing
from web.readmodel.schema import TABLES
from web.readmodel.subscriptions import parse as parse_subscription

#: A record that the broker takes for sure. Source: Kafka, message.max.bytes.
_RECORD_BYTES = 1_000_000
#: A command's share of it: control adds to it what it knows.
_COMMAND_BYTES = 64 * 1024
_SECRET = "a secret of thirty-two letters at least"


def envelope(content: bytes) -> None:
    """Any record on any topic: every entry is understood or said to be unreadable, and the same when said again."""
    value, headers = _record(content)
    for entry in read(value, headers):
        if isinstance(entry, Entry):
            again = structured(entry.message, event_id="1", source="fuzz", subject="s")
            (same,) = read(batch([again]))
            assert isinstance(same, Entry) and same.message == entry.message
        else:
            assert entry.code and entry.reason


def upload_event(content: bytes) -> None:
    """A record on media.uploads: a command or a dead letter, both of a size that the broker takes."""
    value, headers = _record(content)
    message = SimpleNamespace(topic="media.uploads", partition=0, offset=7, key=value)
    for entry in read(value, headers):
        try:
            command = command_for(entry, settings_of_here(), _pipelines(), 1.5, "media.uploads/0/1")
        except Refused as refused:
            raw = entry.raw if isinstance(entry, Unreadable) else bytes(entry.event.data)
            error = ErrorRecord(code=refused.code, message=str(refused))
            letter = dead_letter(message, raw, error, "uploads").value
            assert len(letter) < _RECORD_BYTES
        else:
            said = structured(command, event_id=f"{command.job_id}/submit", source="s", subject=command.asset_id)
            assert len(said) < _COMMAND_BYTES
            (same,) = read(batch([said]))
            assert isinstance(same, Entry) and same.message == command


def cursor(content: bytes) -> None:
    """`?cursor=` and `?after=`."""
    text = header_text(content)
    for look in (_same(WriteCursor), _same(LiveCursor), _same(PageCursor)):
        unless(InvalidCursor, lambda look=look: look(text))  # type: ignore[misc]


def _same(kind: Any) -> Callable[[str], None]:
    def look(text: str) -> None:
        found = load_cursor(text, kind)
        assert load_cursor(dump(found), kind) == found

    return look


def listing(content: bytes) -> None:
    """The query of a list of jobs, down to the statement that the database runs."""
    query = dict(parse_qsl(_query(content), keep_blank_values=True))
    found = unless((Problem, InvalidCursor), lambda: parse_listing(query, JOBS, "somebody"))
    if found is not None:
        _database().execute(found.sql(), found.args).fetchall()


def subscription(content: bytes) -> None:
    """`?subscribe=` of a live connection, down to the statement that finds the snapshot."""
    found = unless(Problem, lambda: parse_subscription(_query(content), "somebody"))
    groups = found.groups() if found is not None else None
    if groups is not None:
        _database().execute(f"SELECT g FROM groups WHERE {groups[0]}", groups[1]).fetchall()


def range_header(content: bytes) -> None:
    """Range, If-None-Match and If-Range of a file whose size the first bytes give."""
    size, header = int.from_bytes(content[:6], "big"), header_text(content[6:])
    found = unless(Unsatisfiable, lambda: span(header, size))
    assert found is None or (0 <= found.start < found.end <= size and found == Span(*found))
    assert etag_matches(header, '"e"') in {True, False}
    now = datetime.now(UTC)
    assert range_allowed(header, '"e"', now, now) in {True, False}


def tus_metadata(content: bytes) -> None:
    """Upload-Metadata of tus."""
    found = unless(Problem, lambda: metadata(header_text(content)))
    assert "/" not in (found or {}).get("filename", "")


def web_token(content: bytes) -> None:
    """A bearer token by a stranger, and claims that somebody has really signed."""
    tokens = JwtTokens(Jwt(secret=_SECRET, issuer="*", audience="*"))
    found = asyncio.run(tokens.find(header_text(content)))
    assert found is None or isinstance(found, Principal)
    claims = unless(orjson.JSONDecodeError, lambda: orjson.loads(content))
    if isinstance(claims, dict):
        signed = unless((TypeError, ValueError), lambda: jwt.encode(claims, _SECRET, "HS256"))
        found = asyncio.run(tokens.find(signed)) if signed else None
        assert found is None or isinstance(found, Principal)


def grants(content: bytes) -> None:
    """Signed paths, tickets of live connections and signed requests: nothing that was made up is let in."""
    grant, _, rest = header_text(content).partition("/")
    signer = Signer(lambda _: (b"k" * 32,), lambda: 0.0)
    assert not signer.allows(grant, rest)
    assert not signer.allows_object(grant, rest)
    assert Tickets(b"k" * 32).redeem(header_text(content), 0.0) is None
    for name in ("X-Signature", "Upstash-Signature"):
        headers = {name: grant, "X-Timestamp": rest}
        assert asyncio.run(_is_refused(headers, content))


async def _is_refused(headers: dict[str, str], body: bytes) -> bool:
    async def read_body() -> bytes:
        return body

    request: Any = SimpleNamespace(headers=headers, read=read_body, match_info={"step": "compress"})
    try:
        await signed_call(request, (_SECRET, None), time.time())
    except Problem:
        return True
    return False


def settings(content: bytes) -> None:
    """The environment: `NAME=value` lines."""
    pairs = (line.partition("=") for line in header_text(content).splitlines())
    found = unless(SettingsError, lambda: load({f"KINOLOG_{name}": value for name, _, value in pairs}))
    assert found is None or load(to_environ(found)) == found


def address(content: bytes) -> None:
    """An address to download from, and what its server says about when to come again."""
    text = header_text(content)
    url = unless(InvalidUrl, lambda: checked_url(text))
    assert url is None or (url.scheme in ("http", "https") and url.host and str(checked_url(str(url))) == str(url))
    wait_s = retry_after_s({"Retry-After": text}, 0.0)
    assert wait_s is None or 0 <= wait_s < math.inf


def store_key(content: bytes) -> None:
    """A key, as it stands in paths and submissions: below the root, whatever it says."""
    key = unless(InvalidKey, lambda: checked_key(header_text(content)))
    if key is not None:
        assert Path("/store", key).resolve().is_relative_to("/store") and content_type(key).isascii()


def _record(content: bytes) -> tuple[bytes | None, list[tuple[str, bytes | None]]]:
    """A Kafka record: `name=value` lines are headers, `name` alone one without a value; the rest is the value."""
    *lines, value = content.split(b"\n", 12)
    headers = [line.partition(b"=") for line in lines]
    named = [(name.decode(errors="replace"), text if sign else None) for name, sign, text in headers]
    return (None if value == b"\0" else value), named


def _query(content: bytes) -> str:
    """As aiohttp hands a query on."""
    return content.decode(errors="replace")


@cache
def _pipelines() -> Pipelines:
    return load_pipelines(pipelines_dir(settings_of_here()))


@cache
def _database() -> sqlite3.Connection:
    database = sqlite3.connect(":memory:")
    database.executescript(TABLES)
    return database
