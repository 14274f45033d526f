"""Pictures: the format of one by its first bytes, and whether it moves."""

import os
from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO

#: Major brands of pictures in the container that video has too. Source: ISO/IEC 23008-12, AV1 Image File Format.
_BRANDS = {b"avif": "AVIF", b"heic": "HEIC", b"heix": "HEIC", b"heim": "HEIC", b"heis": "HEIC", b"mif1": "HEIC"}
#: Source: ISO/IEC 10918-1, the PNG specification section 5.2, GIF89a, TIFF 6.0 section 2.
_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
)
#: Most blocks or chunks that are looked at.
_MAX_BLOCKS = 1_000_000
#: In the first chunk of a WebP. Source: WebP Container Specification, extended file format.
_WEBP_ANIMATED = 0x02


def picture_name(head: bytes) -> str | None:
    """The format of the picture that starts with `head`, e.g. "JPEG"; None for anything else."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12])
    if head[:2] == b"BM" and head[6:10] == bytes(4):  # reserved. Source: Microsoft, BITMAPFILEHEADER
        return "BMP"
    return next((name for signature, name in _SIGNATURES if head.startswith(signature)), None)


def webp_moves(head: bytes) -> bool:
    """Whether a WebP is an animation."""
    return (
        len(head) > 20 and head[12:16] == b"VP8X" and picture_name(head) == "WebP" and bool(head[20] & _WEBP_ANIMATED)
    )


def png_moves(file: BinaryIO) -> bool:
    """Whether a PNG has more than one frame: an `acTL` chunk before the data. Source: PNG specification 11.3.2."""
    file.seek(8)
    for _ in range(_MAX_BLOCKS):
        head = file.read(12)
        match head[4:8]:
            case b"acTL":
                return int.from_bytes(head[8:12], "big") > 1
            case b"IDAT" | b"":
                return False
        file.seek(int.from_bytes(head[:4], "big"), os.SEEK_CUR)  # the data, and the check sum less what was read
    return False


def gif_moves(file: BinaryIO) -> bool:
    """Whether a GIF has more than one image."""
    return len(list(islice(_gif_images(file), 2))) > 1


def _gif_images(file: BinaryIO) -> Iterator[None]:
    """Each image descriptor. Source: GIF89a, sections 18 to 24."""
    file.seek(0)
    _skip_colours(file, file.read(13), 10)
    for _ in range(_MAX_BLOCKS):
        match file.read(1):
            case b",":
                yield
                _skip_colours(file, file.read(9), 8)
                file.seek(1, os.SEEK_CUR)  # LZW code size
            case b"!":
                file.seek(1, os.SEEK_CUR)  # label
            case _:
                return
        _skip_blocks(file)


def _skip_colours(file: BinaryIO, descriptor: bytes, flags_at: int) -> None:
    flags = descriptor[flags_at] if len(descriptor) > flags_at else 0
    if flags & 0x80:
        file.seek(3 << (flags & 7) + 1, os.SEEK_CUR)


def _skip_blocks(file: BinaryIO) -> None:
    for _ in range(_MAX_BLOCKS):
        size = file.read(1)
        if not size or not size[0]:
            return
        file.seek(size[0], os.SEEK_CUR)
