"""A flash and a beep of the same moment stay together on the way into the published ladder, whatever the frame rate."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.processors.conftest import Bench

#: When both happen, and how far apart they may come out: a quarter of what viewers begin to notice.
#: Source: ITU-R BT.1359-1, figure 2: sound 45 ms early, or 125 ms late.
_AT_S, _TOGETHER_S = 1, 0.01
_X264 = "-c:v libx264 -preset ultrafast -bf 2 -pix_fmt yuv420p"


def picture(rate: str, more: str = "", at_s: float = _AT_S) -> str:
    """Arguments: black, and white for 0.1 s."""
    white = f"drawbox=w=iw:h=ih:t=fill:c=white:enable=between(t\\,{at_s - 0.0005}\\,{at_s + 0.0995})"
    return f"-f lavfi -i color=black:s=160x90:r={rate}:d=2,{white}{more}"


def sound(rate_hz: int = 48_000, at_s: float = _AT_S) -> str:
    """Arguments: silence, and a tone for 0.1 s."""
    return f"-f lavfi -i aevalsrc=0.5*sin(5000*t)*between(t\\,{at_s}\\,{at_s + 0.1}):s={rate_hz}:d=2"


#: Every third picture of a recorded screen is missing, which shows nothing new.
_UNEVEN = ",select=mod(n+1\\,3)"

FILMS = {
    **{
        f"{rate.replace('/', '-')}.mp4": f"{picture(rate)} {sound()} {_X264} -c:a aac"
        for rate in ("24000/1001", "25", "30", "48", "50", "60000/1001", "60", "120", "144", "240")
    },
    "telephone.mp4": f"{picture('60')} {sound(8000)} {_X264} -c:a aac",
    "44100.mp4": f"{picture('50')} {sound(44_100)} {_X264} -c:a aac",
    "pcm.mov": f"{picture('60')} {sound()} {_X264} -c:a pcm_s16le",
    # The sound's priming comes first, and the picture begins between two frames.
    "primed.mkv": f"{picture('25')} {sound()} {_X264} -c:a aac",
    "primed.ts": f"{picture('25')} {sound()} {_X264} -c:a aac",
    "slow.mkv": f"{picture('10')} {sound()} {_X264} -c:a libmp3lame",
    "browser.webm": f"{picture('30')} {sound()} -c:v libvpx -deadline realtime -cpu-used 8 -c:a libopus",
    "late-sound.mp4": f"{picture('60')} -itsoffset 0.5 {sound(at_s=0.5)} {_X264} -c:a aac",
    "late-sound.ts": f"{picture('25')} -itsoffset 0.03 {sound(at_s=0.97)} {_X264} -c:a aac",
    "early-sound.mkv": f"-itsoffset 0.48 {picture('25', at_s=0.52)} {sound()} {_X264} -c:a aac",
    "screen.mp4": f"{picture('60', _UNEVEN)} {sound()} -fps_mode passthrough {_X264} -c:a aac",
    "screen.mkv": f"{picture('60', _UNEVEN)} {sound()} -fps_mode passthrough {_X264} -c:a aac",
}


@pytest.mark.parametrize("name", FILMS)
async def test_flash_and_beep_stay_together(bench: Bench, tmp_path: Path, name: str) -> None:
    film = tmp_path / name
    subprocess.run(["ffmpeg", "-v", "error", "-nostdin", *FILMS[name].split(" "), film], check=True, timeout=60)
    _, folder = await bench.do("transcode", film)
    before, after = _apart_s(film, tmp_path), _apart_s(folder / "hls" / "master.m3u8", tmp_path)
    assert after == pytest.approx(before, abs=_TOGETHER_S)
    assert abs(after) <= _TOGETHER_S


def _apart_s(source: Path, folder: Path) -> float:
    """From the flash to the beep, as a player without any knowledge of the source shows them."""
    seen, heard = folder / "seen.txt", folder / "heard.txt"
    graph = (
        f"[0:v:0]signalstats,metadata=print:key=lavfi.signalstats.YAVG:file={seen}[v];"
        f"[0:a:0]aresample=48000,asetnsamples=n=48:p=0,astats=metadata=1:reset=1,"
        f"ametadata=print:key=lavfi.astats.Overall.Peak_level:file={heard}[a]"
    )
    shown = ["-map", "[v]", "-map", "[a]", "-fps_mode", "passthrough", "-f", "null", "-"]
    argv = ["ffmpeg", "-v", "error", "-nostdin", "-copyts", "-i", str(source), "-filter_complex", graph, *shown]
    subprocess.run(argv, check=True, timeout=60)
    return _first(heard, -20) - _first(seen, 120)


def _first(measured: Path, beyond: float) -> float:
    """The moment at which a measure that ffmpeg has printed is first above a bound."""
    return next(at_s for at_s, value in _series(measured.read_text()) if value > beyond)


def _series(text: str) -> Iterator[tuple[float, float]]:
    for at_s, value in re.findall(r"pts_time:(\S+)\n\S+=(\S+)", text):
        yield float(at_s), float(value)
