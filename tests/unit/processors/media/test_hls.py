"""Playlists say what was measured, and what ffmpeg wrote is read back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.errors import OutputInvalid
from processors.media.hls import Segment, Variant, master_playlist, read_media_playlist

_AUDIO = Variant(name="audio", uri="audio/index.m3u8", codecs="mp4a.40.2", peak_bps=140_000, average_bps=130_000)
_RATES = st.integers(1, 10**8)


def _video(peak_bps: int = 2_000_000, average_bps: int = 1_500_000) -> Variant:
    return Variant(
        name="720p",
        uri="720p/index.m3u8",
        codecs="avc1.64001f",
        peak_bps=peak_bps,
        average_bps=average_bps,
        width_px=1280,
        height_px=720,
        fps=30000 / 1001,
    )


def test_the_master_lists_each_video_with_its_sound() -> None:
    assert master_playlist([_video()], _AUDIO) == (
        "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n\n"
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="audio",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2",URI="audio/index.m3u8"\n\n'
        "#EXT-X-STREAM-INF:BANDWIDTH=2140000,AVERAGE-BANDWIDTH=1630000,"
        'CODECS="avc1.64001f,mp4a.40.2",RESOLUTION=1280x720,FRAME-RATE=29.970,AUDIO="audio"\n720p/index.m3u8\n'
    )


def test_silent_video_has_no_audio_group() -> None:
    assert "AUDIO" not in master_playlist([_video()], None)


def test_sound_alone_is_a_variant_of_its_own() -> None:
    text = master_playlist([], _AUDIO)
    assert text.endswith(
        '#EXT-X-STREAM-INF:BANDWIDTH=140000,AVERAGE-BANDWIDTH=130000,CODECS="mp4a.40.2"\naudio/index.m3u8\n'
    )
    assert "EXT-X-MEDIA:" not in text


@given(st.text(max_size=20))
def test_a_language_out_of_a_strangers_file_cannot_add_attributes(language: str) -> None:
    audio = Variant(name="a", uri="u", codecs="c", peak_bps=1, average_bps=1, language=language)
    text = master_playlist([_video()], audio)
    assert len(text.splitlines()) == 8
    assert text.count('"') % 2 == 0


@given(st.lists(st.tuples(_RATES, _RATES), min_size=1, max_size=6))
def test_bandwidths_are_video_plus_sound(rates: list[tuple[int, int]]) -> None:
    text = master_playlist([_video(peak, average) for peak, average in rates], _AUDIO)
    for peak, average in rates:
        assert f"BANDWIDTH={peak + 140_000},AVERAGE-BANDWIDTH={average + 130_000}," in text


def test_a_media_playlist_is_read() -> None:
    text = (
        '#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MAP:URI="init.mp4"\n#EXTINF:4.000000,\n0.m4s\n#EXTINF:1.28,\n1.m4s\n'
    )
    found = read_media_playlist(text + "#EXT-X-ENDLIST\n")
    assert (found.init_uri, found.target_duration_s, found.ended) == ("init.mp4", 4, True)
    assert found.segments == (Segment("0.m4s", 4.0), Segment("1.m4s", 1.28))
    assert not read_media_playlist(text).ended


def test_something_else_is_no_playlist() -> None:
    with pytest.raises(OutputInvalid):
        read_media_playlist("<html>")
