"""Judges of the sound: completeness, timing and loudness. Source: EBU R 128, ITU-R BS.1770-4."""

from collections.abc import Iterator

from tests.inputs import tone
from tests.inputs.expected import Plays, Timeline
from tests.inputs.judges.findings import Finding
from tests.inputs.observed import Observed, Sound

#: The target of the step `audio` and the furthest from it; the highest true peak.
TARGET_LUFS, SLACK_LU, PEAK_DBTP = -16.0, 1.0, -1.0
#: Part of a clock's second in which its pitch is looked at.
_FROM_S, _TO_S = 0.2, 0.8
#: Margin at the ends of a silent stretch.
_EDGE_S = 0.15


def content(expected: Plays, observed: Observed) -> Iterator[Finding]:
    """The ladder's sound, the file for people and the one for models: each second has its pitch."""
    if expected.sound is None:
        return
    for what, sound in (("HLS", observed.sound), ("audio.m4a", observed.download), ("speech.wav", observed.speech)):
        if sound is not None:
            yield from _sound(expected, expected.sound, what, sound)


def _sound(expected: Plays, sounds: Timeline, what: str, sound: Sound) -> Iterator[Finding]:
    if sound.complaints:
        yield Finding(f"decoding of {what}", sound.complaints, holds=False)
    if not expected.has_pitch:
        level = tone.rms(sound.mono)
        yield Finding(f"sound of {what}", f"RMS {level:.3f}", holds=level > tone.SILENT)
        return
    windows = list(_windows(sounds, expected.seconds))
    right = sum(_pitch(sound, from_s, to_s) == pitch for from_s, to_s, pitch in windows)
    yield Finding(f"sound of {what}", f"{right} of {len(windows)} seconds", holds=right == len(windows))


def _windows(sounds: Timeline, until_s: float) -> Iterator[tuple[float, float, int | None]]:
    """Stretches of the published sound, with the pitch that each must have; None: silence."""
    ends = [part.at_s for part in sounds[1:]] + [until_s]
    for part, end_s in zip(sounds, ends, strict=True):
        if part.clock_s is None:
            if part.is_judged and end_s - part.at_s > 4 * _EDGE_S:
                yield part.at_s + _EDGE_S, end_s - _EDGE_S, None
            continue
        for second in range(int(part.clock_s), int(part.clock_s + end_s - part.at_s) + 1):
            from_s, to_s = (part.at_s + second + within - part.clock_s for within in (_FROM_S, _TO_S))
            if from_s >= part.at_s and to_s <= end_s:
                yield from_s, to_s, tone.pitch_hz(second)


def _pitch(sound: Sound, from_s: float, to_s: float) -> int | None:
    first, last = (max(0, round((at_s - sound.at_s) * sound.rate_hz)) for at_s in (from_s, to_s))
    return tone.heard_hz(sound.mono[first:last], sound.rate_hz)


def loudness(expected: Plays, observed: Observed) -> Iterator[Finding]:
    """`audio.m4a` is at the target loudness."""
    measured = observed.loudness
    if not expected.loudness or measured is None:
        return
    holds = abs(measured.lufs - TARGET_LUFS) <= SLACK_LU and measured.peak_dbtp <= PEAK_DBTP
    yield Finding("loudness", f"{measured.lufs:.1f} LUFS, peak {measured.peak_dbtp:.1f} dBTP", holds=holds)
