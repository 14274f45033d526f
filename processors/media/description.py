"""The description of a file: tracks, durations and what is missing, from ffprobe's output and measured ends. Pure."""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import NamedTuple

from processors.errors import CorruptMedia
from processors.media.chapters import chapters
from processors.media.containers import AVI, Container
from processors.media.damage import incomplete_warning, jump_warnings, truncation_warning
from processors.media.track_ends import Ends
from processors.media.tracks import (
    audio_track,
    average_rate,
    best_audio,
    best_video,
    count,
    seconds,
    sounds,
    subtitle_tracks,
    video_track,
)
from schemas.base import Json, OutputWarning
from schemas.probe import ProbeOutputs, VideoTrack

#: Containers that declare the duration of a track, so that a missing end is noticed.
_DECLARES = frozenset({"mov", "matroska", "avi", "flac", "wav"})
#: Containers whose length covers everything in the order of time: what is missing was at the end.
_SEQUENTIAL = frozenset({"avi", "wav"})
#: How much shorter than declared a track may be: headers are rounded, and writers count the last frame differently.
_SHORT_S = 1.0
_SHORT_SHARE = 0.02
_NAMES = {"video": "picture", "audio": "sound"}


class Sizes(NamedTuple):
    """Bytes of a file."""

    present: int
    #: How many more it should have, by its container.
    missing: int = 0


def selected_tracks(description: Json) -> list[Json]:
    """The tracks of a description that are published: video and audio."""
    return [t for t in (best_video(description["streams"]), best_audio(description["streams"])) if t]


def probe_outputs(description: Json, ends: Ends, container: Container, sizes: Sizes) -> ProbeOutputs:
    """The step's outputs from ffprobe's output. Raises CorruptMedia if nothing can be played."""
    video, audio = best_video(description["streams"]), best_audio(description["streams"])
    zero = seconds(description["format"].get("start_time")) or 0.0
    spans = {int(t["index"]): _span(t, description["format"], ends, container, zero) for t in (video, audio) if t}
    total_s = max(start + duration for start, duration in spans.values())
    if not any(duration > 0 for _, duration in spans.values()):
        raise CorruptMedia("The file has no playable content. Export it again, or upload it again.")
    others = sounds(description["streams"])
    bit_rate = str(description["format"].get("bit_rate", ""))
    return ProbeOutputs(
        demuxer=container.demuxer,
        container=container.name,
        size_bytes=sizes.present,
        duration_s=round(total_s, 6),
        video=_video(video, spans, ends, zero, lacks_times=container == AVI) if video else None,
        audio=audio_track(audio, **_times(spans[int(audio["index"])])) if audio else None,
        sounds=tuple(audio_track(track) for track in others) if len(others) > 1 else (),
        subtitles=subtitle_tracks(description["streams"]),
        chapters=chapters(description.get("chapters", ()), zero),
        video_tracks=count(description["streams"], "video"),
        audio_tracks=count(description["streams"], "audio"),
        bit_rate_bps=int(bit_rate) if bit_rate.isdigit() else None,
        clock_jumps=ends.clock_jumps,
        warnings=(*_warnings(description, spans, container, sizes), *jump_warnings(ends.jumps_at_s)),
    )


def _video(
    track: Json, spans: Mapping[int, tuple[float, float]], ends: Ends, zero: float, *, lacks_times: bool
) -> VideoTrack:
    index = int(track["index"])
    times_s = [at_s - zero for at_s in ends.times_s.get(index, ())]
    return video_track(track, **_times(spans[index]), frame_times_s=times_s, lacks_times=lacks_times)


def _warnings(
    description: Json, spans: Mapping[int, tuple[float, float]], container: Container, sizes: Sizes
) -> Iterator[OutputWarning]:
    """What the file lacks: the end of all of it or of a track, or bytes anywhere."""
    tracks = {int(track["index"]): track for track in selected_tracks(description)}
    form = description["format"]
    short = {
        index: (spans[index][0] + spans[index][1], spans[index][0] + declared)
        for index, track in tracks.items()
        if (declared := _declared(track, form, container)) and _is_short(spans[index][1], declared)
    }
    end_s, whole_s = max(map(sum, spans.values())), seconds(form.get("duration")) or 0.0
    if len(short) == len(tracks):
        yield truncation_warning(end_s, max(declared for _, declared in short.values()), "file")
    elif short:
        for index, (ends_s, declared_s) in short.items():
            yield truncation_warning(ends_s, declared_s, _NAMES[tracks[index]["codec_type"]])
    elif sizes.missing and _is_short(end_s, whole_s):
        yield truncation_warning(end_s, whole_s, "file")
    elif sizes.missing and container.demuxer in _SEQUENTIAL:  # what is missing lasts as long as as many bytes before it
        yield truncation_warning(end_s, end_s * (1 + sizes.missing / sizes.present), "file")
    elif sizes.missing:
        yield incomplete_warning(sizes.missing)


def _is_short(duration_s: float, declared_s: float) -> bool:
    return duration_s < declared_s - max(_SHORT_S, _SHORT_SHARE * declared_s)


def _times(span: tuple[float, float]) -> dict[str, float]:
    return {"start_s": round(span[0], 6), "duration_s": round(span[1], 6)}


def _span(track: Json, form: Json, ends: Ends, container: Container, zero: float) -> tuple[float, float]:
    """Start and duration of a track, from the file's start: measured, else declared."""
    start = (seconds(track.get("start_time")) or zero) - zero
    declared = _declared(track, form, container)
    measured = ends.by_index.get(int(track["index"]))
    if measured is None:
        return start, declared or 0.0
    return start, max(measured - zero - start, _one_frame(track))


def _declared(track: Json, form: Json, container: Container) -> float | None:
    if container.demuxer not in _DECLARES:
        return None
    tag = seconds(track.get("tags", {}).get("DURATION"))
    if tag is not None:  # in Matroska from the file's start
        return max(0.0, tag - (seconds(track.get("start_time")) or 0.0))
    return seconds(track.get("duration")) or (seconds(form.get("duration")) if form.get("nb_streams") == 1 else None)


def _one_frame(track: Json) -> float:
    """The least duration of a track: one video frame, if its container gives none."""
    return float(1 / Fraction(average_rate(track))) if track["codec_type"] == "video" else 0.0
