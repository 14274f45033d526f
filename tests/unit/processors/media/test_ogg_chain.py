"""Recordings of several Ogg streams are told from films with several tracks."""

from pathlib import Path

from processors.media.ogg_chain import is_chained


def _page(serial: int, ends_at: int, *, begins: bool = False, size: int = 200) -> bytes:
    header = b"OggS\0" + bytes([2 if begins else 0]) + ends_at.to_bytes(8, "little") + serial.to_bytes(4, "little")
    return header + bytes(8) + b"\1" + bytes([size]) + bytes(size)


def _stream(*serials: int, pages: int = 2000) -> bytes:
    begins = [_page(serial, 0, begins=True) for serial in serials]
    return b"".join(begins + [_page(serial, number * 960) for number in range(pages) for serial in serials])


def _is_chained(tmp_path: Path, content: bytes) -> bool:
    path = tmp_path / "a.ogg"
    path.write_bytes(content)
    return is_chained(path)


def test_one_stream_and_a_film_with_two_tracks_are_no_chain(tmp_path: Path) -> None:
    assert not _is_chained(tmp_path, _stream(7))
    assert not _is_chained(tmp_path, _stream(7, 8))
    assert not _is_chained(tmp_path, b"")


def test_a_stream_behind_another_is_a_chain_also_under_the_same_number(tmp_path: Path) -> None:
    assert _is_chained(tmp_path, _stream(7) + _stream(8))
    assert _is_chained(tmp_path, _stream(7) + _stream(7))
    assert _is_chained(tmp_path, _stream(7) + _stream(8, pages=2))
