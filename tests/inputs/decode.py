"""Decodes what was published, with ffmpeg: frames with their times, sound, stills. No more than reading."""

import re
import subprocess
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from tests.inputs import card
from tests.inputs.observed import Frame, Loudness, Sound, Still, Video
from tests.inputs.tone import RATE_HZ

_TIMEOUT_S = 120
#: Frames are read at this size: a cell of the clock is ten pixels wide.
_WIDTH_PX, _HEIGHT_PX = 160, 90
#: A decoder that takes what it is given for BT.709 in limited range, which is what players assume of HD.
_AS_BT709 = (
    f"scale={_WIDTH_PX}:{_HEIGHT_PX}:in_color_matrix=bt709:in_range=tv:out_range=pc"
    ":flags=area+accurate_rnd+full_chroma_int+full_chroma_inp,format=rgb24"
)
#: JPEG files are BT.601 in full range. Source: JFIF 1.02, ITU-T T.871.
_AS_JFIF = "scale=in_color_matrix=bt601:in_range=pc:out_range=pc:flags=accurate_rnd+full_chroma_int,format=rgb24"
_PTS = re.compile(r"pts_time:(-?[0-9.]+)")
_CHANNELS = re.compile(r" channels:(\d+) ")
_COMPLAINT = re.compile(r"^.*\[(?:error|fatal|panic)\].*$", re.MULTILINE)
#: ffmpeg names its contexts by their addresses, which differ each time.
_ADDRESS = re.compile(r" @ 0x[0-9a-f]+")
_PPM = re.compile(rb"P6\s(\d+) (\d+)\s255\n")
_LOUDNESS = re.compile(
    r"Integrated loudness:\s+I:\s+(-?[\d.]+|-?inf|nan) LUFS.*?True peak:\s+Peak:\s+(-?[\d.]+|-?inf)", re.DOTALL
)
_TAGS = ("color_space", "color_primaries", "color_transfer", "color_range", "sample_aspect_ratio")


def _run(*arguments: str) -> tuple[bytes, str]:
    """ffmpeg's stdout and stderr."""
    argv = ["ffmpeg", "-hide_banner", "-nostdin", "-loglevel", "level+info", "-nostats", *arguments]
    done = subprocess.run(argv, capture_output=True, timeout=_TIMEOUT_S, check=False)
    return done.stdout, done.stderr.decode(errors="replace")


def _complaints(words: str) -> str:
    return "; ".join(_ADDRESS.sub("", line) for line in _COMPLAINT.findall(words))[:300]


def video(playlist: Path, start_s: float) -> Video:
    """A rendition, whose media clock begins at `start_s` in its segments."""
    filters = f"showinfo,{_AS_BT709}"
    reading = ("-copyts", "-i", str(playlist), "-map", "0:v", "-fps_mode", "passthrough")
    pixels, words = _run(*reading, "-vf", filters, "-f", "rawvideo", "-")
    pictures = np.frombuffer(pixels, np.uint8).reshape(-1, _HEIGHT_PX, _WIDTH_PX, 3)
    times = [float(found) for found in _PTS.findall(words)]
    frames = tuple(Frame(at_s=at_s - start_s, card=card.read(one)) for at_s, one in zip(times, pictures, strict=False))
    tags = _tags(playlist)
    return Video(
        frames=frames,
        width_px=int(tags.get("width", 0)),
        height_px=int(tags.get("height", 0)),
        tags={name: tags.get(name, "unknown") for name in _TAGS},
        patches=card.read_patches(pictures[len(pictures) // 2]) if len(pictures) else {},
        complaints=_complaints(words),
    )


def _tags(playlist: Path) -> dict[str, str]:
    show = ("-select_streams", "v:0", "-show_entries", "stream=width,height," + ",".join(_TAGS), "-of", "json")
    done = subprocess.run(["ffprobe", "-v", "error", *show, playlist], capture_output=True, timeout=60, check=False)
    streams = orjson.loads(done.stdout or b"{}").get("streams") or [{}]
    return {name: str(value) for name, value in streams[0].items()}


def sound(path: Path, start_s: float = 0.0) -> tuple[Sound, Loudness | None]:
    """A file or a playlist with sound, whose media clock begins at `start_s`; and how loud it is."""
    # No change of channels: mono as stereo has a lower peak.
    filters = f"ashowinfo,aformat=sample_rates={RATE_HZ},ebur128=peak=true:framelog=verbose"
    written, words = _run("-copyts", "-i", str(path), "-map", "0:a", "-af", filters, "-f", "f32le", "-")
    channels = _CHANNELS.search(words)
    samples = np.frombuffer(written, np.float32).reshape(-1, int(channels[1]) if channels else 1)
    first = _PTS.search(words)
    at_s = float(first[1]) - start_s if first else 0.0
    measured = _LOUDNESS.findall(words)
    loudness = Loudness(lufs=float(measured[-1][0]), peak_dbtp=float(measured[-1][1])) if measured else None
    return Sound(at_s=at_s, rate_hz=RATE_HZ, samples=samples, complaints=_complaints(words)), loudness


def wav(path: Path) -> Sound:
    """A 16-bit WAV file."""
    with wave.open(str(path)) as file:
        rate_hz, channels = file.getframerate(), file.getnchannels()
        whole = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, channels)
    return Sound(at_s=0.0, rate_hz=rate_hz, samples=whole.astype(np.float32) / 32768)


def pictures(paths: Sequence[Path]) -> list[Any]:
    """JPEG files as RGB; one that cannot be decoded is left out."""
    return [picture for path in paths for picture in _ppm(path)]


def _ppm(path: Path) -> list[Any]:
    written, _ = _run("-i", str(path), "-vf", _AS_JFIF, "-c:v", "ppm", "-f", "image2pipe", "-")
    header = _PPM.match(written)
    if header is None:
        return []
    width, height = int(header[1]), int(header[2])
    return [np.frombuffer(written[header.end() :], np.uint8, width * height * 3).reshape(height, width, 3)]


def still(picture: Any) -> Still:
    """What a decoded picture shows."""
    height, width = picture.shape[:2]
    return Still(width_px=width, height_px=height, card=card.read(picture), patches=card.read_patches(picture))
