"""What a file is called changes nothing; what it holds decides."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.errors import EmptyMedia, InvalidMedia, SourceMissing, UnsupportedMedia
from processors.media.sniff import (
    AAC,
    AVI,
    FLAC,
    MATROSKA,
    MP3,
    MP4,
    MPEGTS,
    OGG,
    QUICKTIME,
    WAV,
    WEBM,
    recognise,
    sniff,
)

_TS = b"\x47" + bytes(187)
_M2TS = bytes(4) + _TS
_ID3 = b"ID3\x04\x00\x00\x00\x00\x00\x0a" + bytes(10)
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
    assert "is not in a media format" in str(_refused(tmp_path / "source", b"\x89PNG\r\n\x1a\n\0\0", None))


def test_a_long_tag_does_not_hide_the_sound_behind_it(tmp_path: Path) -> None:
    tag = b"ID3\x03\x00\x00" + bytes([0, 1, 0, 0]) + bytes(1 << 14)
    (tmp_path / "source").write_bytes(tag + _MP3_FRAME)
    assert recognise(tmp_path / "source") == MP3


def test_a_file_that_is_gone_is_no_fault_of_its_content(tmp_path: Path) -> None:
    with pytest.raises(SourceMissing):
        recognise(tmp_path / "nowhere")
