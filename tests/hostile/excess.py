"""Files that ask for too much: depth, tracks, pixels, pictures a second, hours, memory."""

import struct
import zlib
from collections.abc import Iterator
from functools import cache, partial

from tests.hostile.boxes import box, find, patched, replaced, with_children
from tests.hostile.cases import Case, Materials, of
from tests.hostile.matroska import element, endless, file_of, track, vint

_TOO_LARGE = frozenset({"media-too-large"})
_MAX = 0xFFFFFFFF


def nested(materials: Materials) -> Iterator[Case]:
    """Boxes, elements, chunks and tags within each other."""
    mp4, mkv = materials.seeds["mp4"], materials.seeds["mkv"]
    ftyp = mp4[: find(mp4, b"ftyp").end]
    for kind in (b"moov", b"udta", b"meta", b"trak"):
        for depth in (100, 20_000):
            title = f"nest/{kind.decode()} {depth} deep"
            yield Case(name=title, make=of(ftyp + _tower(kind, depth)))
            hung = with_children(mp4, find(mp4, b"moov"), _tower(kind, depth))
            yield Case(name=f"{title} in a good one", make=of(hung))
    segments = mkv[:40] + endless(b"\x18\x53\x80\x67") * 20_000
    yield Case(name="nest/segments in segments", make=of(segments), filename="film.mkv")
    yield Case(name="nest/tags in tags", make=of(file_of(_simple_tags(10_000))), filename="film.mkv")
    lists = b"".join(b"LIST" + struct.pack("<I", 0x7FFFFFFF - 12 * number) + b"hdrl" for number in range(20_000))
    yield Case(name="nest/lists in lists", make=of(b"RIFF\xff\xff\xff\x7fAVI " + lists), filename="film.avi")
    tag = b"ID3\x04\0\0\0\0\0\x0a" + bytes(10)
    yield Case(name="nest/tag behind tag", make=of(tag * 20_000 + materials.seeds["mp3"]), filename="song.mp3")
    yield Case(name="nest/tag of 256 MB", make=of(b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + materials.seeds["mp3"]))


def _tower(kind: bytes, depth: int) -> bytes:
    return b"".join(struct.pack(">I4s", 8 * (depth - number), kind) for number in range(depth))


def _simple_tags(depth: int) -> bytes:
    inner = b""
    for _ in range(min(depth, 600)):
        inner = element(b"\x67\xc8", inner)
    return element(b"\x12\x54\xc3\x67", element(b"\x73\x73", inner))


def many(materials: Materials) -> Iterator[Case]:
    """Tracks, chapters, attachments, programs, fragments, tags by the thousand."""
    mp4 = materials.seeds["mp4"]
    moov, trak = find(mp4, b"moov"), find(mp4, b"trak")
    one = mp4[trak.start : trak.end]
    for number in (62, 63, 900, 3000):
        codes = frozenset[str]() if number <= 62 else _TOO_LARGE
        name = f"many/{number + 2} tracks"
        yield Case(name=name, make=of(with_children(mp4, moov, one * number)), codes=codes)
    tracks = b"".join(track(number, b"V_VP8", b"") for number in range(1, 3000))
    yield Case(name="many/3000 tracks of Matroska", make=of(file_of(element(b"\x16\x54\xae\x6b", tracks))))
    attached = b"".join(_attachment(f"font{number}.ttf".encode(), b"x" * 100) for number in range(5000))
    mkv = materials.seeds["mkv"] + element(b"\x19\x41\xa4\x69", attached)
    yield Case(name="many/5000 attachments", make=of(mkv), filename="film.mkv")
    ts = materials.seeds["ts"]
    yield Case(name="many/8000 packet ids", make=of(ts + _packets()), filename="film.ts")
    tag = box(b"udta", box(b"meta", bytes(4), box(b"ilst", *(_itunes(n) for n in range(20_000)))))
    yield Case(name="many/20,000 tags", make=of(with_children(mp4, moov, tag)))
    long_tag = box(b"udta", box(b"\xa9nam", struct.pack(">HH", 65535, 0), b"n" * 65535) * 300)
    yield Case(name="many/20 MB of tags", make=of(with_children(mp4, moov, long_tag)))
    frames = b"".join(b"TXXX" + struct.pack(">I", 40) + b"\0\0\3" + b"k%05d\0" % n + b"v" * 32 for n in range(20_000))
    size = bytes((len(frames) >> shift) & 0x7F for shift in (21, 14, 7, 0))
    yield Case(name="many/20,000 tags of a song", make=of(b"ID3\x03\0\0" + size + frames + materials.seeds["mp3"]))
    parts = materials.seeds["parts.mp4"]
    moof = find(parts, b"moof")
    mdat = find(parts, b"mdat")
    more = parts[moof.start : moof.end] + parts[mdat.start : mdat.end]
    yield Case(name="many/3000 fragments of the same moment", make=of(parts + more[: moof.end - moof.start] * 3000))


def _itunes(number: int) -> bytes:
    return box(b"%04d" % (number % 10_000), box(b"data", struct.pack(">II", 1, 0), b"value"))


def _attachment(name: bytes, content: bytes) -> bytes:
    parts = element(b"\x46\x6e", name) + element(b"\x46\x60", b"font/ttf") + element(b"\x46\x5c", content)
    return element(b"\x61\xa7", parts + element(b"\x46\xae", b"\1"))


def _packets() -> bytes:
    return b"".join(
        struct.pack(">BHB", 0x47, 0x4000 | pid, 0x10) + b"\0\0\1\xe0" + bytes(180) for pid in range(32, 8191)
    )


def huge(materials: Materials) -> Iterator[Case]:
    """Pictures that are declared, or really are, larger than anybody has memory for; and such without a size."""
    mp4 = materials.seeds["mp4"]
    entry, head = find(mp4, b"avc1"), find(mp4, b"tkhd")
    for width, height in ((0, 0), (1, 1), (65535, 65535), (65535, 1), (1, 65535)):
        sized = patched(mp4, entry.body + 24, ">HH", width, height)
        yield Case(name=f"huge/declared {width}x{height}", make=of(sized))
        shown = patched(mp4, head.body + 76, ">II", width << 16, height << 16)
        yield Case(name=f"huge/shown as {width}x{height}", make=of(shown))
    avi = materials.seeds["avi"]
    header = avi.index(b"strf") + 8
    for width, height in ((0x7FFFFFFF, 0x7FFFFFFF), (-1, -1), (30_000, 30_000)):
        changed = patched(avi, header + 4, "<ii", width, height)
        yield Case(name=f"huge/avi {width}x{height}", make=of(changed), filename="film.avi")
    for width, height in ((1 << 31, 1 << 31), (40_000, 40_000), (0, 0)):
        sized = element(b"\xe0", element(b"\xb0", _number(width)) + element(b"\xba", _number(height)))
        film = file_of(
            element(b"\x16\x54\xae\x6b", track(1, b"V_VP8", sized)) + _cluster(b"\x10\0\0\x9d\x01\x2a\xff\x3f\xff\x3f")
        )
        yield Case(name=f"huge/matroska {width}x{height}", make=of(film), filename="film.mkv")
    for side in (4000, 16_000, 30_000):
        yield Case(name=f"huge/a png of {side}x{side} that is next to nothing", make=partial(_png_film, side))


def _png_film(side: int) -> bytes:
    """Matroska with one frame: a picture that is nothing but zeros."""
    row = bytes(1 + side // 8)
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", packed), (b"IEND", b""))
    picture = b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in chunks)
    sized = element(b"\xe0", element(b"\xb0", _number(side)) + element(b"\xba", _number(side)))
    described = element(b"\x63\xa2", struct.pack("<IiiHH4sIiiII", 40, side, side, 1, 24, b"MPNG", 0, 0, 0, 0, 0))
    tracks = element(b"\x16\x54\xae\x6b", track(1, b"V_MS/VFW/FOURCC", sized + described))
    return file_of(tracks + _cluster(picture) + _cluster(picture, at_ms=400))


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _number(value: int) -> bytes:
    return value.to_bytes(8, "big")


def _cluster(frame: bytes, at_ms: int = 0) -> bytes:
    block = element(b"\xa3", vint(1) + struct.pack(">hB", 0, 0x80) + frame)
    return element(b"\x1f\x43\xb6\x75", element(b"\xe7", _number(at_ms)) + block)


def absurd(materials: Materials) -> Iterator[Case]:
    """Rates and durations that no film has."""
    mp4 = materials.seeds["mp4"]
    movie, media, times, edit = (find(mp4, kind) for kind in (b"mvhd", b"mdhd", b"stts", b"elst"))
    for scale, length in ((0, 12), (1, _MAX), (1, 12), (_MAX, 12), (12, _MAX), (1, 86_400)):
        name = f"absurd/{scale} ticks a second, {length} ticks"
        yield Case(name=f"{name} of the movie", make=of(patched(mp4, movie.body + 12, ">II", scale, length)))
        yield Case(name=f"{name} of the track", make=of(patched(mp4, media.body + 12, ">II", scale, length)))
    for step in (0, 1, 0x7FFFFFFF, _MAX):
        table = struct.pack(">II", 12, step)
        one = replaced(mp4, times, box(b"stts", bytes(4), struct.pack(">I", 1), table))
        yield Case(name=f"absurd/each picture stands {step} ticks", make=of(one))
        last = box(b"stts", bytes(4), struct.pack(">IIIII", 2, 11, 1024, 1, step))
        yield Case(name=f"absurd/the last picture stands {step} ticks", make=of(replaced(mp4, times, last)))
    for entries in (
        [(1 << 30, -1), (1000, 0)],
        [(_MAX, 0)],
        [(1000, 1 << 30)],
        [(1000, -5)],
        [(0, 0)] * 5000,
        [(1, 0)] * 5000,
    ):
        body = b"".join(struct.pack(">IiHH", length, start, 1, 0) for length, start in entries)
        lists = box(b"elst", bytes(4), struct.pack(">I", len(entries)), body)
        title = f"absurd/{len(entries)} edits, the first {entries[0]}"
        yield Case(name=title, make=of(replaced(mp4, edit, lists)))
    yield from _absurd_sound(materials)
    yield from _absurd_matroska(materials)


def _absurd_sound(materials: Materials) -> Iterator[Case]:
    wav, flac, ogg = (materials.seeds[name] for name in ("wav", "flac", "ogg"))
    at = wav.index(b"fmt ") + 8
    for channels, rate, align, bits in (
        (0, 24_000, 0, 16),
        (65535, 24_000, 65535, 16),
        (1, 0, 2, 16),
        (1, _MAX, 2, 16),
        (1, 1, 2, 16),
        (255, 1, 2, 64),
    ):
        form = struct.pack("<HIIHH", channels, rate, rate, align, bits)
        changed = wav[: at + 2] + form + wav[at + 2 + len(form) :]
        yield Case(name=f"absurd/wav {channels} channels at {rate} Hz", make=of(changed), filename="sound.wav")
    for size in (0, 1, _MAX, 0x7FFFFFFF):
        place = wav.index(b"data") + 4
        yield Case(name=f"absurd/wav of {size} bytes", make=of(patched(wav, place, "<I", size)), filename="sound.wav")
    for rate, samples in ((0, 24_000), (0xFFFFF, 24_000), (24_000, (1 << 36) - 1), (1, (1 << 36) - 1), (24_000, 0)):
        (packed,) = struct.unpack_from(">Q", flac, 18)
        packed = (rate << 44) | (packed & (0xFF << 36)) | samples
        title = f"absurd/flac {samples} samples at {rate} Hz"
        yield Case(name=title, make=of(patched(flac, 18, ">Q", packed)), filename="sound.flac")
    last = ogg.rindex(b"OggS")
    for granule in (-1, 0, (1 << 63) - 1, 1 << 40, -(1 << 63)):
        changed = patched(ogg, last + 6, "<q", granule)
        yield Case(name=f"absurd/ogg ends at {granule}", make=of(changed), filename="sound.ogg")


def _absurd_matroska(materials: Materials) -> Iterator[Case]:
    mkv = materials.seeds["mkv"]
    scale = mkv.index(b"\x2a\xd7\xb1") + 4
    for value in (0, 1, 0xFFFFFF):
        changed = mkv[:scale] + value.to_bytes(3, "big") + mkv[scale + 3 :]
        yield Case(name=f"absurd/matroska {value} ns a tick", make=of(changed), filename="film.mkv")
    length = mkv.index(b"\x44\x89\x88") + 3
    for seconds in (float("nan"), float("inf"), -1.0, 1e300, 0.0):
        changed = mkv[:length] + struct.pack(">d", seconds) + mkv[length + 8 :]
        yield Case(name=f"absurd/matroska lasts {seconds}", make=of(changed), filename="film.mkv")
    tag = mkv.index(b"DURATION") + 8
    value = mkv.index(b"00:00:0", tag)
    for text in (
        b"9999999:00:00.0000",
        b"1:1:1:1:1:1:1:1:1:",
        b"-1:00:00.000000000",
        b"nan:nan:nan.000000",
        b"1e300:1e300:1e300.",
    ):
        changed = mkv[:value] + text[:18].ljust(18, b"0") + mkv[value + 18 :]
        yield Case(name=f"absurd/matroska tagged {text.decode()}", make=of(changed), filename="film.mkv")


def bombs(materials: Materials) -> Iterator[Case]:
    """Little that unpacks to much."""
    mp4 = materials.seeds["mp4"]
    ftyp = mp4[: find(mp4, b"ftyp").end]
    for declared in (1000, 64 * 1024**2, 0x7FFFFFFF, _MAX):
        title = f"bomb/table of contents packed, {declared} bytes declared"
        yield Case(name=title, make=partial(_packed_contents, ftyp, declared), filename="film.mov")
    for codec in (b"V_VP8", b"V_UNCOMPRESSED"):
        name = f"bomb/packed frames of {codec.decode()}"
        yield Case(name=name, make=partial(_packed_frames, codec), filename="film.mkv")


def _packed_contents(ftyp: bytes, declared: int) -> bytes:
    packed = box(b"cmov", box(b"dcom", b"zlib"), box(b"cmvd", struct.pack(">I", declared), _packed_zeros()))
    return ftyp + box(b"moov", packed) + box(b"mdat", bytes(64))


def _packed_frames(codec: bytes) -> bytes:
    coded = element(b"\x6d\x80", element(b"\x62\x40", element(b"\x50\x34", element(b"\x42\x54", b"\0"))))
    sized = element(b"\xe0", element(b"\xb0", _number(64)) + element(b"\xba", _number(64)))
    tracks = element(b"\x16\x54\xae\x6b", track(1, codec, sized + coded))
    return file_of(tracks + b"".join(_cluster(_packed_zeros(), at_ms=40 * number) for number in range(20)))


@cache
def _packed_zeros() -> bytes:
    return zlib.compress(bytes(64 * 1024**2), 9)


FAMILIES = (nested, many, huge, absurd, bombs)
