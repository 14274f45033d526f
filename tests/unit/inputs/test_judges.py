"""A judge lets right results pass, and says what is wrong with the others."""

from dataclasses import replace

import numpy as np
import pytest

from schemas.base import ErrorRecord, Json
from tests.inputs import card, tone
from tests.inputs.expected import Part, Patch, Plays, Refused, Speech, clock_at
from tests.inputs.judges import colour, outcome, picture, playlist, sound, stills, text
from tests.inputs.judges.findings import Finding
from tests.inputs.observed import (
    Captions,
    Cue,
    Frame,
    Loudness,
    MediaPlaylist,
    Observed,
    Sound,
    Still,
    Tile,
    Video,
)
from tests.steps import Ending

_FPS = 25


def _frames(seconds: float, late_s: float = 0.0, flashes: tuple[float, ...] = (1.0,)) -> tuple[Frame, ...]:
    times = [number / _FPS for number in range(round(seconds * _FPS))]
    flashing = [any(flash <= at_s < flash + 0.1 for flash in flashes) for at_s in times]
    return tuple(
        Frame(at_s=at_s, card=card.read(card.draw(160, 90, max(0.0, at_s - late_s), flash=flash)))
        for at_s, flash in zip(times, flashing, strict=True)
    )


def _video(frames: tuple[Frame, ...], **tags: str) -> Video:
    patches = card.read_patches(card.draw_patches(160, 90))
    return Video(frames=frames, width_px=320, height_px=180, tags=tags, patches=patches, complaints="")


def _sound(seconds: float, beeps: tuple[float, ...] = (1.0,), at_s: float = 0.0) -> Sound:
    return Sound(at_s=at_s, rate_hz=tone.RATE_HZ, samples=tone.bed(seconds, beeps).reshape(-1, 1))


def _observed(**found: object) -> Observed:
    outputs: Json = {}
    endings = {step: Ending(step=step, outputs=outputs) for step in ("probe", "transcode", "thumbnails", "audio")}
    return Observed(endings=endings, **found)  # type: ignore[arg-type] # fields of Observed by name


def _wrong(findings: object) -> list[str]:
    assert isinstance(findings, list)
    return [finding.what for finding in findings if isinstance(finding, Finding) and not finding.holds]


def test_the_clock_follows_the_parts_of_a_timeline() -> None:
    timeline = (Part(0.0, None), Part(1.0, 5.0), Part(3.0, 7.0, runs=False))
    assert clock_at(timeline, 0.5) is None
    assert clock_at(timeline, 2.0) == pytest.approx(6.0)
    assert clock_at(timeline, 9.0) == pytest.approx(7.0)


def test_frames_at_their_time_pass_and_late_ones_do_not() -> None:
    expected = Plays(seconds=3.0)
    assert _wrong(list(picture.frames(expected, _observed(video=_video(_frames(3.0)))))) == []
    assert _wrong(list(picture.frames(expected, _observed(video=_video(_frames(3.0, late_s=0.2)))))) == ["clock"]


def test_a_mirrored_picture_does_not_pass() -> None:
    mirrored = tuple(
        replace(frame, card=card.read(card.draw(160, 90, frame.at_s)[:, ::-1])) for frame in _frames(1.0, flashes=())
    )
    assert "corners" in _wrong(list(picture.frames(Plays(seconds=1.0), _observed(video=_video(mirrored)))))


def test_another_rate_or_size_does_not_pass() -> None:
    expected = Plays(seconds=3.0, fps=(24.0,), size=(640, 360))
    assert _wrong(list(picture.frames(expected, _observed(video=_video(_frames(3.0)))))) == ["size", "rate"]


@pytest.mark.parametrize("late_s, wrong", [(0.0, []), (0.008, []), (0.015, ["sync"]), (-0.02, ["sync"])])
def test_a_beep_beside_its_flash_does_not_pass(late_s: float, wrong: list[str]) -> None:
    found = _observed(video=_video(_frames(3.0)), sound=_sound(3.0, (1.0 + late_s,)))
    assert _wrong(list(picture.sync(Plays(seconds=3.0), found))) == wrong


def test_sound_at_another_time_does_not_pass() -> None:
    expected = Plays(seconds=4.0)
    assert _wrong(list(sound.content(expected, _observed(sound=_sound(4.0))))) == []
    assert _wrong(list(sound.content(expected, _observed(sound=_sound(2.0))))) == ["sound of HLS"]
    assert _wrong(list(sound.content(expected, _observed(sound=_sound(4.0, at_s=1.0))))) == ["sound of HLS"]


def test_silence_is_expected_where_the_source_has_none() -> None:
    expected = Plays(seconds=4.0, sound=(Part(0.0, None), Part(2.0, 0.0)))
    silent = np.zeros((2 * tone.RATE_HZ, 1), np.float32)
    late = replace(_sound(2.0), samples=np.concatenate([silent, _sound(2.0).samples]))
    assert _wrong(list(sound.content(expected, _observed(sound=late)))) == []
    assert _wrong(list(sound.content(expected, _observed(sound=_sound(4.0))))) == ["sound of HLS"]


@pytest.mark.parametrize("lufs, peak, holds", [(-16.0, -1.5, True), (-17.2, -1.5, False), (-16.0, -0.5, False)])
def test_loudness_is_near_its_target(lufs: float, peak: float, holds: bool) -> None:
    found = _observed(loudness=Loudness(lufs=lufs, peak_dbtp=peak))
    assert [finding.holds for finding in sound.loudness(Plays(seconds=3.0), found)] == [holds]


def test_colours_and_tags_that_are_off_do_not_pass() -> None:
    tags = {"color_space": "bt709", "color_primaries": "bt709", "color_transfer": "bt709", "color_range": "tv"}
    found = _observed(video=_video((), **tags))
    assert _wrong(list(colour.colours(Plays(seconds=3.0, patches={"red": Patch(rgb=(252, 3, 0))}), found))) == []
    dull = Plays(seconds=3.0, patches={"red": Patch(rgb=(231, 0, 1))})
    assert _wrong(list(colour.colours(dull, found))) == ["colours of the ladder"]
    found = _observed(video=_video((), **tags | {"color_space": "smpte170m"}))
    assert "tags" in _wrong(list(colour.colours(dull, found)))


def _still(clock_s: float) -> Still:
    shown = card.draw(160, 90, clock_s)
    return Still(width_px=160, height_px=90, card=card.read(shown), patches={})


def test_missing_thumbnails_and_tiles_of_another_time_do_not_pass() -> None:
    expected = Plays(seconds=3.0, thumbnails=3)
    tiles = tuple(Tile(start_s=at, end_s=at + 1.0, card=_still(at).card) for at in (0.0, 1.0, 2.0))
    thumbnails = tuple(map(_still, (0.5, 1.5, 2.5)))
    good = _observed(poster=_still(1.5), thumbnails=thumbnails, tiles=tiles)
    assert _wrong(list(stills.stills(expected, good))) == []
    assert _wrong(list(stills.stills(expected, replace(good, thumbnails=thumbnails[:2])))) == ["thumbnails"]
    stuck = tuple(replace(tile, card=tiles[0].card) for tile in tiles)
    assert _wrong(list(stills.stills(expected, replace(good, tiles=stuck)))) == ["tiles"]
    assert _wrong(list(stills.stills(expected, replace(good, tiles=tiles[:1])))) == ["storyboard"]


def test_a_last_segment_of_a_moment_makes_no_peak() -> None:
    listed = MediaPlaylist(uri="a", target_s=4, segments=((4.0, 4000), (4.0, 5000), (0.02, 400)), ended=True)
    assert playlist.peak_bps(listed) == pytest.approx(5400 * 8 / 4.02)
    short = MediaPlaylist(uri="a", target_s=4, segments=((1.0, 1000),), ended=True)
    assert playlist.peak_bps(short) == pytest.approx(8000)


def _refused(message: str, code: str = "unsupported-media", *, retriable: bool = False) -> Observed:
    error = ErrorRecord(code=code, message=message, retriable=retriable)
    return Observed(endings={"probe": Ending(step="probe", error=error)})


def test_a_refusal_names_what_the_file_is() -> None:
    expected = Refused(code="unsupported-media", patterns=("picture", "HEIC"))
    named = _refused("This is a picture (HEIC), not a video.")
    assert _wrong(list(outcome.refusal(expected, named))) == []
    for other in (
        _refused("The file is cut off."),
        _refused("This is a picture (HEIC).", "corrupt-media"),
        _refused("This is a picture (HEIC).", retriable=True),
        _refused("This is a\npicture (HEIC)."),
        _observed(),
    ):
        assert _wrong(list(outcome.refusal(expected, other))) == ["refusal"]


def test_a_step_that_fails_or_is_skipped_without_being_asked_does_not_pass() -> None:
    endings = {
        "transcode": Ending(step="transcode", outputs={}),
        "audio": Ending(step="audio", skipped="no-audio-track"),
    }
    found = Observed(endings=endings)
    assert _wrong(list(outcome.steps(Plays(seconds=1.0), found))) == ["audio"]
    assert _wrong(list(outcome.steps(Plays(seconds=1.0, skipped={"audio": "no-audio-track"}), found))) == []


def _captions(*cues: tuple[float, float, str], **listed: str) -> Captions:
    shown = tuple(Cue(start_s=a, end_s=b, lines=tuple(lines.split("\n"))) for a, b, lines in cues)
    return Captions(text=" ".join(lines for _, _, lines in cues), language="en", cues=shown, listed=listed)


def test_words_are_counted_without_case_and_punctuation() -> None:
    assert text.error_rate("It's a fox, the fox!", "its a fox the dog") == pytest.approx(2 / 5)
    assert text.error_rate("one two", "") == 1.0


def test_speech_that_comes_too_early_does_not_pass() -> None:
    wanted = Plays(seconds=30.0, speech=Speech(text="hello there", first_s=20.0))
    assert _wrong(list(text.speech(wanted, _observed(captions=_captions((20.1, 21.5, "Hello there.")))))) == []
    assert _wrong(list(text.speech(wanted, _observed(captions=_captions((0.0, 21.5, "Hello there.")))))) == [
        "first cue"
    ]


@pytest.mark.parametrize(
    "cue, wrong",
    [
        ((0.0, 2.0, "A short line."), ""),
        ((0.0, 0.5, "Short."), "0.50 s"),
        ((0.0, 8.0, "Long."), "8.00 s"),
        ((0.0, 6.0, "a" * 43), "43 columns"),
        ((0.0, 6.0, "今日は天気がとても良いので、みんなで海"), "38 columns"),
        ((0.0, 1.0, "今日は天気がとても良い"), "11 characters a second"),
        ((0.0, 2.0, "今日は\n、みんな"), "closing punctuation"),
        ((0.0, 3.0, "one\ntwo\nthree"), "3 lines"),
    ],
)
def test_cues_that_break_a_rule_are_named(cue: tuple[float, float, str], wrong: str) -> None:
    found = list(text.broken(_captions(cue).cues[0]))
    assert found == [] if not wrong else any(wrong in one for one in found)


def test_captions_are_offered_and_do_not_overlap() -> None:
    expected = Plays(seconds=9.0, cues=True)
    offered = {"DEFAULT": "NO", "AUTOSELECT": "YES"}
    good = _captions((0.0, 2.0, "One."), (2.0, 4.0, "Two."), **offered)
    assert _wrong(list(text.cues(expected, _observed(captions=good)))) == []
    overlapping = _captions((0.0, 2.0, "One."), (1.0, 4.0, "Two."), **offered)
    assert _wrong(list(text.cues(expected, _observed(captions=overlapping)))) == ["cues"]
    forced = _captions((0.0, 2.0, "One."), DEFAULT="YES", AUTOSELECT="YES")
    assert _wrong(list(text.cues(expected, _observed(captions=forced)))) == ["listing"]
