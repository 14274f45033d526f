"""A file that was cut off is noticed from its own sizes."""

from pathlib import Path

import pytest

from processors.errors import CorruptMedia, MediaTooLarge
from processors.media import truncation
from processors.media.truncation import missing_bytes


def box(kind: bytes, content: bytes = b"") -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + kind + content


_MP4 = box(b"ftyp", b"isom0000") + box(b"moov", bytes(40)) + box(b"mdat", bytes(1000))
_LARGE = b"\x00\x00\x00\x01mdat" + (16 + 500).to_bytes(8, "big") + bytes(500)
_MKV = b"\x1a\x45\xdf\xa3\x84webm" + b"\x18\x53\x80\x67\x10\x00\x01\x00" + bytes(256)
_LIVE_MKV = b"\x1a\x45\xdf\xa3\x84webm" + b"\x18\x53\x80\x67\x01" + b"\xff" * 7 + bytes(256)
_WAV = b"RIFF" + (104).to_bytes(4, "little") + b"WAVE" + bytes(100)


@pytest.mark.parametrize(
    "content, demuxer",
    [
        (_MP4, "mov"),
        (_MP4 + b"\0\0\0\x10free", "mov"),
        (_MP4 + bytes(7), "mov"),
        (box(b"moov") + _LARGE, "mov"),
        (box(b"moov") + b"\0\0\0\0mdat" + bytes(5), "mov"),
        (_MKV, "matroska"),
        (_LIVE_MKV, "matroska"),
        (_LIVE_MKV[:40], "matroska"),
        (_WAV, "wav"),
        (b"RIFF\xff\xff\xff\xffWAVE" + bytes(10), "wav"),
        (b"OggS", "ogg"),
    ],
)
def test_whole_files_pass(tmp_path: Path, content: bytes, demuxer: str) -> None:
    (tmp_path / "source").write_bytes(content)
    assert missing_bytes(tmp_path / "source", demuxer) == 0


@pytest.mark.parametrize(
    "content, demuxer, missing",
    [
        (_MP4[:-1], "mov", 1),
        (box(b"moov") + _LARGE[:-100], "mov", 100),
        (_MP4 + box(b"moof", bytes(50))[:20], "mov", 38),
        (_MKV[:-1], "matroska", 1),
        (_WAV[:-1], "avi", 1),
    ],
)
def test_cut_files_lack_bytes_and_are_accepted(tmp_path: Path, content: bytes, demuxer: str, missing: int) -> None:
    (tmp_path / "source").write_bytes(content)
    assert missing_bytes(tmp_path / "source", demuxer) == missing


@pytest.mark.parametrize("content", [_MP4[:30], box(b"ftyp", b"isom0000") + box(b"mdat", bytes(1000))])
def test_a_file_without_its_index_is_refused_as_cut_off(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "source").write_bytes(content)
    with pytest.raises(CorruptMedia, match="cut off"):
        missing_bytes(tmp_path / "source", "mov")


def test_a_file_of_endless_pieces_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "source").write_bytes(_MP4 + box(b"free") * 200)
    assert missing_bytes(tmp_path / "source", "mov") == 0
    monkeypatch.setattr(truncation, "_MAX_BOXES", 100)
    with pytest.raises(MediaTooLarge, match="fragments"):
        missing_bytes(tmp_path / "source", "mov")
