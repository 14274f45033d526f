"""The ffmpeg command of an encode, as text; and what is decided before it."""

import shlex
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import pytest

from processors.errors import NothingToShow
from processors.media.profiles import load_profiles
from processors.media.transcode_plan import plan
from processors.renditions import transcode_args
from schemas.probe import AudioTrack, ProbeOutputs, VideoTrack

_PROFILE = load_profiles(Path(__file__).parents[3] / "deploy" / "profiles")["hls"]
_VIDEO = VideoTrack(
    index=0,
    codec="h264",
    coded_width_px=640,
    coded_height_px=360,
    width_px=640,
    height_px=360,
    fps=25,
    frame_rate="25/1",
    color_space="bt709",
    duration_s=10.0,
)
_TAGS = "setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=tv"
_AUDIO = AudioTrack(index=1, codec="aac", channels=6, sample_rate_hz=44100, duration_s=10.0)
_MEDIA = ProbeOutputs(demuxer="mov", container="MP4", size_bytes=1, duration_s=10.0, video=_VIDEO, audio=_AUDIO)


def _media(**changes: Any) -> ProbeOutputs:
    return msgspec.structs.replace(_MEDIA, **changes)


def _video(**changes: Any) -> ProbeOutputs:
    return _media(video=msgspec.structs.replace(_VIDEO, **changes))


def _args(media: ProbeOutputs) -> str:
    planned = plan(media, _PROFILE)
    return shlex.join(transcode_args(Path("/in/source"), media, _PROFILE, planned, cpus=2, max_pixels=1000))


def test_one_decode_two_sizes_and_sound_once() -> None:
    hls = (
        "-hls_flags independent_segments -hls_fmp4_init_filename init.mp4 -hls_playlist_type vod "
        "-hls_segment_filename hls/{0}/%05d.m4s "
        "-hls_segment_options movflags=+frag_custom+dash+delay_moov+frag_discont -hls_segment_type fmp4 -hls_time 4 "
        "-map_chapters -1 -map_metadata -1"
    )
    video = (
        "-f hls -bufsize {2} -c:v libx264 -crf 21.0 -force_key_frames 'expr:gte(t,n_forced*2)*lt(t,9.500000)' " + hls
    )
    video += (
        " -maxrate {1} -output_ts_offset 0.100000 -preset veryfast -profile:v high -sc_threshold 0 -t 10.500000 "
        "-threads 2 hls/{0}/index.m3u8"
    )
    audio = (
        "-f hls -aac_pns 0 -aac_tns 0 -af aresample=48000,aformat=sample_fmts=fltp:channel_layouts=stereo -b:a 128000 "
        "-c:a aac " + hls + " -output_ts_offset 0.100000 -t 10.500000 hls/{0}/index.m3u8"
    )
    assert _args(_MEDIA) == (
        "-f mov -analyzeduration 10000000 -format_whitelist mov -max_pixels 1000 -noautorotate -probesize 20971520 "
        "-protocol_whitelist file -reinit_filter:0 0 -threads 2 -i file:/in/source -filter_complex "
        "'[0:0]scale=640:360:flags=bicubic[s0];[s0]fps=fps=25/1:start_time=0[s1];[s1]split=2[s2][s3];"
        f"[s2]scale=640:360:flags=bicubic[s4];[s4]setsar=1[s5];[s5]format=yuv420p[s6];[s6]{_TAGS}[s7];"
        f"[s3]scale=426:240:flags=bicubic[s8];[s8]setsar=1[s9];[s9]format=yuv420p[s10];[s10]{_TAGS}[s11]' "
        f"-map '[s7]' {video.format('360p', 800000, 1200000)} -map '[s11]' {video.format('240p', 400000, 600000)} "
        f"-map 0:1 {audio.format('audio')}"
    )


@pytest.mark.parametrize(
    "changes, filters",
    [
        ({"rotation_deg": 90}, "transpose=clock"),
        ({"rotation_deg": 180}, "hflip[s2];[s2]vflip"),
        ({"rotation_deg": 270}, "transpose=cclock"),
        ({"mirrored": True, "rotation_deg": 90}, "hflip[s2];[s2]transpose=clock"),
        ({"interlaced": True}, "[s0]bwdif=deint=interlaced:mode=send_frame[s1];[s1]fps"),
        ({"duration_s": 4.0}, "tpad=stop_duration=6.000000:stop_mode=clone"),
        (
            {"hdr": True, "color_space": None, "color_transfer": "smpte2084", "color_range": "pc"},
            (
                "flags=bicubic[s2];[s2]zscale=min=bt2020nc:npl=100:pin=bt2020:rin=pc:t=linear:tin=smpte2084[s3];"
                "[s3]format=gbrpf32le[s4];[s4]zscale=p=bt709[s5];[s5]tonemap=desat=0:tonemap=hable[s6];"
                "[s6]zscale=m=bt709:r=tv:t=bt709[s7];[s7]format=yuv420p[s8];[s8]split=2"
            ),
        ),
    ],
)
def test_what_a_track_needs_stands_in_the_graph(changes: dict[str, Any], filters: str) -> None:
    assert filters in _args(_video(**changes))


def test_sound_that_ends_early_goes_on_as_silence() -> None:
    early = msgspec.structs.replace(_AUDIO, duration_s=4.0, start_s=1.0)
    assert "apad=pad_dur=5.000000" in _args(_media(audio=early))


def test_silent_video_has_no_audio_output() -> None:
    assert "aac" not in _args(_media(audio=None))


def test_sound_alone_is_one_output() -> None:
    args = _args(_media(video=None))
    assert "libx264" not in args
    assert "split" not in args
    assert args.endswith("hls/audio/index.m3u8")


def test_without_any_track_there_is_nothing_to_show() -> None:
    with pytest.raises(NothingToShow):
        plan(_media(video=None, audio=None), _PROFILE)


@pytest.mark.parametrize("duration_s, segment_s", [(0.04, 4), (29.9, 4), (30, 6), (7200, 6)])
def test_short_clips_have_shorter_segments(duration_s: float, segment_s: float) -> None:
    assert plan(_media(duration_s=duration_s), _PROFILE).segment_s == segment_s


@pytest.mark.parametrize(
    "rate, shown, start_s",
    [
        ("25/1", "25", "0.1"),
        ("60003/1000", "60", "0.1"),
        ("75/1", "75/2", "0.1"),
        ("120/1", "60", "0.1"),
        ("144/1", "48", "0.1"),
        ("240000/1001", "60000/1001", "0.1"),
        ("10/1", "10", "0.22"),
    ],
)
def test_the_clock_starts_above_the_delay_of_b_frames(rate: str, shown: str, start_s: str) -> None:
    planned = plan(_video(frame_rate=rate), _PROFILE)
    assert (planned.rate, planned.start_s) == (Fraction(shown), Fraction(start_s))


@pytest.mark.parametrize(
    "starts_s, phase_s, start_s",
    [
        (0.0, "0", "0.22"),
        (0.021, "0.021", "0.22"),
        (0.08, "-0.02", "0.24"),
        (1.3, "0", "0.22"),
        (0.05, "0.05", "0.22"),
        (-0.03, "-0.03", "0.25"),
    ],
)
def test_pictures_keep_their_moments_where_the_film_begins_between_two_frames(
    starts_s: float, phase_s: str, start_s: str
) -> None:
    """Matroska and MPEG-TS: sound comes first by its priming, and every picture would be late by half a frame."""
    media = _video(frame_rate="10/1", start_s=starts_s)
    planned = plan(media, _PROFILE)
    assert (planned.phase_s, planned.start_s) == (Fraction(phase_s), Fraction(start_s))
    args = _args(media)
    assert (f"[s0]setpts=PTS-({float(planned.phase_s):.6f})/TB[s1];[s1]fps=" in args) == bool(planned.phase_s)
    assert args.count(f"-output_ts_offset {float(planned.start_s + planned.phase_s):.6f}") == (
        2 + (not planned.phase_s)
    )


def test_a_first_picture_off_the_grid_of_the_others_does_not_move_them() -> None:
    """Fragmented MP4: its first frame lasts 61 ms, and every flash was 19 ms late."""
    planned = plan(_video(frame_rate="25/1", start_s=0.0, grid_start_s=-0.0186), _PROFILE)
    assert planned.phase_s == Fraction("-0.0186")


def test_pictures_of_an_avi_with_b_frames_are_not_late() -> None:
    """Without times of presentation the decoder gives each picture the time of one that came two frames later."""
    assert "setpts=PTS-(0.080000)/TB" in _args(_video(decoder_delay_s=0.08))
