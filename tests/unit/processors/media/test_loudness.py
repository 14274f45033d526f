"""Loudness: read from ffmpeg's meter, and turned into what normalises."""

import math

import pytest

from processors.audio import chosen_tracks
from processors.errors import ToolFailed
from processors.media.loudness import Loudness, normalising, read_loudness
from schemas.probe import AudioTrack, ProbeOutputs

_SAID = """[Parsed_ebur128_1 @ 0x55] Summary:

  Integrated loudness:
    I:         {i} LUFS
    Threshold: -23.7 LUFS

  Loudness range:
    LRA:         4.1 LU
    Threshold: -34.1 LUFS
    LRA low:   -15.9 LUFS
    LRA high:  -11.8 LUFS

  True peak:
    Peak:       {peak} dBFS
"""


def test_the_meters_last_summary_is_read() -> None:
    found = read_loudness("noise\n" + _SAID.format(i="0.0", peak="0.0") + _SAID.format(i="-12.5", peak="-2.1"))
    assert found == Loudness(lufs=-12.5, threshold_lufs=-23.7, range_lu=4.1, peak_dbfs=-2.1)
    assert found.is_measured and not found.is_silence


def test_silence_is_told_from_what_is_too_short_to_measure() -> None:
    assert read_loudness(_SAID.format(i="-70.0", peak="-inf")).is_silence
    short = read_loudness(_SAID.format(i="-70.0", peak="-18.0"))
    assert not short.is_silence and not short.is_measured
    assert not math.isfinite(read_loudness(_SAID.format(i="nan", peak="-18.0")).lufs)


def test_a_tool_that_says_nothing_has_failed() -> None:
    with pytest.raises(ToolFailed):
        read_loudness("Conversion failed!")


def test_long_sound_is_normalised_in_two_passes_and_short_sound_by_a_gain() -> None:
    heard = Loudness(lufs=-20.0, threshold_lufs=-30.0, range_lu=0.0, peak_dbfs=-3.0)
    [(name, options), (limiter, _)] = normalising(heard, -16, -1.5, 60)
    assert (name, limiter) == ("loudnorm", "alimiter")
    assert options["linear"] == "true" and options["measured_I"] == "-20" and options["measured_LRA"] == "0.1"
    assert normalising(heard, -16, -1.5, 2)[0] == ("volume", {"volume": "4.00dB"})


def track(index: int, channels: int = 2, language: str | None = None, *, default: bool = False) -> AudioTrack:
    return AudioTrack(
        index=index, codec="aac", channels=channels, sample_rate_hz=48000, language=language, default=default
    )


@pytest.mark.parametrize(
    "tracks, languages, chosen",
    [
        ((track(1), track(2, 6)), (), (2,)),
        ((track(1), track(2, 6), track(3, default=True)), (), (3,)),
        ((track(1, language="en", default=True), track(2, language="de")), ("fr", "de"), (2,)),
        ((track(1, 1), track(2, 1), track(3, 1)), (), (1, 2, 3)),
        ((track(1, 1, "en"), track(2, 1, "de")), (), (1,)),
        ((track(1, 1, "en"), track(2, 1, "en"), track(3, 2, "de")), ("en",), (1, 2)),
        ((), (), ()),
    ],
)
def test_tracks_are_chosen_by_language_flag_and_channels(
    tracks: tuple[AudioTrack, ...], languages: tuple[str, ...], chosen: tuple[int, ...]
) -> None:
    media = ProbeOutputs(
        demuxer="mov", container="MP4", size_bytes=1, duration_s=1.0, audio=tracks[0] if tracks else None, sounds=tracks
    )
    assert tuple(found.index for found in chosen_tracks(media, languages)) == chosen
