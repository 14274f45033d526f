"""Captions as a rendition: the master lists what stands elsewhere, relative to itself."""

from processors.captions import master_with_captions
from processors.media.hls import subtitles_playlist, timestamp_map
from schemas.transcode import Rendition, TranscodeOutputs

_AUDIO = Rendition(
    name="audio",
    playlist="assets/a/transcode/1-l/hls/audio/index.m3u8",
    codecs="mp4a.40.2",
    peak_bps=130_000,
    average_bps=128_000,
    segments=2,
)
_VIDEO = Rendition(
    name="360p",
    playlist="assets/a/transcode/1-l/hls/360p/index.m3u8",
    codecs="avc1.64001e",
    peak_bps=800_000,
    average_bps=700_000,
    segments=2,
    width_px=640,
    height_px=360,
    fps=25.0,
)


def ladder(*renditions: Rendition) -> TranscodeOutputs:
    return TranscodeOutputs(
        master="assets/a/transcode/1-l/hls/master.m3u8", duration_s=11.0, start_s=0.1, renditions=renditions
    )


def test_the_master_with_captions_lists_the_same_renditions_and_the_captions() -> None:
    text = master_with_captions("assets/a/captions/1-m/hls/master.m3u8", ladder(_VIDEO, _AUDIO), "en", "en")
    lines = text.splitlines()
    assert "../../../transcode/1-l/hls/360p/index.m3u8" in lines
    assert any("TYPE=AUDIO" in line and 'URI="../../../transcode/1-l/hls/audio/index.m3u8"' in line for line in lines)
    [media] = [line for line in lines if "TYPE=SUBTITLES" in line]
    assert 'LANGUAGE="en"' in media and 'URI="captions.m3u8"' in media
    [stream] = [line for line in lines if line.startswith("#EXT-X-STREAM-INF")]
    assert 'SUBTITLES="captions"' in stream and 'AUDIO="audio"' in stream and "FRAME-RATE=25.000" in stream


def test_sound_alone_has_captions_too() -> None:
    text = master_with_captions("assets/a/captions/1-m/hls/master.m3u8", ladder(_AUDIO), None, None)
    assert 'SUBTITLES="captions"' in text and "../../../transcode/1-l/hls/audio/index.m3u8" in text.splitlines()


def test_the_map_counts_90_000_a_second_from_where_the_media_really_starts() -> None:
    assert timestamp_map(0.1) == "X-TIMESTAMP-MAP=MPEGTS:9000,LOCAL:00:00:00.000"
    assert timestamp_map(2 / 24 + 0.02) == "X-TIMESTAMP-MAP=MPEGTS:9300,LOCAL:00:00:00.000"


def test_captions_are_one_segment_as_long_as_the_media() -> None:
    lines = subtitles_playlist("captions.vtt", 11.2).splitlines()
    assert "#EXT-X-TARGETDURATION:12" in lines and "#EXTINF:11.200000," in lines and lines[-1] == "#EXT-X-ENDLIST"
