"""Gathers what the steps published for an input."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import Any

from tests.inputs import card, decode
from tests.inputs.observed import (
    Captions,
    Cue,
    Loudness,
    Master,
    MediaPlaylist,
    Observed,
    Sound,
    Still,
    Tile,
    Variant,
    Video,
)
from tests.steps import Ending

_ATTRIBUTE = re.compile(r'([A-Z0-9-]+)=("[^"]*"|[^",]*)')
_CUE = re.compile(r"^(\d+:)?(\d+):(\d+)\.(\d+) --> (\d+:)?(\d+):(\d+)\.(\d+)")
_TILE = re.compile(r"^(\S+)#xywh=(\d+),(\d+),(\d+),(\d+)$")


def observe(stored: Path, endings: Mapping[str, Ending]) -> Observed:
    """Everything that the steps' outputs name, decoded. Blocking."""
    found: dict[str, Any] = {}
    for step, gather in (
        ("transcode", _ladder),
        ("audio", _audio),
        ("thumbnails", _stills),
        ("transcribe", _transcript),
    ):
        ending = endings.get(step)
        if ending is not None and ending.outputs is not None:
            found |= gather(stored, ending.outputs)
    captions = endings.get("captions")
    if captions is not None and captions.outputs is not None and "captions" in found:
        listed = master(stored, captions.outputs["master"]).media
        found["captions"] = _with_listing(found["captions"], listed)
    return Observed(endings=endings, **found)


def _ladder(stored: Path, outputs: Any) -> dict[str, Master | Video | Sound | None]:
    listed = master(stored, outputs["master"])
    start_s = float(outputs["start_s"])
    pictured = [one for one in listed.variants if "RESOLUTION" in one.attributes]
    largest = max(pictured, key=lambda one: _pixels(one.attributes["RESOLUTION"]), default=None)
    heard = next((one.audio or one.video for one in listed.variants if one.audio or not pictured), None)
    return {
        "master": listed,
        "video": decode.video(stored / largest.video.uri, start_s) if largest else None,
        "sound": decode.sound(stored / heard.uri, start_s)[0] if heard else None,
    }


def _pixels(resolution: str) -> int:
    width, _, height = resolution.partition("x")
    return int(width) * int(height)


def master(stored: Path, key: str) -> Master:
    """A master playlist with its renditions. URIs become keys in the store."""
    text = (stored / key).read_text()
    lines = text.splitlines()
    media = tuple(attributes(line) for line in lines if line.startswith("#EXT-X-MEDIA:"))
    sounds = {one["GROUP-ID"]: _media_playlist(stored, key, one["URI"]) for one in media if one["TYPE"] == "AUDIO"}
    variants = []
    for line, uri in pairwise(lines):
        if line.startswith("#EXT-X-STREAM-INF:"):
            named = attributes(line)
            audio = sounds.get(named.get("AUDIO", ""))
            variants.append(Variant(attributes=named, video=_media_playlist(stored, key, uri), audio=audio))
    return Master(text=text, variants=tuple(variants), media=media)


def attributes(line: str) -> dict[str, str]:
    """The attributes of a tag, without quotes."""
    return {name: value.strip('"') for name, value in _ATTRIBUTE.findall(line.partition(":")[2])}


def _media_playlist(stored: Path, master_key: str, uri: str) -> MediaPlaylist:
    key = normpath(join(dirname(master_key), uri))
    segments, seconds, target, ended = [], 0.0, 0.0, False
    for line in (stored / key).read_text().splitlines():
        if line.startswith("#EXTINF:"):
            seconds = float(line.partition(":")[2].partition(",")[0])
        elif line.startswith("#EXT-X-TARGETDURATION:"):
            target = float(line.partition(":")[2])
        elif line == "#EXT-X-ENDLIST":
            ended = True
        elif line and not line.startswith("#"):
            segments.append((seconds, (stored / dirname(key) / line).stat().st_size))
    return MediaPlaylist(uri=key, target_s=target, segments=tuple(segments), ended=ended)


def _audio(stored: Path, outputs: Any) -> dict[str, Sound | Loudness | None]:
    download, loudness = decode.sound(stored / outputs["audio"])
    return {"download": download, "loudness": loudness, "speech": decode.wav(stored / outputs["speech"])}


def _stills(stored: Path, outputs: Any) -> dict[str, Still | tuple[Still, ...] | tuple[Tile, ...] | None]:
    posters = decode.pictures([stored / outputs["poster"]])
    thumbnails = decode.pictures([stored / key for key in outputs.get("thumbnails", ())])
    return {
        "poster": decode.still(posters[0]) if posters else None,
        "thumbnails": tuple(decode.still(one) for one in thumbnails),
        "tiles": _tiles(stored, outputs["storyboard"]),
    }


def _tiles(stored: Path, key: str) -> tuple[Tile, ...]:
    sprites: dict[str, Any] = {}
    tiles = []
    for start_s, end_s, lines in _cues((stored / key).read_text()):
        place = _TILE.match(lines[0])
        if place is None:
            continue
        name = place[1]
        if name not in sprites:
            sprites[name] = next(iter(decode.pictures([stored / dirname(key) / name])), None)
        tiles.append(Tile(start_s=start_s, end_s=end_s, card=_tile(sprites[name], *map(int, place.groups()[1:]))))
    return tuple(tiles)


def _tile(sprite: Any, x: int, y: int, width: int, height: int) -> card.Reading | None:
    if sprite is None:
        return None
    cut = sprite[y : y + height, x : x + width]
    return card.read(cut) if cut.shape[:2] == (height, width) else None


def _cues(text: str) -> list[tuple[float, float, list[str]]]:
    """Start, end and lines of every cue of a WebVTT file."""
    found = []
    for block in text.replace("\r\n", "\n").split("\n\n"):
        lines = [line for line in block.split("\n") if line]
        timed = next((place for place, line in enumerate(lines) if _CUE.match(line)), None)
        if timed is not None:
            times = _CUE.match(lines[timed])
            assert times is not None
            found.append((_seconds(times.groups()[:4]), _seconds(times.groups()[4:]), lines[timed + 1 :]))
    return found


def _seconds(parts: Any) -> float:
    hours, minutes, seconds, ms = parts
    return int((hours or "0:").rstrip(":")) * 3600 + int(minutes) * 60 + int(seconds) + int(ms) / 1000


def _transcript(stored: Path, outputs: Any) -> dict[str, Captions]:
    cues = _cues((stored / outputs["vtt"]).read_text())
    segments = json.loads((stored / outputs["transcript"]).read_bytes())["segments"]
    return {
        "captions": Captions(
            text=(stored / outputs["text"]).read_text(),
            language=outputs.get("language"),
            cues=tuple(Cue(start_s=start_s, end_s=end_s, lines=tuple(lines)) for start_s, end_s, lines in cues),
            words=tuple((one["text"], one["start_ms"] / 1000) for part in segments for one in part.get("words", ())),
        )
    }


def _with_listing(captions: Captions, media: tuple[Mapping[str, str], ...]) -> Captions:
    listed = next((one for one in media if one.get("TYPE") == "SUBTITLES"), {})
    return replace(captions, listed=listed)
