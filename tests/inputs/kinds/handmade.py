"""Bytes that ffmpeg does not write."""

import io
import random
import struct
import zipfile

from tests.hostile.boxes import box, boxes, find, replaced

#: As documents begin, with binary bytes behind. Source: ISO 32000-1, 7.5.2.
PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<< /Type /Catalog >>\nendobj\n" + bytes(range(256)) * 8
#: Frames of 20 ms at 12.2 kbit/s: type 7, good quality. Source: RFC 4867, 5.3; 3GPP TS 26.101.
_AMR_FRAME_S, _AMR_HEADER, _AMR_BYTES = 0.02, 0x3C, 31
_TS_BYTES = 188


def amr(seconds: float) -> bytes:
    """A voice memo with noise in it."""
    chance = random.Random(1)
    frames = (bytes([_AMR_HEADER]) + chance.randbytes(_AMR_BYTES) for _ in range(round(seconds / _AMR_FRAME_S)))
    return b"#!AMR\n" + b"".join(frames)


def heif(brand: bytes) -> bytes:
    """A phone's photo, as far as it is looked at: its brand, its handler, its first item. Source: ISO/IEC 23008-12."""
    handler = box(b"hdlr", bytes(8), b"pict", bytes(13))
    first_item = box(b"pitm", bytes(4), struct.pack(">H", 1))
    return b"".join(
        (
            box(b"ftyp", brand, bytes(4), b"mif1", brand, b"miaf"),
            box(b"meta", bytes(4), handler, first_item),
            box(b"mdat", random.Random(1).randbytes(20_000)),
        )
    )


def archive() -> bytes:
    """A ZIP file."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("holiday.mp4", random.Random(1).randbytes(10_000))
    return content.getvalue()


def never_finished(content: bytes) -> bytes:
    """What a recorder leaves that lost its power: the media without a length, and no index behind it."""
    media = find(content, b"mdat")
    head = content[: media.start] + bytes(4) + b"mdat"  # length 0: up to the end. Source: ISO/IEC 14496-12, 4.2
    return head + content[media.body : media.body + (media.end - media.body) * 2 // 3]


def without_pid(content: bytes, pid: int) -> bytes:
    """A transport stream whose tables announce a track that no packet belongs to. Source: ISO/IEC 13818-1, 2.4.3.2."""
    packets = (content[at : at + _TS_BYTES] for at in range(0, len(content), _TS_BYTES))
    return b"".join(packet for packet in packets if int.from_bytes(packet[1:3], "big") & 0x1FFF != pid)


def renamed_codec(content: bytes, known: bytes, unknown: bytes) -> bytes:
    """An MP4 file with another four-letter code in a sample entry."""
    at = content.index(known, find(content, b"stsd").start)
    return content[:at] + unknown + content[at + 4 :]


def with_unused_channels(content: bytes) -> bytes:
    """A QuickTime file whose channel layout calls every channel unused, as some captures of tapes do.

    Source: Apple, Core Audio, AudioChannelLayout: kAudioChannelLayoutTag_UseChannelDescriptions, label 0xFFFFFFFF.
    """
    at = content.index(b"chan", find(content, b"stsd").start) - 4
    size = int.from_bytes(content[at : at + 4], "big")
    old = next(one for one in boxes(content) if one.kind == b"stsd" and one.start < at < one.end)
    descriptions = b"".join(struct.pack(">II12x", 0xFFFFFFFF, 0) for _ in range(4))
    layout = box(b"chan", bytes(4), struct.pack(">III", 0, 0, 4), descriptions)
    entry_at = old.body + 8  # behind version, flags and count
    entry = content[entry_at:at] + layout + content[at + size : old.end]
    sized = struct.pack(">I", len(entry)) + entry[4:]
    return replaced(content, old, box(b"stsd", content[old.body : entry_at], sized))


def endless_wav(content: bytes) -> bytes:
    """A WAV file as it is written to a pipe: lengths of all ones. Source: Microsoft, RIFF; ffmpeg, wavenc.c."""
    at = content.index(b"data", 12)
    unknown = b"\xff" * 4
    return content[:4] + unknown + content[8 : at + 4] + unknown + content[at + 8 :]
