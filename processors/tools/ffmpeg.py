"""Command lines of ffmpeg and ffprobe for untrusted files, and parsers of their output."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import orjson

from processors.errors import MediaTooLarge, ToolFailed, ToolMisbehaved
from processors.tools.runner import Command, Runner, ignore
from processors.tools.sandbox import FileAccess
from schemas.base import Json

#: How far ffmpeg searches a transport stream for tracks that start late.
_ANALYSE_S = 10
_PROBE_BYTES = 20 * 1024**2
#: Seconds between progress reports.
_STATS_S = 0.5
#: Largest accepted output of ffprobe; no honest file has more tags.
_OUTPUT_BYTES = 16 * 1024**2
#: Longest line of ffmpeg's progress or of ffprobe's packets; they have some 100 bytes.
_LINE_BYTES = 64 * 1024
#: Longest number of microseconds: 30,000 years.
_NUMBER_DIGITS = 18
#: ffmpeg's AAC encoder without noise shaping in time, with which sharp sounds came out up to 9 dB above their peak, and
#: without noise in place of bands, with which a beep came out 4 dB above it and high voices metallic (80 kbit/s mono,
#: ffmpeg 5.1). Source: ffmpeg-codecs(1), aac_tns and aac_pns; obsproject/obs-studio#12490.
AAC = {"c:a": "aac", "aac_tns": 0, "aac_pns": 0}
#: Silence before sound that begins late, and in its gaps. In place of aresample's first_pts, which fills from the start
#: again wherever the form of the sound changes. Source: ffmpeg(1), -async; fftools/ffmpeg_filter.c, `reconfiguration`.
FILL_SOUND = ("-async", "1")
#: How far sound may be from its times before it is moved, seconds: less would be heard in recordings with uneven times.
#: Where parts were joined or packets are missing it adds up to a step. Source: ffmpeg(1), -adrift_threshold.
_DRIFT_S, _EXACT_DRIFT_S = 0.1, 0.01
#: Share of frames that may fail to decode: all, since the rest is published. Source: ffmpeg(1), -max_error_rate.
_MAX_ERROR_RATE = 1


def input_options(demuxer: str) -> dict[str, str | int]:
    """Input options: local files and the sniffed demuxer only, so that no playlist or link is followed.

    Source: ffmpeg-protocols(1) protocol_whitelist, ffmpeg-formats(1) format_whitelist.
    """
    return {
        "f": demuxer,
        "protocol_whitelist": "file",
        "format_whitelist": demuxer,
        "probesize": _PROBE_BYTES,
        "analyzeduration": _ANALYSE_S * 1_000_000,
    }


def file_url(path: Path) -> str:
    """The file URL of a path, so that ffmpeg cannot read it as an option or a protocol."""
    return f"file:{path}"


def ffmpeg_argv(
    args: list[str], threads: int, *, loglevel: str = "-repeat+level+warning", exact_sound: bool = False
) -> tuple[str, ...]:
    """The command line for arguments compiled by ffmpeg-python; progress goes to stdout, the rest to stderr."""
    return (
        *("ffmpeg", "-nostdin", "-hide_banner", "-y", "-loglevel", loglevel, "-nostats"),
        *("-progress", "pipe:1", "-stats_period", str(_STATS_S), "-max_error_rate", str(_MAX_ERROR_RATE)),
        *("-filter_complex_threads", str(threads)),
        *FILL_SOUND,
        *("-adrift_threshold", str(_EXACT_DRIFT_S if exact_sound else _DRIFT_S)),
        *args,
    )


def ffprobe_argv(source: Path, options: dict[str, str | int], *show: str) -> tuple[str, ...]:
    """A command line of ffprobe; `show`: options that select its output and format."""
    read = [text for name, value in options.items() for text in (f"-{name}", str(value))]
    return ("ffprobe", "-hide_banner", "-loglevel", "error", *read, *show, file_url(source))


def packets_argv(source: Path, options: dict[str, str | int], tracks: Sequence[int]) -> tuple[str, ...]:
    """A command line that prints the packet times of the tracks, with ffmpeg's corrections of timestamp jumps.

    Without decoding. `processors.media.packet_times` reads it; its tracks are numbered in the order of `tracks`. The
    corrections go to stderr: `processors.media.damage.JumpLog` reads them.
    """
    read = [text for name, value in options.items() for text in (f"-{name}", str(value))]
    chosen = [text for track in tracks for text in ("-map", f"0:{track}")]
    logged = ("ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "level+info", "-nostats", "-debug_ts")
    return (*logged, *read, "-i", file_url(source), *chosen, "-c", "copy", "-f", "framecrc", "pipe:1")


class LineSplitter:
    """Splits the output of a tool into lines."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines completed by the next bytes, cut anywhere. Raises ToolMisbehaved for an endless line."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > _LINE_BYTES:
            raise ToolMisbehaved("it printed an endless line.")
        return lines

    def end(self) -> list[bytes]:
        """The incomplete last line, if any."""
        return [self._rest] if self._rest else []


class Progress:
    """Parses the output of `-progress` and reports the share of the media that is done, 0-1, never decreasing."""

    def __init__(self, total_s: float, report: Callable[[float], None]) -> None:
        self._total_us = max(total_s, 0.001) * 1_000_000
        self._report = report
        self._lines = LineSplitter()
        self._done = 0.0

    def feed(self, chunk: bytes) -> None:
        """Parse the next bytes of stdout, cut anywhere. Raises ToolMisbehaved."""
        for line in self._lines.feed(chunk):
            name, _, text = line.partition(b"=")
            value = text.strip()
            # "N/A", or negative, before the first packet
            if name == b"out_time_us" and value.isdigit() and len(value) <= _NUMBER_DIGITS:
                self._done = min(max(self._done, int(value) / self._total_us), 1.0)
                self._report(self._done)


def _on_source(source: Path, argv: tuple[str, ...], timeout_s: float) -> Command:
    return Command(argv=argv, access=FileAccess(reads=(source,), cwd=Path("/")), timeout_s=timeout_s)


async def ffprobe(runner: Runner, source: Path, argv: tuple[str, ...], timeout_s: float) -> bytes:
    """The output of ffprobe. Raises ProcessingError."""
    output = bytearray()

    def take(chunk: bytes) -> None:
        if len(output) <= _OUTPUT_BYTES:
            output.extend(chunk)

    await runner.run(_on_source(source, argv, timeout_s), take)
    if len(output) > _OUTPUT_BYTES:
        raise MediaTooLarge(f"The file has more than {_OUTPUT_BYTES} bytes of metadata. Export it with less.")
    return bytes(output)


async def ffprobe_json(runner: Runner, source: Path, argv: tuple[str, ...], timeout_s: float) -> Json:
    """The output of ffprobe with `-of json`. Raises ProcessingError."""
    output = await ffprobe(runner, source, argv, timeout_s)
    try:
        parsed: Json = orjson.loads(output)
    except orjson.JSONDecodeError as error:
        start = output[:1000].decode(errors="replace")
        raise ToolFailed("ffprobe printed invalid JSON. The step will be retried.", detail=start) from error
    return parsed


async def ffprobe_lines(
    runner: Runner,
    source: Path,
    argv: tuple[str, ...],
    timeout_s: float,
    on_line: Callable[[str], None],
    *,
    on_stderr: Callable[[bytes], None] = ignore,
) -> None:
    """Call `on_line` with each line that a tool prints, however many. Raises ProcessingError."""
    lines = LineSplitter()

    def split(chunk: bytes) -> None:
        for line in _texts(lines.feed(chunk)):
            on_line(line)

    await runner.run(_on_source(source, argv, timeout_s), split, on_stderr)
    for line in _texts(lines.end()):
        on_line(line)


def _texts(lines: list[bytes]) -> Iterator[str]:
    return (line.decode(errors="replace") for line in lines if line)
