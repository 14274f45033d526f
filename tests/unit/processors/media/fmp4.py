"""Writes small fragmented MP4 by hand, right or wrong in one place, for tests of what reads it."""

import struct
from collections.abc import Sequence
from pathlib import Path

_AVCC = bytes([1, 0x64, 0x00, 0x1F, 0xFF])
#: Elementary stream descriptor with lengths in one byte, AudioSpecificConfig of AAC-LC.
_ESDS = bytes(4) + bytes([3, 25, 0, 1, 0, 4, 17, 0x40, 0x15]) + bytes(11) + bytes([5, 2, 0x11, 0x90])
KEYFRAME, OTHER = 0x02000000, 0x01010000


def box(kind: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def init(*, audio: bool = False, timescale: int = 1000, edit_ticks: int | None = None) -> bytes:
    entry = box(b"mp4a", bytes(28), box(b"esds", _ESDS)) if audio else box(b"avc1", bytes(78), box(b"avcC", _AVCC))
    stbl = box(b"stbl", box(b"stsd", struct.pack(">II", 0, 1), entry))
    mdhd = box(b"mdhd", struct.pack(">IIIIII", 0, 0, 0, timescale, 0, 0))
    edits = b"" if edit_ticks is None else box(b"edts", box(b"elst", _edits(edit_ticks)))
    trak = box(b"trak", edits, box(b"mdia", mdhd, box(b"minf", stbl)))
    trex = box(b"trex", struct.pack(">IIIIII", 0, 1, 1, 40, 0, OTHER))
    return box(b"ftyp", b"iso5") + box(b"moov", trak, box(b"mvex", trex))


def _edits(ticks: int) -> bytes:
    empty, real = struct.pack(">Iihh", 100, -1, 1, 0), struct.pack(">Iihh", 0, ticks, 1, 0)
    return struct.pack(">II", 0, 2) + empty + real


def segment(
    start: int, samples: int, *, ticks: int = 40, flags: int = KEYFRAME, offset: int = 0, size: int = 10
) -> bytes:
    """Every sample lasts `ticks`; the first has `flags`, and is shown `offset` after it is decoded."""
    tfhd = box(b"tfhd", struct.pack(">III", 0x020020, 1, OTHER))
    tfdt = box(b"tfdt", struct.pack(">IQ", 1 << 24, start))
    rows = b"".join(struct.pack(">IIi", ticks, size, offset) for _ in range(samples))
    trun = box(b"trun", struct.pack(">IIII", 0xB05, samples, 0, flags), rows)
    return box(b"moof", box(b"traf", tfhd, tfdt, trun)) + box(b"mdat", bytes(samples * size))


def rendition(folder: Path, segments: Sequence[bytes], durations_s: Sequence[float], *, audio: bool = False) -> Path:
    """A folder as ffmpeg leaves it."""
    folder.mkdir()
    (folder / "init.mp4").write_bytes(init(audio=audio))
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:4", '#EXT-X-MAP:URI="init.mp4"']
    for number, (content, duration_s) in enumerate(zip(segments, durations_s, strict=True)):
        (folder / f"{number}.m4s").write_bytes(content)
        lines += [f"#EXTINF:{duration_s:.6f},", f"{number}.m4s"]
    (folder / "index.m3u8").write_text("\n".join([*lines, "#EXT-X-ENDLIST", ""]))
    return folder
