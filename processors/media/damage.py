"""Damage of a source: where it lies, found in ffmpeg's log of decoding a track, and the warnings about it. Pure.

The log has a line for each packet read, frame decoded and error, but errors have no times: a damaged stretch begins
with the last frame before an error and ends with the first packet behind it. Source: fftools/ffmpeg.c, `debug_ts`.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from schemas.base import OutputWarning

DAMAGED, TRUNCATED, INCOMPLETE, JUMP = "media-damaged", "media-truncated", "media-incomplete", "timestamps-jump"
#: Stretches that are closer are one: a lost reference frame shows until the next keyframe.
_APART_S = 1.0
#: A shorter interval between two frames is no gap: screen recordings skip frames that do not change.
_GAP_S = 0.5
#: Shorter damage at the very start or end is not reported: recordings begin and end within a frame.
_EDGE_S = 0.5
#: Stretches of a track; a job has at most 32 warnings. Source: tables/bounds.py, MAX_WARNINGS.
_MAX_SPANS = 8

_TIME = rb"(-?[0-9]{1,9}(?:\.[0-9]{1,9})?)(?![0-9.e])"
_PACKET = re.compile(
    rb"demuxer\+ffmpeg -> .*?pkt_pts_time:(?:" + _TIME + rb"|NOPTS)(?:.*?pkt_dts_time:" + _TIME + rb")?"
)
_OFFSET = re.compile(rb"demuxer\+ffmpeg -> .*?pkt_pts_time:" + _TIME + rb" .*? off_time:" + _TIME)
_FRAME = re.compile(rb"decoder -> .*?frame_pts_time:" + _TIME)
_WRITTEN = b"muxer <- "
#: Errors of demuxers and decoders, and the warnings about what they pass on in spite of damage.
_ERROR = re.compile(rb"^(?:\[[^\]]*\] )?\[(?:error|fatal|panic)\] ")
_CORRUPT = re.compile(rb"corrupt (?:input packet|decoded frame) in stream|\] Packet corrupt \(stream")
#: The null muxer, whose complaints are about what is discarded.
_DISCARDED = b"[null @"


class Span(NamedTuple):
    """A stretch of the media's timeline."""

    start_s: float
    end_s: float


def is_complaint(line: bytes) -> bool:
    """Whether a line that was logged as `level+…` reports damage."""
    return (b"] " in line and bool(_ERROR.match(line)) and not line.startswith(_DISCARDED)) or bool(
        _CORRUPT.search(line)
    )


class DamageLog:
    """Reads the log of decoding one track."""

    def __init__(self) -> None:
        self._spans: list[Span] = []
        #: Up to here everything was decoded; the latest packet.
        self._good_s = self._read_s = 0.0
        self._is_open = False
        #: Whether anything was decoded.
        self.decodable = False

    def feed(self, line: bytes) -> None:
        """Read one line."""
        if line.startswith(b"[info] "):
            self._take(line)
        elif is_complaint(line):
            self._is_open = True
            self._add(Span(self._good_s, max(self._good_s, self._read_s)))

    def _take(self, line: bytes) -> None:
        if _WRITTEN in line:
            self.decodable = True
        elif frame := _FRAME.search(line):
            self._shown(float(frame[1]))
        elif (packet := _PACKET.search(line)) and (time := packet[1] or packet[2]):
            self._read(float(time), is_sound=b" type:audio " in line)

    def _shown(self, at_s: float) -> None:
        """A frame of a picture. Behind a gap it ends the damage that made the gap."""
        last = self._spans[-1] if self._spans else None
        if last and at_s - self._good_s > _GAP_S and self._good_s <= last.end_s + _APART_S:
            self._spans[-1] = Span(last.start_s, max(last.end_s, at_s))
        self._good_s = max(self._good_s, at_s)

    def _read(self, at_s: float, *, is_sound: bool) -> None:
        if self._is_open:
            self._is_open = False
            self._spans[-1] = Span(self._spans[-1].start_s, max(self._spans[-1].end_s, at_s))
        self._read_s = max(self._read_s, at_s)
        if is_sound:  # decoded at once, and no line reports it
            self._good_s = self._read_s

    def _add(self, span: Span) -> None:
        if self._spans and span.start_s - self._spans[-1].end_s < _APART_S:
            last = self._spans[-1]
            span = Span(min(last.start_s, span.start_s), max(last.end_s, span.end_s))
            self._spans[-1] = span
        else:
            self._spans.append(span)

    def spans(self, duration_s: float, least_s: float = 0.0) -> tuple[Span, ...]:
        """The damaged stretches of at least `least_s`, at most some; the whole media if nothing was decoded."""
        if not self.decodable:
            return (Span(0.0, duration_s),)
        clipped = (Span(max(0.0, one.start_s), min(one.end_s, duration_s)) for one in self._closed(duration_s))
        lasting = [one for one in clipped if one.end_s - one.start_s > least_s]
        return _fewest([one for one in lasting if not _is_edge(one, duration_s)])

    def _closed(self, duration_s: float) -> Sequence[Span]:
        """The spans, the last one up to the end if nothing was read behind it."""
        if not self._is_open:
            return self._spans
        return [*self._spans[:-1], Span(self._spans[-1].start_s, duration_s)]


class JumpLog:
    """Finds where ffmpeg corrects time stamps that jump, on the corrected timeline."""

    def __init__(self) -> None:
        self.jumps_at_s: list[float] = []
        self._offset_s: float | None = None

    def feed(self, line: bytes) -> None:
        """Read one line of a log with the times of packets."""
        found = _OFFSET.search(line)
        if found is None or len(self.jumps_at_s) >= _MAX_SPANS:
            return
        at_s, offset_s = float(found[1]), float(found[2])
        if self._offset_s is not None and abs(offset_s - self._offset_s) > _GAP_S and self._is_new(at_s):
            self.jumps_at_s.append(at_s)
        self._offset_s = offset_s

    def _is_new(self, at_s: float) -> bool:
        """Each track jumps for itself."""
        return not self.jumps_at_s or abs(at_s - self.jumps_at_s[-1]) > _APART_S


def _is_edge(span: Span, duration_s: float) -> bool:
    short = span.end_s - span.start_s <= _EDGE_S < duration_s / 2
    return short and (span.end_s <= _EDGE_S or span.start_s >= duration_s - _EDGE_S)


def _fewest(spans: list[Span]) -> tuple[Span, ...]:
    """The spans, the nearest ones joined until there are few enough."""
    while len(spans) > _MAX_SPANS:
        gaps = [after.start_s - before.end_s for before, after in pairwise(spans)]
        at = gaps.index(min(gaps))
        spans[at : at + 2] = [Span(spans[at].start_s, spans[at + 1].end_s)]
    return tuple(spans)


def damage_warnings(what: str, spans: Iterable[Span], duration_s: float) -> tuple[OutputWarning, ...]:
    """Warnings about damaged stretches of a track; `what`: "picture" or "sound"."""
    return tuple(_damaged(what, span, duration_s) for span in spans)


def _damaged(what: str, span: Span, duration_s: float) -> OutputWarning:
    if span.end_s - span.start_s >= duration_s - 2 * _EDGE_S:
        where = "from beginning to end"
    else:
        where = f"from {clock(span.start_s)} to {clock(span.end_s)}"
    message = f"The {what} of the file is damaged {where}. Everything that can be decoded is published."
    return _warning(DAMAGED, message, span)


def missing_pictures(gaps: Iterable[Span], missing_at_s: Sequence[float]) -> tuple[OutputWarning, ...]:
    """Warnings about gaps in a storyboard, and about thumbnails that could not be taken."""
    because = "the picture of the file is damaged there."
    gone = [Span(missing_at_s[0], missing_at_s[-1])] if missing_at_s else []
    return (
        *(
            _warning(DAMAGED, f"The storyboard has no pictures from {clock(a)} to {clock(b)}: {because}", Span(a, b))
            for a, b in _fewest([*gaps])
        ),
        *(_warning(DAMAGED, f"{len(missing_at_s)} thumbnails are missing: {because}", span) for span in gone),
    )


def truncation_warning(end_s: float, declared_s: float, what: str) -> OutputWarning:
    """The warning about media that ends early; `what`: "file", "picture" or "sound"."""
    message = (
        f"The {what} is cut off: it ends after {clock(end_s)} of {clock(declared_s)}. Upload it again if it is longer."
    )
    return _warning(TRUNCATED, message, Span(end_s, declared_s))


def incomplete_warning(missing: int) -> OutputWarning:
    """The warning about a file that lacks bytes, wherever they were."""
    return OutputWarning(code=INCOMPLETE, message=f"The file is incomplete: {missing} bytes are missing.")


def jump_warnings(jumps_at_s: Iterable[float]) -> tuple[OutputWarning, ...]:
    """Warnings about the places where time stamps jump, on the published timeline."""
    return tuple(_jump(at_s) for at_s in jumps_at_s)


def _jump(at_s: float) -> OutputWarning:
    where = f"The time stamps of the file jump at {clock(at_s)}"
    message = f"{where}: recordings were joined there, or a part is missing. The parts play one after the other."
    return _warning(JUMP, message, Span(at_s, at_s))


def _warning(code: str, message: str, span: Span) -> OutputWarning:
    start_ms, end_ms = (max(0, round(at_s * 1000)) for at_s in span)
    return OutputWarning(code=code, message=message, start_ms=start_ms, end_ms=end_ms)


def clock(at_s: float) -> str:
    """A time for people, e.g. "1:02:03.4"."""
    tenths = round(at_s * 10)
    minutes, seconds = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds / 10:04.1f}" if hours else f"{minutes}:{seconds / 10:04.1f}"
