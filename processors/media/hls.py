"""HLS playlists as text: reads what ffmpeg wrote, writes the master from what was measured. Source: RFC 8216."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from processors.errors import OutputIncomplete

#: Fragmented MP4 needs 6. Source: RFC 8216, section 7.
VERSION = 7
#: The group that every video rendition takes its sound from.
AUDIO_GROUP = "audio"
#: The group of captions.
SUBTITLES_GROUP = "captions"
#: A tag with a number of seconds, which a title may follow.
_SECONDS = re.compile(r"#[A-Z-]+:([0-9]{1,9}(?:\.[0-9]{1,18})?)(?:,.*)?")
#: Ticks a second of MPEG-2 time stamps, which X-TIMESTAMP-MAP counts in. Source: ISO/IEC 13818-1.
MPEGTS_HZ = 90_000


@dataclass(frozen=True)
class Segment:
    """One line of a media playlist."""

    uri: str
    duration_s: float


@dataclass(frozen=True, kw_only=True)
class MediaPlaylist:
    """A rendition as its playlist lists it."""

    init_uri: str
    segments: tuple[Segment, ...]
    #: Whether nothing will be added any more.
    ended: bool
    target_duration_s: int


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One rendition as the master playlist lists it: measured, not nominal."""

    name: str
    uri: str
    codecs: str
    #: The largest segment, and the whole.
    peak_bps: int
    average_bps: int
    width_px: int = 0
    height_px: int = 0
    fps: float = 0.0
    #: Of sound: ISO 639.
    language: str | None = None
    channels: int = 2


def read_media_playlist(text: str) -> MediaPlaylist:
    """A media playlist. Raises OutputInvalid when it is none."""
    init_uri, target, segments, duration = "", 0, [], 0.0
    lines = text.splitlines()
    if lines[:1] != ["#EXTM3U"]:
        raise OutputIncomplete("A playlist does not begin like one.")
    for line in lines:
        if line.startswith("#EXT-X-MAP:"):
            init_uri = line.partition('URI="')[2].partition('"')[0]
        elif line.startswith("#EXTINF:"):
            duration = _seconds(line)
        elif line.startswith("#EXT-X-TARGETDURATION:"):
            target = round(_seconds(line))
        elif line and not line.startswith("#"):
            segments.append(Segment(line, duration))
    ended = "#EXT-X-ENDLIST" in lines
    return MediaPlaylist(init_uri=init_uri, segments=tuple(segments), ended=ended, target_duration_s=target)


def _seconds(line: str) -> float:
    """The number of a tag. Raises OutputInvalid."""
    found = _SECONDS.fullmatch(line)
    if found is None:
        raise OutputIncomplete(f"A playlist has a line without a duration: {line[:80]!r}.")
    return float(found[1])


@dataclass(frozen=True, kw_only=True)
class Subtitles:
    """Captions as the master playlist lists them."""

    name: str
    uri: str
    #: ISO 639.
    language: str | None = None


def master_playlist(videos: Sequence[Variant], audio: Variant | None, subtitles: Subtitles | None = None) -> str:
    """The master playlist; with sound alone the sound is the variant."""
    lines = ["#EXTM3U", f"#EXT-X-VERSION:{VERSION}", "#EXT-X-INDEPENDENT-SEGMENTS"]
    if audio and videos:
        lines += ["", _audio_media(audio)]
    if subtitles:
        lines += ["", _subtitles_media(subtitles)]
    shown = f',SUBTITLES="{SUBTITLES_GROUP}"' if subtitles else ""
    for video in videos:
        lines += ["", _video_stream(video, audio) + shown, video.uri]
    if audio and not videos:
        lines += ["", f'#EXT-X-STREAM-INF:{_rates(audio)},CODECS="{audio.codecs}"{shown}', audio.uri]
    return "\n".join([*lines, ""])


def subtitles_playlist(uri: str, duration_s: float) -> str:
    """The media playlist of captions that are one WebVTT file."""
    return "\n".join(
        [
            "#EXTM3U",
            f"#EXT-X-VERSION:{VERSION}",
            f"#EXT-X-TARGETDURATION:{max(1, math.ceil(duration_s))}",
            "#EXT-X-PLAYLIST-TYPE:VOD",
            f"#EXTINF:{duration_s:.6f},",
            uri,
            "#EXT-X-ENDLIST",
            "",
        ]
    )


def timestamp_map(start_s: float) -> str:
    """The line that says where in the segments' clock the captions' zero is. Source: RFC 8216, 3.5."""
    return f"X-TIMESTAMP-MAP=MPEGTS:{round(start_s * MPEGTS_HZ)},LOCAL:00:00:00.000"


def _subtitles_media(subtitles: Subtitles) -> str:
    language = f'LANGUAGE="{subtitles.language}",' if subtitles.language and _is_tag(subtitles.language) else ""
    return (
        f'#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="{SUBTITLES_GROUP}",NAME="{subtitles.name}",{language}'
        f'DEFAULT=NO,AUTOSELECT=YES,FORCED=NO,URI="{subtitles.uri}"'
    )


def _audio_media(audio: Variant) -> str:
    language = f'LANGUAGE="{audio.language}",' if audio.language and _is_tag(audio.language) else ""
    return (
        f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="{AUDIO_GROUP}",NAME="{audio.name}",{language}'
        f'DEFAULT=YES,AUTOSELECT=YES,CHANNELS="{audio.channels}",URI="{audio.uri}"'
    )


def _video_stream(video: Variant, audio: Variant | None) -> str:
    codecs = f"{video.codecs},{audio.codecs}" if audio else video.codecs
    group = f',AUDIO="{AUDIO_GROUP}"' if audio else ""
    return (
        f'#EXT-X-STREAM-INF:{_rates(video, audio)},CODECS="{codecs}",'
        f"RESOLUTION={video.width_px}x{video.height_px},FRAME-RATE={video.fps:.3f}{group}"
    )


def _rates(*parts: Variant | None) -> str:
    peak = sum(part.peak_bps for part in parts if part)
    average = sum(part.average_bps for part in parts if part)
    return f"BANDWIDTH={peak},AVERAGE-BANDWIDTH={average}"


def _is_tag(language: str) -> bool:
    """Text from a stranger's file goes into an attribute only when it is a plain language tag."""
    return language.isascii() and language.replace("-", "").isalnum()
