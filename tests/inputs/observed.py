"""What was published for an input, decoded: values that the judges look at."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.inputs.card import Reading
from tests.steps import Ending


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A decoded frame."""

    #: On the media's clock.
    at_s: float
    card: Reading


@dataclass(frozen=True, kw_only=True)
class Video:
    """The largest rendition, decoded."""

    frames: tuple[Frame, ...]
    width_px: int
    height_px: int
    #: As ffprobe names them: color_space, color_primaries, color_transfer, color_range, sample_aspect_ratio.
    tags: Mapping[str, str]
    #: Colours of the patches in the middle of the film.
    patches: Mapping[str, tuple[int, int, int]]
    #: What the decoder complained about.
    complaints: str


@dataclass(frozen=True, kw_only=True)
class Sound:
    """Sound, decoded."""

    #: Of the first sample, on the media's clock.
    at_s: float
    rate_hz: int
    #: One column per channel.
    samples: Any
    complaints: str = ""

    @property
    def mono(self) -> Any:
        """The louder of the channels: a mix would be silent where they are opposite."""
        return self.samples[:, int((self.samples**2).sum(axis=0).argmax())]

    @property
    def end_s(self) -> float:
        """Of the last sample."""
        return self.at_s + len(self.samples) / self.rate_hz


@dataclass(frozen=True, kw_only=True)
class Loudness:
    """As ffmpeg's ebur128 measures it."""

    lufs: float
    #: True peak.
    peak_dbtp: float


@dataclass(frozen=True, kw_only=True)
class Still:
    """A published picture, decoded."""

    width_px: int
    height_px: int
    card: Reading
    patches: Mapping[str, tuple[int, int, int]]


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A cue of the storyboard and the picture that it points at; None where that is not there."""

    start_s: float
    end_s: float
    card: Reading | None


@dataclass(frozen=True, kw_only=True)
class MediaPlaylist:
    """One rendition."""

    uri: str
    target_s: float
    #: Seconds and bytes of each segment.
    segments: tuple[tuple[float, int], ...]
    ended: bool


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A line of the master playlist, with the rendition that it names and the sound that it is played with."""

    attributes: Mapping[str, str]
    video: MediaPlaylist
    audio: MediaPlaylist | None


@dataclass(frozen=True, kw_only=True)
class Master:
    """The master playlist."""

    text: str
    variants: tuple[Variant, ...]
    #: Attributes of EXT-X-MEDIA lines.
    media: tuple[Mapping[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Cue:
    """A caption."""

    start_s: float
    end_s: float
    lines: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Captions:
    """What was recognised."""

    text: str
    language: str | None
    cues: tuple[Cue, ...]
    #: Words of the transcript and when each starts, seconds.
    words: tuple[tuple[str, float], ...] = ()
    #: Attributes of the subtitles in the master playlist.
    listed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Observed:
    """All that came of an input. What is None or empty was not published."""

    endings: Mapping[str, Ending]
    master: Master | None = None
    video: Video | None = None
    #: The sound of the HLS ladder.
    sound: Sound | None = None
    #: `audio.m4a`, and how loud it is.
    download: Sound | None = None
    loudness: Loudness | None = None
    #: `speech.wav`, which models hear.
    speech: Sound | None = None
    poster: Still | None = None
    thumbnails: tuple[Still, ...] = ()
    tiles: tuple[Tile, ...] = ()
    captions: Captions | None = None

    @property
    def error(self) -> Ending | None:
        """The first step that failed."""
        return next((ending for ending in self.endings.values() if ending.error), None)
