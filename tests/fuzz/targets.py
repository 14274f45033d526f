"""What the world can send to each decoder, and what must hold of it: the documented error and no other, and no lies.

A target takes any bytes. It raises when something does not hold, and only then.
"""

import asyncio
import math
import sqlite3
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import jwt
import msgspec
import orjson

from agents.uploads import command_for
from processors.audio import audio_args, chosen_tracks
from processors.containers import check_whole
from processors.cues import cues, overlaps, subrip, webvtt
from processors.errors import AnswerInvalid, InvalidUrl, OutputInvalid, ProcessingError
from processors.fetch_answers import retry_after_s
from processors.ffmpeg_tool import Lines, Progress
from processors.gate import checked_url
from processors.hls import read_media_playlist
from processors.limits import Limits
from processors.loudness import normalising, read_loudness
from processors.model_frames import InvalidFrame, decode, length_of
from processors.mp4 import Init, fragment_in, read_init
from processors.probe import Ends, check_limits, described, probe_outputs
from processors.profiles import load_profiles
from processors.sniff import HEAD_BYTES, Container, recognise, sniff
from processors.speech import heard_in
from processors.store_keys import InvalidKey, checked_key, content_type
from processors.storyboard import storyboard
from processors.thumbnails import Shot, shots_args, storyboard_args, thumbnail_times
from processors.transcode import plan, transcode_args
from schemas.base import ErrorRecord
from schemas.transcribe import TranscriptSegment
from streams.dead_letters import dead_letter
from streams.envelope import Entry, Unreadable, batch, read, structured
from streams.places import pipelines_dir, profiles_dir
from streams.settings import Jwt, Settings, SettingsError, load, to_environ
from tables.pipelines import Pipelines, load_pipelines
from tables.submissions import Refused
from web.compat.signature import require_signature
from web.cursors import InvalidCursor, LiveCursor, PageCursor, WriteCursor, dump
from web.cursors import load as load_cursor
from web.jobs import JOBS
from web.jwt_tokens import JwtTokens
from web.listing import parse as parse_listing
from web.principal import Principal
from web.problems import Problem
from web.ranges import Span, Unsatisfiable, matches, span, still
from web.signing import Signer
from web.sql import TABLES
from web.subscriptions import parse as parse_subscription
from web.tickets import Tickets
from web.tus import metadata

Target = Callable[[bytes], object]
T = TypeVar("T")

#: A record that the broker takes for sure. Source: Kafka, message.max.bytes.
_RECORD_BYTES = 1_000_000
#: A command's share of it: control adds to it what it knows.
_COMMAND_BYTES = 64 * 1024
_SECRET = "a secret of thirty-two letters at least"


def _unless(error: type[Exception] | tuple[type[Exception], ...], call: Callable[[], T]) -> T | None:
    """What a call gives; None when it says in the documented way that it cannot."""
    try:
        return call()
    except error:
        return None


def _text(content: bytes) -> str:
    """As aiohttp hands headers on: bytes that are no UTF-8 become halves of letters."""
    return content.decode(errors="surrogateescape")


def _query(content: bytes) -> str:
    """As aiohttp hands a query on."""
    return content.decode(errors="replace")


def _record(content: bytes) -> tuple[bytes | None, list[tuple[str, bytes | None]]]:
    """A Kafka record: `name=value` lines are headers, `name` alone one without a value; the rest is the value."""
    *lines, value = content.split(b"\n", 12)
    headers = [line.partition(b"=") for line in lines]
    named = [(name.decode(errors="replace"), text if sign else None) for name, sign, text in headers]
    return (None if value == b"\0" else value), named


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
            command = command_for(entry, _settings(), _pipelines(), 1.5)
        except Refused as refused:
            raw = entry.raw if isinstance(entry, Unreadable) else bytes(entry.event.data)
            error = ErrorRecord(code=refused.code, message=str(refused))
            letter, _ = dead_letter(message, raw, error, "uploads")
            assert len(letter) < _RECORD_BYTES
        else:
            said = structured(command, event_id=f"{command.job_id}/submit", source="s", subject=command.asset_id)
            assert len(said) < _COMMAND_BYTES
            (same,) = read(batch([said]))
            assert isinstance(same, Entry) and same.message == command


def cursor(content: bytes) -> None:
    """`?cursor=` and `?after=`."""
    text = _text(content)
    for look in (_same(WriteCursor), _same(LiveCursor), _same(PageCursor)):
        _unless(InvalidCursor, lambda look=look: look(text))  # type: ignore[misc]


def _same(kind: Any) -> Callable[[str], None]:
    def look(text: str) -> None:
        found = load_cursor(text, kind)
        assert load_cursor(dump(found), kind) == found

    return look


def listing(content: bytes) -> None:
    """The query of a list of jobs, down to the statement that the database runs."""
    query = dict(parse_qsl(_query(content), keep_blank_values=True))
    found = _unless((Problem, InvalidCursor), lambda: parse_listing(query, JOBS, "somebody"))
    if found is not None:
        _database().execute(found.sql(), found.args).fetchall()


def subscription(content: bytes) -> None:
    """`?subscribe=` of a live connection, down to the statement that finds the snapshot."""
    found = _unless(Problem, lambda: parse_subscription(_query(content), "somebody"))
    groups = found.groups() if found is not None else None
    if groups is not None:
        _database().execute(f"SELECT g FROM groups WHERE {groups[0]}", groups[1]).fetchall()


def range_header(content: bytes) -> None:
    """Range, If-None-Match and If-Range of a file whose size the first bytes give."""
    size, header = int.from_bytes(content[:6], "big"), _text(content[6:])
    found = _unless(Unsatisfiable, lambda: span(header, size))
    assert found is None or (0 <= found.start < found.end <= size and found == Span(*found))
    assert matches(header, '"e"') in {True, False}
    assert still(header, '"e"') in {True, False}


def tus_metadata(content: bytes) -> None:
    """Upload-Metadata of tus."""
    found = _unless(Problem, lambda: metadata(_text(content)))
    assert "/" not in (found or {}).get("filename", "")


def playlist(content: bytes) -> None:
    """A media playlist that a tool has written."""
    found = _unless(OutputInvalid, lambda: read_media_playlist(content.decode(errors="replace")))
    assert found is None or all(0 <= s.duration_s < math.inf for s in found.segments)


def first_bytes(content: bytes) -> None:
    """A file that is looked at before any tool reads it."""
    assert isinstance(sniff(content[:HEAD_BYTES]), Container | None)
    path = _file(content)
    container = _unless(ProcessingError, lambda: recognise(path, _text(content[:40])))
    if container is not None:
        _unless(ProcessingError, lambda: check_whole(path, container.demuxer))


def fragments(content: bytes) -> None:
    """Initialisation and media segments that a tool has written, apart by a line."""
    head, _, body = content.partition(b"\n--\n")
    init = _unless(OutputInvalid, lambda: read_init(head))
    known = init or Init(codec="avc1", timescale=1000, default_ticks=1, default_flags=0)
    _unless(OutputInvalid, lambda: fragment_in(body or head, "00000.m4s", known))


def probe_answer(content: bytes) -> None:
    """ffprobe's answer and packets, apart by a line: outputs that fit a row, and command lines, or an error."""
    answer, _, packets = content.partition(b"\n--\n")
    try:
        shown = orjson.loads(answer)
    except orjson.JSONDecodeError:
        return
    if isinstance(shown, dict):
        _unless(ProcessingError, lambda: _planned(shown, packets))


def _planned(shown: dict[str, Any], packets: bytes) -> None:
    ends, limits = Ends(), Limits()
    for line in packets.decode(errors="replace").splitlines():
        ends.take(line)
    shown = described(shown)
    media = probe_outputs(shown, ends, Container("mov", "MP4"), 1000)
    check_limits(media, limits)
    assert len(msgspec.json.encode(media)) < 16 * 1024
    assert msgspec.convert(msgspec.to_builtins(media), type(media)) == media
    source, profile = Path("/source"), _profiles()["hls"]
    made = [transcode_args(source, media, profile, plan(media, profile), cpus=2, max_pixels=limits.max_pixels)]
    if media.video:
        shots = [Shot(at_s, True, "x.jpg", source) for at_s in thumbnail_times(media.video, 3)]
        made.append(shots_args(source, media, media.video, shots, 640))
        board = storyboard(media.video.start_s + (media.video.duration_s or 0.0), 160, 90)
        made.append(storyboard_args(source, media, media.video, board, source))
    if tracks := chosen_tracks(media, ("eng",)):
        made.append(audio_args(source, media, tracks, ()))
    assert not [word for args in made for word in args if "nan" in word or "inf" in word.split("=")]


def tool_output(content: bytes) -> None:
    """What ffmpeg says while it works, in pieces cut anywhere."""
    heard: list[float] = []
    progress, lines = Progress(10.0, heard.append), Lines()
    cut = len(content) // 3
    for piece in (content[:cut], content[cut : 2 * cut], content[2 * cut :]):
        _unless(ProcessingError, lambda piece=piece: progress.feed(piece))  # type: ignore[misc]
        _unless(ProcessingError, lambda piece=piece: lines.feed(piece))  # type: ignore[misc]
    assert heard == sorted(heard) and all(0 <= done <= 1 for done in heard)
    loudness = _unless(ProcessingError, lambda: read_loudness(content.decode(errors="replace")))
    if loudness is not None and loudness.is_measured and not loudness.is_silence:
        assert normalising(loudness, -16.0, -1.5, 10.0)


def captions(content: bytes) -> None:
    """A transcript, by a model or an endpoint: cues in order that nothing said can break out of."""
    said: Any = _unless((msgspec.MsgspecError, UnicodeDecodeError), lambda: _transcripts.decode(content))
    if said is None:
        return
    shown = cues(said)
    assert not overlaps(shown)
    assert all(0 <= cue.start_ms < cue.end_ms for cue in shown)
    blocks = webvtt(shown).rstrip("\n").split("\n\n")
    assert len(blocks) == len(shown) + 1
    assert all(block.count("-->") == 1 for block in blocks[1:])
    assert len(subrip(shown).split("\n\n")) == max(1, len(shown))


_transcripts = msgspec.json.Decoder(list[TranscriptSegment])


def endpoint_answer(content: bytes) -> None:
    """What an endpoint for speech answers: segments within the stretch that it was sent, or an error."""
    try:
        answer = orjson.loads(content)
    except orjson.JSONDecodeError:
        return
    found = _unless(AnswerInvalid, lambda: heard_in(answer, 10.0, 40.0, 0))
    assert all(10_000 <= segment.start_ms <= segment.end_ms <= 40_000 for segment in found or ())


def web_token(content: bytes) -> None:
    """A bearer token by a stranger, and claims that somebody has really signed."""
    tokens = JwtTokens(Jwt(secret=_SECRET))
    found = asyncio.run(tokens.find(_text(content)))
    assert found is None or isinstance(found, Principal)
    claims = _unless(orjson.JSONDecodeError, lambda: orjson.loads(content))
    if isinstance(claims, dict):
        signed = _unless((TypeError, ValueError), lambda: jwt.encode(claims, _SECRET, "HS256"))
        found = asyncio.run(tokens.find(signed)) if signed else None
        assert found is None or isinstance(found, Principal)


def grants(content: bytes) -> None:
    """Signed paths, tickets of live connections and signed requests: nothing that was made up is let in."""
    grant, _, rest = _text(content).partition("/")
    signer = Signer(b"k" * 32)
    assert not signer.allows(grant, rest, 0.0)
    assert not signer.allows_object(grant, rest, 0.0)
    assert Tickets(b"k" * 32).redeem(_text(content), 0.0) is None
    for name in ("X-Signature", "Upstash-Signature"):
        headers = {name: grant, "X-Timestamp": rest}
        assert asyncio.run(_is_refused(headers, content))


async def _is_refused(headers: dict[str, str], body: bytes) -> bool:
    async def read_body() -> bytes:
        return body

    request: Any = SimpleNamespace(headers=headers, read=read_body)
    try:
        await require_signature(request, (_SECRET, None), time.time())
    except Problem:
        return True
    return False


def settings(content: bytes) -> None:
    """The environment: `NAME=value` lines."""
    pairs = (line.partition("=") for line in _text(content).splitlines())
    found = _unless(SettingsError, lambda: load({f"KINOLOG_{name}": value for name, _, value in pairs}))
    assert found is None or load(to_environ(found)) == found


def address(content: bytes) -> None:
    """An address to download from, and what its server says about when to come again."""
    text = _text(content)
    url = _unless(InvalidUrl, lambda: checked_url(text))
    assert url is None or (url.scheme in ("http", "https") and url.host and str(checked_url(str(url))) == str(url))
    wait_s = retry_after_s({"Retry-After": text}, 0.0)
    assert wait_s is None or 0 <= wait_s < math.inf


def store_key(content: bytes) -> None:
    """A key, as it stands in paths and submissions: below the root, whatever it says."""
    key = _unless(InvalidKey, lambda: checked_key(_text(content)))
    if key is not None:
        assert Path("/store", key).resolve().is_relative_to("/store") and content_type(key).isascii()


def model_frame(content: bytes) -> None:
    """A frame from a model's process."""
    _unless(InvalidFrame, lambda: length_of(content[:4].ljust(4, b"\0")))
    _unless(InvalidFrame, lambda: decode(content[4:]))


TARGETS: dict[str, Target] = {
    target.__name__: target
    for target in (
        envelope,
        upload_event,
        cursor,
        listing,
        subscription,
        range_header,
        tus_metadata,
        playlist,
        first_bytes,
        fragments,
        probe_answer,
        tool_output,
        captions,
        endpoint_answer,
        web_token,
        grants,
        settings,
        address,
        store_key,
        model_frame,
    )
}


@cache
def _settings() -> Settings:
    return load({"KINOLOG_STORE__INPUT_ROOTS": '["/srv/media"]'})


@cache
def _pipelines() -> Pipelines:
    return load_pipelines(pipelines_dir(_settings()))


@cache
def _profiles() -> Any:
    return load_profiles(profiles_dir(_settings()))


@cache
def _database() -> sqlite3.Connection:
    database = sqlite3.connect(":memory:")
    database.executescript(TABLES)
    return database


def _file(content: bytes) -> Path:
    path = Path(_folder().name) / "file"
    path.write_bytes(content)
    return path


@cache
def _folder() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix="kinolog-fuzz-")
