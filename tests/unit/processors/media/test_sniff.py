"""What a file is called changes nothing; what it holds decides."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.errors import EmptyMedia, InvalidMedia, SourceMissing, UnsupportedMedia
from processors.media.containers import (
    AAC,
    AC3,
    AIFF,
    AMR,
    APNG,
    ASF,
    AU,
    AVI,
    CAF,
    DV,
    EAC3,
    FLAC,
    FLV,
    GIF,
    MATROSKA,
    MP3,
    MP4,
    MPEG,
    MPEGTS,
    OGG,
    QUICKTIME,
    WAV,
    WAVE64,
    WEBM,
)
from processors.media.sniff import recognise, sniff

_TS = b"\x47" + bytes(187)
_M2TS = bytes(4) + _TS
_ID3 = b"ID3\x04\x00\x00\x00\x00\x00\x0a" + bytes(10)
#: 48 kHz, 32 kbit/s: 128 bytes; 24 words of E-AC-3.
_AC3_FRAME = b"\x0b\x77\x00\x00\x00\x40" + bytes(122)
_EAC3_FRAME = b"\x0b\x77\x00\x17\x00\x80" + bytes(42)
_MP3_FRAME = b"\xff\xfb\x90\x00" + bytes(100)


@pytest.mark.parametrize(
    "head, container",
    [
        (b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00", MP4),
        (b"\x00\x00\x00\x14ftypqt  \x00\x00\x00\x00", QUICKTIME),
        (b"\x00\x00\x00\x08wide\x00\x00\x10\x00mdat", QUICKTIME),
        (b"\x00\x00\x00\x01mdat\x00\x00\x00\x00\x00\x00\x10\x00", QUICKTIME),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x82\x84webm", WEBM),
        (b"\x1a\x45\xdf\xa3\xa3\x42\x82\x88matroska", MATROSKA),
        (b"RIFF\x10\x00\x00\x00AVI LIST", AVI),
        (b"RIFF\x10\x00\x00\x00WAVEfmt ", WAV),
        (b"RF64\xff\xff\xff\xffWAVEds64", WAV),
        (b"OggS\x00\x02", OGG),
        (b"fLaC\x00\x00\x00\x22", FLAC),
        (_TS * 6, MPEGTS),
        (_M2TS * 6, MPEGTS),
        (_MP3_FRAME, MP3),
        (_ID3 + _MP3_FRAME, MP3),
        (_ID3 + b"fLaC\x00\x00\x00\x22", FLAC),
        (b"\xff\xf1\x50\x80" + bytes(20), AAC),
        (b"\x00\x00\x01\xba\x44\x00\x04\x00", MPEG),
        (bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + bytes(8), ASF),
        (b"FLV\x01\x05\x00\x00\x00\x09", FLV),
        (b"\x1f\x07\x00\xbf\xf8\x78", DV),
        (b"FORM\x00\x00\x10\x00AIFCFVER", AIFF),
        (b"caff\x00\x01\x00\x00desc", CAF),
        (bytes.fromhex("726966662e91cf11a5d628db04c10000") + bytes(8), WAVE64),
        (b".snd\x00\x00\x00\x18", AU),
        (b"#!AMR\n\x3c", AMR),
        (b"#!AMR-WB\n\x3c", AMR),
        (_AC3_FRAME * 2, AC3),
        (_AC3_FRAME[:127] * 2, None),
        (_EAC3_FRAME * 2, EAC3),
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", None),
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", None),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", None),
        (b"\x89PNG\r\n\x1a\n", None),
        (b"%PDF-1.7", None),
        (b"\x7fELF\x02\x01", None),
        (b"RIFF\x10\x00\x00\x00WEBPVP8 ", None),
        (b"\x47" + bytes(600), None),
        (b"\xff\xff\xff\xff", None),
        (b"moov", None),
        (b"", None),
    ],
)
def test_containers_are_told_by_their_first_bytes(head: bytes, container: object) -> None:
    assert sniff(head) == container


@given(st.binary(max_size=4096))
def test_no_bytes_break_the_sniffer(head: bytes) -> None:
    sniff(head)


def _refused(path: Path, content: bytes, filename: str | None) -> InvalidMedia:
    path.write_bytes(content)
    with pytest.raises(InvalidMedia) as caught:
        recognise(path, filename)
    return caught.value


def test_an_empty_file_is_called_empty(tmp_path: Path) -> None:
    refused = _refused(tmp_path / "source", b"", "holiday.mp4")
    assert isinstance(refused, EmptyMedia)
    assert str(refused) == "The file 'holiday.mp4' is empty: it has no bytes. Upload it again."


def test_text_named_like_a_video_is_called_text(tmp_path: Path) -> None:
    refused = _refused(tmp_path / "source", "Grüße, kein Film".encode() * 400, "holiday.mp4")
    assert isinstance(refused, UnsupportedMedia)
    assert str(refused).startswith("The file 'holiday.mp4' is named .mp4 but holds text. Upload a video or audio file")


def test_a_playlist_named_like_a_video_is_called_a_playlist(tmp_path: Path) -> None:
    refused = _refused(tmp_path / "source", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "holiday.mp4")
    assert "is named .mp4 but holds a playlist" in str(refused)


def test_other_bytes_are_not_called_text(tmp_path: Path) -> None:
    assert "is not in a media format" in str(_refused(tmp_path / "source", b"\x7fELF\x02\x01\0\0", None))


@pytest.mark.parametrize(
    "content, sentence",
    [
        (b"\xff\xd8\xff\xe1", "The file 'x' is a picture (JPEG), not a video. Upload a video"),
        (b"\x89PNG\r\n\x1a\n\0\0", "The file 'x' is a picture (PNG), not a video. Upload a video"),
        (b"\x00\x00\x00\x18ftypheic\0\0\0\0mif1", "The file 'x' is a picture (HEIC), not a video. Upload a video"),
        (b"BM\x00\x01\x00\x00" + bytes(20), "The file 'x' is a picture (BMP), not a video. Upload a video"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "The file 'x' is a picture (WebP), not a video. Upload a video"),
        (b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\x02\0\0\0", "is an animated WebP, which cannot be decoded here. Upload"),
        (b"%PDF-1.7", "The file 'x' is a document (PDF), not a video. Upload a video"),
        (b"PK\x03\x04\x14", "The file 'x' is an archive (ZIP), not a video. Upload a video"),
    ],
)
def test_the_refusal_names_what_the_file_is(tmp_path: Path, content: bytes, sentence: str) -> None:
    refused = _refused(tmp_path / "source", content, "x")
    assert isinstance(refused, UnsupportedMedia)
    assert sentence in str(refused)


_GIF_HEAD = b"GIF89a\x01\x00\x01\x00\x80\x00\x00" + bytes(6)
_GIF_LOOP = b"!\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00"
_GIF_IMAGE = b",\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02\x44\x01\x00"


def _png(*chunks: tuple[bytes, bytes]) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        len(data).to_bytes(4, "big") + kind + data + bytes(4) for kind, data in chunks
    )


_PNG_HEAD = ((b"IHDR", bytes(13)), (b"iCCP", bytes(8000)))
_FRAMES = (3).to_bytes(4, "big") + bytes(4)


@pytest.mark.parametrize(
    "content, container",
    [
        (_GIF_HEAD + _GIF_LOOP + _GIF_IMAGE * 2 + b";", GIF),
        (_png(*_PNG_HEAD, (b"acTL", _FRAMES), (b"IDAT", b"")), APNG),
    ],
)
def test_a_picture_that_moves_is_a_video(tmp_path: Path, content: bytes, container: object) -> None:
    (tmp_path / "source").write_bytes(content)
    assert recognise(tmp_path / "source") == container


@pytest.mark.parametrize(
    "content", [_GIF_HEAD + _GIF_LOOP + _GIF_IMAGE + b";", _GIF_HEAD, _png(*_PNG_HEAD, (b"IDAT", bytes(9)))]
)
def test_a_picture_that_does_not_move_is_a_picture(tmp_path: Path, content: bytes) -> None:
    assert "is a picture (" in str(_refused(tmp_path / "source", content, None))


def test_a_long_tag_does_not_hide_the_sound_behind_it(tmp_path: Path) -> None:
    tag = b"ID3\x03\x00\x00" + bytes([0, 1, 0, 0]) + bytes(1 << 14)
    (tmp_path / "source").write_bytes(tag + _MP3_FRAME)
    assert recognise(tmp_path / "source") == MP3


def test_a_file_that_is_gone_is_no_fault_of_its_content(tmp_path: Path) -> None:
    with pytest.raises(SourceMissing):
        recognise(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "head, demuxer",
    [
        (bytes.fromhex("060e2b34020501010d01020101020400"), "mxf"),
        (b".RMF\0\0\0\x12" + bytes(8), "rm"),
        (b"wvpk" + bytes(28), "wv"),
        (b"TTA1\1\0\1\0", "tta"),
        (bytes.fromhex("fffde4c4") + bytes(64), "mp3"),
        (b"ID3\4\0\0\0\0\0\x04abcd" * 2 + bytes.fromhex("fff1508000"), "aac"),
    ],
)
def test_music_archives_and_broadcast_files_are_known(head: bytes, demuxer: str) -> None:
    container = sniff(head)
    assert container is not None
    assert container.demuxer == demuxer


def test_a_bare_stream_is_called_one(tmp_path: Path) -> None:
    path = tmp_path / "camera.h264"
    path.write_bytes(bytes.fromhex("000000016742c00cda05067e79") + bytes(2000))
    with pytest.raises(UnsupportedMedia, match=r"H\.264 video without a container"):
        recognise(path)
