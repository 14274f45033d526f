"""Expected results as data: one line at each input."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tests.inputs.workshop import Workshop

#: Makes an input in a workshop's folder.
Make = Callable[[Workshop], Path]


class Part(NamedTuple):
    """A stretch of the published timeline."""

    #: Where it begins, seconds.
    at_s: float
    #: What the source's clock reads there; None: nothing that is looked at, and no sound.
    clock_s: float | None
    #: Whether the clock runs on from there; else the frame is held.
    runs: bool = True
    #: Whether the sound is looked at where `clock_s` is None: then it must be silent.
    is_judged: bool = True


Timeline = tuple[Part, ...]
#: The source, from its first moment on.
WHOLE: Timeline = (Part(0.0, 0.0),)


def clock_at(timeline: Timeline, at_s: float) -> float | None:
    """What the clock must read at a time; None where nothing is to be read."""
    part = next((part for part in reversed(timeline) if part.at_s <= at_s + 1e-6), None)
    if part is None or part.clock_s is None:
        return None
    return part.clock_s + (at_s - part.at_s if part.runs else 0.0)


@dataclass(frozen=True, kw_only=True)
class Patch:
    """An expected colour."""

    rgb: tuple[int, int, int]
    #: Furthest that a channel may be off.
    slack: int = 4


@dataclass(frozen=True, kw_only=True)
class Speech:
    """The expected transcript."""

    text: str
    #: Share of words that may be wrong, missing or added. Small models mishear synthetic voices.
    error_rate: float = 0.2
    #: When the first word is spoken, and how far the first cue may be from it.
    first_s: float | None = None
    first_slack_s: float = 0.6
    #: The words and when each starts, where that is known.
    starts: Callable[[], tuple[tuple[str, float], ...]] | None = None


class Damage(NamedTuple):
    """A warning: its code, and where it lies on the published timeline."""

    code: str
    from_s: float
    to_s: float
    #: Least duration; negative: it has no place.
    least_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Plays:
    """The input is accepted, with these properties of the published media."""

    #: Of the published media.
    seconds: float
    picture: Timeline | None = WHOLE
    sound: Timeline | None = WHOLE
    #: Of the largest rendition; None: not judged.
    size: tuple[int, int] | None = (320, 180)
    #: Frame rates that it may have; empty: not judged.
    fps: tuple[float, ...] = (25.0,)
    #: Duration of a source frame: the largest lag of its clock.
    frame_s: float = 0.04
    #: Furthest that a beep may be from its flash; None: not judged.
    sync_s: float | None = 0.010
    #: Furthest that the duration may be off.
    duration_slack_s: float = 0.1
    #: Whether the picture is the test card, with clock and corners.
    has_card: bool = True
    #: How many there must be; None: any number.
    thumbnails: int | None = 5
    #: Patches of the colour card, as a decoder of BT.709 shows them; None: the input has no such card.
    patches: dict[str, Patch] | None = None
    #: Whether sound must be brought to the target loudness: not of what is too short to have one.
    loudness: bool = True
    #: Whether the pitch of the sound encodes the time. Other sound must only be audible.
    has_pitch: bool = True
    #: What must be skipped, by step, with the reason.
    skipped: dict[str, str] | None = None
    #: Optional steps that must fail, with the code.
    failed: dict[str, str] | None = None
    #: Names that the outputs of the steps must contain: tracks and chapters that are not picture or sound.
    named_outputs: tuple[str, ...] = ()
    #: Warnings about the source that there must be; no others may be there.
    warnings: tuple[Damage, ...] = ()
    speech: Speech | None = None
    #: Whether every cue must keep the caption rules.
    cues: bool = False
    #: Patterns of a message with which the input may be refused instead, as unsupported-media: rare formats need not
    #: be accepted if the message names them.
    or_refused_as: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Refused:
    """The input is refused, and the message names the reason."""

    code: str
    #: Regular expressions that all match the message, case ignored.
    patterns: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Input:
    """One input of the corpus."""

    #: kind/what
    name: str
    make: Make
    expected: Plays | Refused
    #: Its name on the disk and as an upload; None: as it was made.
    filename: str | None = None
    #: Steps that are run; more than pictures and sound only where speech is judged.
    transcribes: bool = False
    #: Chunks that a remote speech endpoint answers in place of the bundled model: (start, end, text).
    endpoint: tuple[tuple[float, float, str], ...] = ()

    @property
    def kind(self) -> str:
        """The part of the name before the slash."""
        return self.name.partition("/")[0]


def plays_sound(seconds: float = 4.0, **more: Any) -> Plays:
    """A file without a picture."""
    return Plays(
        seconds=seconds,
        picture=None,
        size=None,
        fps=(),
        sync_s=None,
        skipped={"thumbnails": "no-video-track", **more.pop("skipped", {})},
        **more,
    )


def plays_picture(seconds: float, **more: Any) -> Plays:
    """A file without sound."""
    return Plays(seconds=seconds, sound=None, skipped={"audio": "no-audio-track"}, **more)
