"""What ffprobe says becomes what later steps rely on."""

from typing import Any

import msgspec
import pytest

from processors.errors import CorruptMedia, MediaTooLarge
from processors.media.containers import AVI, MATROSKA, MP4, MPEGTS, WAV, Container
from processors.media.description import Sizes, probe_outputs
from processors.media.track_ends import Ends
from processors.media_limits import check_limits, check_tracks
from processors.tools.limits import Limits

_VIDEO = {
    "index": 0,
    "codec_type": "video",
    "codec_name": "h264",
    "width": 640,
    "height": 360,
    "avg_frame_rate": "25/1",
    "start_time": "0.000000",
    "duration": "10.000000",
}
_AUDIO = {
    "index": 1,
    "codec_type": "audio",
    "codec_name": "aac",
    "channels": 2,
    "sample_rate": "48000",
    "start_time": "0.500000",
    "duration": "9.000000",
    "tags": {"language": "deu"},
}
_SHOWN: dict[str, Any] = {"streams": [_VIDEO, _AUDIO], "format": {"start_time": "0.000000", "bit_rate": "800000"}}


def _ends(*lines: str) -> Ends:
    ends = Ends()
    for line in lines:
        ends.add(line)
    return ends


_WHOLE = _ends("0,9.96,9.9,0.04,__", "1,9.48,9.48,0.02,K_")


def test_durations_are_measured_from_packets() -> None:
    found = probe_outputs(_SHOWN, _WHOLE, MP4, Sizes(1000))
    assert (found.duration_s, found.bit_rate_bps) == (10.0, 800_000)
    assert found.video is not None and found.audio is not None
    assert found.video.duration_s == pytest.approx(10.0)
    assert (found.audio.start_s, found.audio.language) == (0.5, "deu")
    assert found.audio.duration_s == pytest.approx(9.0)


def test_packets_outside_the_edit_list_do_not_count() -> None:
    assert _ends("0,9.96,9.9,0.04,__", "0,99.0,99.0,0.04,_D").by_index == {0: 10.0}


def test_a_packet_without_a_presentation_time_counts_by_its_decoding_time() -> None:
    assert _ends("0,N/A,2.0,N/A,K_", "0,N/A,N/A,0.04,__", "").by_index == {0: 2.0}


def test_times_count_from_the_start_of_the_file() -> None:
    streams = [{**_VIDEO, "start_time": "1.400000"}]
    found = probe_outputs(
        {"streams": streams, "format": {"start_time": "1.4"}}, _ends("0,11.36,11.3,0.04,__"), MPEGTS, Sizes(1)
    )
    assert found.video is not None
    assert found.video.start_s == 0
    assert found.duration_s == pytest.approx(10.0)


def test_the_grid_of_frames_is_measured_from_the_end_of_the_file() -> None:
    ends = _ends(*(f"0,{0.018 + number / 25:.6f},N/A,0.04,__" for number in range(240)))
    found = probe_outputs({"streams": [_VIDEO], "format": {}}, ends, MP4, Sizes(1))
    assert found.video is not None
    assert found.video.start_s == 0.0
    assert found.video.grid_start_s == pytest.approx(0.018)


@pytest.mark.parametrize("container, delay_s", [(AVI, 0.08), (MP4, 0.0)])
def test_b_frames_are_late_where_a_container_has_no_times_of_presentation(container: Container, delay_s: float) -> None:
    streams = [{**_VIDEO, "has_b_frames": 2}]
    found = probe_outputs({"streams": streams, "format": {}}, _ends("0,N/A,9.96,0.04,__"), container, Sizes(1))
    assert found.video is not None
    assert found.video.decoder_delay_s == pytest.approx(delay_s)


def test_a_file_that_ends_early_is_processed_up_to_there_with_a_warning() -> None:
    found = probe_outputs(_SHOWN, _ends("0,3.96,3.9,0.04,__", "1,3.9,3.9,0.02,K_"), MP4, Sizes(1000, 500))
    assert found.duration_s == pytest.approx(4.0)
    (warning,) = found.warnings
    assert (warning.code, warning.start_ms, warning.end_ms) == ("media-truncated", 4000, 10_000)
    assert "file is cut off: it ends after 0:04.0 of 0:10.0" in warning.message


def test_a_track_that_ends_early_is_named() -> None:
    (warning,) = probe_outputs(_SHOWN, _ends("0,9.96,9.9,0.04,__", "1,3.9,3.9,0.02,K_"), MP4, Sizes(1000)).warnings
    assert "sound is cut off: it ends after 0:03.9 of 0:09.5" in warning.message


@pytest.mark.parametrize("container, code", [(WAV, "media-truncated"), (MATROSKA, "media-incomplete")])
def test_missing_bytes_are_reported_where_no_duration_is_declared(container: Container, code: str) -> None:
    shown = {"streams": [_AUDIO | {"duration": None}], "format": {}}
    (warning,) = probe_outputs(shown, _ends("1,3.9,3.9,0.1,K_"), container, Sizes(1000, 500)).warnings
    assert warning.code == code


def test_places_where_time_stamps_jump_are_reported() -> None:
    ends = Ends(by_index={0: 10.0, 1: 9.5}, clock_jumps=True, jumps_at_s=[4.0])
    (warning,) = probe_outputs(_SHOWN, ends, MPEGTS, Sizes(1000)).warnings
    assert (warning.code, warning.start_ms) == ("timestamps-jump", 4000)


def test_matroska_counts_a_tracks_duration_from_the_start_of_the_file() -> None:
    late = {**_AUDIO, "duration": None, "start_time": "5.0", "tags": {"DURATION": "00:00:10.000000000"}}
    found = probe_outputs({"streams": [late], "format": {}}, _ends("1,9.98,9.98,0.02,K_"), MATROSKA, Sizes(1))
    assert found.audio is not None
    assert found.duration_s == pytest.approx(10.0)
    assert found.audio.duration_s == pytest.approx(5.0)


def test_a_single_picture_lasts_for_one_frame() -> None:
    found = probe_outputs(
        {"streams": [_VIDEO | {"duration": None}], "format": {}}, _ends("0,0.0,0.0,N/A,K_"), MP4, Sizes(1)
    )
    assert found.duration_s == pytest.approx(0.04)


@pytest.mark.parametrize("container", [MP4, MPEGTS])
def test_a_file_without_any_moment_is_damaged(container: Container) -> None:
    with pytest.raises(CorruptMedia):
        probe_outputs({"streams": [_AUDIO | {"duration": "0"}], "format": {}}, _ends(), container, Sizes(1))


@pytest.mark.parametrize(
    "limits, says",
    [
        (Limits(max_duration_s=9), r"lasts 10 s; at most 9"),
        (Limits(max_pixels=100_000), "230400 pixels"),
        (Limits(max_fps=24), "25 frames per second"),
    ],
)
def test_what_is_beyond_a_limit_is_named(limits: Limits, says: str) -> None:
    found = probe_outputs(_SHOWN, _WHOLE, MP4, Sizes(1000))
    with pytest.raises(MediaTooLarge, match=says):
        check_limits(found, limits)
    check_limits(msgspec.structs.replace(found, duration_s=5.0), Limits())


def test_many_tracks_are_too_many() -> None:
    check_tracks(2, Limits(max_tracks=2))
    with pytest.raises(MediaTooLarge, match="2 tracks"):
        check_tracks(2, Limits(max_tracks=1))
