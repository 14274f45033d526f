"""Captions as text: WebVTT, SubRip, and what was said. Pure. Source: W3C WebVTT; SubRip has no standard."""

from collections.abc import Iterable

from processors.transcripts.cues import Cue
from schemas.transcribe import TranscriptSegment


def webvtt(found: Iterable[Cue], header: str = "") -> str:
    """WebVTT. `header`: a further line at its start."""
    blocks = ["\n".join(filter(None, ["WEBVTT", header]))]
    for cue in found:
        times = f"{_clock(cue.start_ms, '.')} --> {_clock(cue.end_ms, '.')}"
        blocks.append("\n".join([times, *(_escaped(line) for line in cue.lines)]))
    return "\n\n".join(blocks) + "\n"


def subrip(found: Iterable[Cue]) -> str:
    """SubRip. It knows no escapes: what would be read as markup is written with look-alikes."""
    blocks = []
    for number, cue in enumerate(found, 1):
        times = f"{_clock(cue.start_ms, ',')} --> {_clock(cue.end_ms, ',')}"
        blocks.append("\n".join([str(number), times, *(_unmarked(line) for line in cue.lines)]))
    return "\n\n".join(blocks) + "\n"


def plain_text(segments: Iterable[TranscriptSegment]) -> str:
    """What was said, a line for each segment."""
    return "".join(f"{' '.join(segment.text.split())}\n" for segment in segments)


def _escaped(line: str) -> str:
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _unmarked(line: str) -> str:
    return line.translate({ord("<"): "‹", ord(">"): "›", ord("{"): "(", ord("}"): ")"})  # noqa: RUF001


def _clock(at_ms: int, point: str) -> str:
    seconds, ms = divmod(at_ms, 1000)
    minutes, s = divmod(seconds, 60)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{s:02d}{point}{ms:03d}"
