"""Makes inputs: films of test cards, sounds, speech, and what becomes of them when they are copied, joined or patched.

Everything is generated, by ffmpeg, espeak-ng and Python; an input takes a second or two.
"""

import contextlib
import math
import shlex
import subprocess
import threading
import wave
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from tests.inputs import card, tone
from tests.inputs.card import Picture
from tests.inputs.voice import Talk

_TIMEOUT_S = 120
#: Shortest that a flash stands; slow films show it for one frame.
_FLASH_S = 0.1

#: From RGB to limited-range BT.709, as a phone writes it, with the tags that say so.
BT709 = (
    "-vf scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd+full_chroma_int,format=yuv420p "
    "-colorspace bt709 -color_primaries bt709 -color_trc bt709 -color_range tv"
)
#: A keyframe a second, as cameras write them.
X264 = "-c:v libx264 -preset ultrafast -crf 16 -force_key_frames expr:gte(t,n_forced)"
AAC = "-c:a aac -b:a 96k"
H264_AAC = f"{BT709} {X264} {AAC}"
#: Ahead of a transport stream's zero: else ffmpeg moves a part so that the priming of its sound fits in, and parts
#: that are joined do not follow each other exactly.
OFFSET = "-output_ts_offset"
H264_TS = f"{H264_AAC} {OFFSET} 1"


@dataclass(frozen=True, kw_only=True)
class Film:
    """A film of the test card."""

    seconds: float = 3.0
    fps: str = "25"
    size: tuple[int, int] = (320, 180)
    #: None: as long as the picture; 0: no sound.
    sound_s: float | None = None
    #: Moments of a flash with a beep; each is moved to the next frame.
    flashes_s: tuple[float, ...] = (1.0, 2.0)
    #: What the clocks read at the film's beginning.
    clock_s: float = 0.0
    #: How often the picture's clock moves on; 0: with every frame. Fields that all differ in it look like stripes.
    clock_step_s: float = 0.0
    #: How much later than the beginning the picture or the sound sets in.
    picture_at_s: float = 0.0
    sound_at_s: float = 0.0
    #: Whether a frame of that number is kept: uneven frame rates.
    keeps: Callable[[int], bool] | None = None
    #: From the picture as it is to be seen to the one that is stored.
    turn: Callable[[Any], Any] | None = None
    #: The colour card in place of the clock.
    patches: bool = False

    @property
    def rate(self) -> Fraction:
        """Frames a second."""
        return Fraction(self.fps)

    def flashes(self) -> tuple[float, ...]:
        """Moments at which a flash's first frame is shown, on the clock."""
        return tuple(
            self.clock_s + float(math.ceil(Fraction(at).limit_denominator(1000) * self.rate) / self.rate)
            for at in self.flashes_s
        )

    def frames(self) -> Iterator[Picture]:
        """Every frame, in the order of time."""
        still = card.draw_patches(*self.size) if self.patches else None
        for number in range(round(self.seconds * self.rate)):
            at_s = self.clock_s + self.picture_at_s + float(number / self.rate)
            flash = any(-1e-6 <= at_s - flash_s < _FLASH_S - 1e-6 for flash_s in self.flashes())
            picture = still if still is not None else card.draw(*self.size, self._shown(at_s), flash=flash)
            yield np.ascontiguousarray(self.turn(picture) if self.turn else picture)

    def _shown(self, at_s: float) -> float:
        return math.floor(at_s / self.clock_step_s + 1e-6) * self.clock_step_s if self.clock_step_s else at_s

    def sound(self) -> tone.Samples:
        """The bed with its beeps."""
        sound_s = self.seconds if self.sound_s is None else self.sound_s
        return tone.bed(sound_s, self.flashes(), starts_at_s=self.clock_s + self.sound_at_s)


class Workshop:
    """A folder in which inputs are made."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._made = 0

    def path(self, name: str) -> Path:
        """A path that nothing lies at yet."""
        self._made += 1
        folder = self.folder / str(self._made)
        folder.mkdir()
        return folder / name

    def film(self, film: Film, arguments: str, name: str) -> Path:
        """The film, encoded. Its picture is input 0, its sound, if any, input 1."""
        path, reads = self.path(name), ""
        if film.sound_s != 0.0:
            sound = self.path("sound.wav")
            write_wav(sound, film.sound())
            reads = f"-itsoffset {film.sound_at_s} -i {sound}"
        frames = iter(film.frames())
        first = next(frames)
        height, width = first.shape[:2]
        form = f"-f rawvideo -pixel_format rgb24 -video_size {width}x{height} -framerate {film.fps}"
        raw = f"-itsoffset {film.picture_at_s} {form} -i pipe:0"
        if film.keeps is not None:
            chosen = shlex.quote(f"select='{_chosen(film, film.keeps)}'")
            arguments = arguments.replace("-vf ", f"-fps_mode vfr -vf {chosen},")
        self.run(f"{raw} {reads} {arguments} {path}", feed=(one.tobytes() for one in _chain(first, frames)))
        return path

    def sound(self, samples: Any, arguments: str, name: str, rate_hz: int = tone.RATE_HZ) -> Path:
        """Samples (mono, or one column per channel), encoded."""
        raw, path = self.path("sound.wav"), self.path(name)
        write_wav(raw, samples, rate_hz)
        self.run(f"-i {raw} {arguments} {shlex.quote(str(path))}")
        return path

    def speech(self, text: str, arguments: str, name: str, voice: str = "en-us", speed: int = 150) -> Path:
        """A synthetic voice, encoded."""
        raw, path = self.path("speech.wav"), self.path(name)
        say = ["espeak-ng", "-v", voice, "-s", str(speed), "-w", str(raw), text]
        subprocess.run(say, check=True, timeout=_TIMEOUT_S, capture_output=True)
        self.run(f"-i {raw} {arguments} {path}")
        return path

    def talk(self, talk: Talk, name: str) -> Path:
        """Speech whose words have known times, as WAV."""
        path = self.path(name)
        write_wav(path, talk.samples, talk.rate_hz)
        return path

    def run(self, arguments: str, feed: Iterable[bytes] = ()) -> None:
        """ffmpeg with those arguments, and `feed` at its standard input. Raises CalledProcessError."""
        argv = ["ffmpeg", "-v", "error", "-y", *shlex.split(arguments)]
        pipe = subprocess.PIPE
        with subprocess.Popen(argv, stdin=pipe, stdout=subprocess.DEVNULL, stderr=pipe) as process:
            assert process.stdin is not None and process.stderr is not None
            deadline = threading.Timer(_TIMEOUT_S, process.kill)
            deadline.start()
            with contextlib.suppress(BrokenPipeError):  # it says why
                for piece in feed:
                    process.stdin.write(piece)
                process.stdin.close()
            words = process.stderr.read().decode(errors="replace")
            deadline.cancel()
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, argv, stderr=words)


def _chosen(film: Film, keeps: Callable[[int], bool]) -> str:
    """An expression that is true for the frames that are kept. ffmpeg's parser bears no long ones: runs are joined."""
    numbers = [number for number in range(round(film.seconds * film.rate)) if keeps(number)]
    starts = [number for number in numbers if number - 1 not in numbers]
    ends = [number for number in numbers if number + 1 not in numbers]
    return "+".join(f"between(n,{start},{end})" for start, end in zip(starts, ends, strict=True))


def _chain(first: Picture, rest: Iterator[Picture]) -> Iterator[Picture]:
    yield first
    yield from rest


def write_wav(path: Path, samples: Any, rate_hz: int = tone.RATE_HZ) -> None:
    """16-bit WAV of samples between -1 and 1: mono, or one column per channel."""
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    whole = np.clip(np.round(samples * 32767), -32768, 32767).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(whole.tobytes())
