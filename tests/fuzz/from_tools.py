"""What files, tools and models give, whoever has made them."""

import math
import re
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import orjson

from processors.errors import AnswerInvalid, OutputInvalid, ProcessingError
from processors.media.containers import Container
from processors.media.description import Sizes, probe_outputs
from processors.media.hls import read_media_playlist
from processors.media.loudness import first_aim, normalising, read_loudness
from processors.media.mp4 import Init, fragment_in, read_init
from processors.media.profiles import load_profiles
from processors.media.sniff import HEAD_BYTES, recognise, sniff
from processors.media.storyboard import storyboard
from processors.media.track_ends import Ends
from processors.media.transcode_plan import plan
from processors.media.truncation import missing_bytes
from processors.media_limits import check_limits
from processors.models.protocol import InvalidFrame, decode, length_of
from processors.models.speech_response import segments_of
from processors.probe import described
from processors.renditions import transcode_args
from processors.sound_files import audio_args, selected_tracks
from processors.stills import Shot, shots_args, storyboard_args, thumbnail_times
from processors.tools.ffmpeg import LineSplitter, Progress
from processors.tools.limits import Limits
from processors.transcripts.cues import cues, overlaps
from processors.transcripts.subtitle_files import subrip, webvtt
from schemas.transcribe import TranscriptSegment
from streams.data_files import profiles_dir
from tests.fuzz.common import header_text, settings_of_here, unless


def playlist(content: bytes) -> None:
    """A media playlist that a tool has written."""
    found = unless(OutputInvalid, lambda: read_media_playlist(content.decode(errors="replace")))
    assert found is None or all(0 <= s.duration_s < math.inf for s in found.segments)


def first_bytes(content: bytes) -> None:
    """A file that is looked at before any tool reads it."""
    assert isinstance(sniff(content[:HEAD_BYTES]), Container | None)
    path = _file(content)
    container = unless(ProcessingError, lambda: recognise(path, header_text(content[:40])))
    if container is not None:
        unless(ProcessingError, lambda: missing_bytes(path, container.demuxer))


def fragments(content: bytes) -> None:
    """Initialisation and media segments that a tool has written, apart by a line."""
    head, _, body = content.partition(b"\n--\n")
    init = unless(OutputInvalid, lambda: read_init(head))
    known = init or Init(codec="avc1", timescale=1000, default_ticks=1, default_flags=0)
    unless(OutputInvalid, lambda: fragment_in(body or head, "00000.m4s", known))


def probe_answer(content: bytes) -> None:
    """ffprobe's answer and packets, apart by a line: outputs that fit a row, and command lines, or an error."""
    answer, _, packets = content.partition(b"\n--\n")
    try:
        shown = orjson.loads(answer)
    except orjson.JSONDecodeError:
        return
    if isinstance(shown, dict):
        unless(ProcessingError, lambda: _planned(shown, packets))


def _planned(shown: dict[str, Any], packets: bytes) -> None:
    ends, limits = Ends(), Limits()
    for line in packets.decode(errors="replace").splitlines():
        ends.add(line)
    shown = described(shown)
    media = probe_outputs(shown, ends, Container("mov", "MP4"), Sizes(1000))
    check_limits(media, limits)
    assert len(msgspec.json.encode(media)) < 16 * 1024
    assert msgspec.convert(msgspec.to_builtins(media), type(media)) == media
    source, profile = Path("/source"), _profiles()["hls"]
    made = [transcode_args(source, media, profile, plan(media, profile), cpus=2, max_pixels=limits.max_pixels)]
    if media.video:
        shots = [Shot(at_s, "x.jpg", source) for at_s in thumbnail_times(media.video, 3)]
        made.append(shots_args(source, media, media.video, shots, 640))
        board = storyboard(media.video.start_s + (media.video.duration_s or 0.0), 160, 90)
        made.append(storyboard_args(source, media, media.video, board, source, skips="default"))
    if tracks := selected_tracks(media, ("eng",)):
        made.append(audio_args(source, media, tracks, ()))
    bad = [word for args in made for word in args if re.search(r"\b(nan|inf)\b", word)]
    assert bad == []


def tool_output(content: bytes) -> None:
    """What ffmpeg says while it works, in pieces cut anywhere."""
    heard: list[float] = []
    progress, lines = Progress(10.0, heard.append), LineSplitter()
    cut = len(content) // 3
    for piece in (content[:cut], content[cut : 2 * cut], content[2 * cut :]):
        unless(ProcessingError, lambda piece=piece: progress.feed(piece))  # type: ignore[misc]
        unless(ProcessingError, lambda piece=piece: lines.feed(piece))  # type: ignore[misc]
    assert heard == sorted(heard) and all(0 <= done <= 1 for done in heard)
    loudness = unless(ProcessingError, lambda: read_loudness(content.decode(errors="replace")))
    if loudness is not None and loudness.is_measured and not loudness.is_silence:
        assert normalising(first_aim(loudness, -16.0, -1.5), loudness)


def captions(content: bytes) -> None:
    """A transcript, by a model or an endpoint: cues in order that nothing said can break out of."""
    said: Any = unless((msgspec.MsgspecError, UnicodeDecodeError), lambda: _transcripts.decode(content))
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
    found = unless(AnswerInvalid, lambda: segments_of(answer, 10.0, 40.0, 0))
    assert all(10_000 <= segment.start_ms <= segment.end_ms <= 40_000 for segment in found or ())


def model_frame(content: bytes) -> None:
    """A frame from a model's process."""
    unless(InvalidFrame, lambda: length_of(content[:4].ljust(4, b"\0")))
    unless(InvalidFrame, lambda: decode(content[4:]))


@cache
def _profiles() -> Any:
    return load_profiles(profiles_dir(settings_of_here()))


def _file(content: bytes) -> Path:
    path = Path(_folder().name) / "file"
    path.write_bytes(content)
    return path


@cache
def _folder() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix="kinolog-fuzz-")
