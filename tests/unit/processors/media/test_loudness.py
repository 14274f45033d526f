"""Loudness: read from ffmpeg's meter, and turned into what normalises."""

import math

import pytest

from processors.errors import ToolFailed
from processors.media.loudness import Aim, Loudness, first_aim, miss, next_aim, normalising, read_loudness
from processors.sound_files import selected_tracks
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


def test_the_meters_last_summary_is_read_and_the_peak_of_all() -> None:
    found = read_loudness("noise\n" + _SAID.format(i="0.0", peak="-1.0") + _SAID.format(i="-12.5", peak="-2.1"))
    assert found == Loudness(lufs=-12.5, threshold_lufs=-23.7, range_lu=4.1, peak_dbfs=-1.0)
    assert found.is_measured and not found.is_silence


def test_silence_is_told_from_what_is_too_short_to_measure() -> None:
    assert read_loudness(_SAID.format(i="-70.0", peak="-inf")).is_silence
    short = read_loudness(_SAID.format(i="-70.0", peak="-18.0"))
    assert not short.is_silence and not short.is_measured
    assert not math.isfinite(read_loudness(_SAID.format(i="nan", peak="-18.0")).lufs)


def test_a_tool_that_says_nothing_has_failed() -> None:
    with pytest.raises(ToolFailed):
        read_loudness("Conversion failed!")


def _loud(lufs: float, peak_dbfs: float) -> Loudness:
    return Loudness(lufs=lufs, threshold_lufs=lufs - 10, range_lu=0.0, peak_dbfs=peak_dbfs)


def test_sound_gets_one_gain_and_a_limiter_only_where_peaks_would_clip() -> None:
    calm, peaky = _loud(-20.0, -8.0), _loud(-20.0, -3.0)
    aim = first_aim(calm, -16, -1.5)
    assert normalising(aim, calm) == (("volume", {"volume": "4.00dB"}),)
    assert normalising(aim, peaky) == (
        ("volume", {"volume": "4.00dB"}),
        ("aresample", {"osr": "192000"}),
        ("alimiter", {"limit": "0.8414", "level": "false", "latency": "true"}),
    )


def test_an_overshoot_lowers_the_limit_and_leaves_the_loudness_in_reach() -> None:
    source, aim = _loud(-20.0, -3.0), Aim(4.0, -1.5)
    assert next_aim(aim, source, _loud(-16.0, 0.5), -16, -1.5) == Aim(4.0, -3.5)
    assert next_aim(aim, _loud(-20.0, -10.0), _loud(-16.0, 0.5), -16, -1.5) == Aim(4.0, -8.0)
    assert next_aim(aim, source, _loud(-18.0, -1.2), -16, -1.5) == Aim(4.0 + 2 * 1.7, -1.5)
    assert next_aim(aim, _loud(-20.0, -30.0), _loud(-18.0, -20.0), -16, -1.5) == Aim(6.0, -1.5)


@pytest.mark.parametrize(
    "lufs, peak, missed", [(-16.4, -1.1, 0.0), (-17.5, -1.1, 1.0), (-16.0, -0.5, 1.0), (-14.5, 0.0, 3.0)]
)
def test_a_try_is_judged_by_loudness_and_peak(lufs: float, peak: float, missed: float) -> None:
    assert miss(_loud(lufs, peak), -16, -1.5) == pytest.approx(missed)


def test_a_loudness_within_tolerance_is_chosen_before_a_peak_above_the_maximum() -> None:
    assert miss(_loud(-17.0, -1.1), -16, -1.5) < miss(_loud(-16.0, -0.6), -16, -1.5)


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
    assert tuple(found.index for found in selected_tracks(media, languages)) == chosen
