"""Files that point elsewhere: playlists, scripts, links, covers and subtitles that name another file or an address."""

import struct
from base64 import b64encode
from collections.abc import Iterator

from tests.hostile.boxes import box, find, replaced
from tests.hostile.cases import Case, Materials, of
from tests.hostile.matroska import element

_REFUSED = frozenset({"unsupported-media"})


def _addresses(materials: Materials) -> dict[str, str]:
    canary, url = materials.bait.canary, materials.bait.url
    return {
        "file": f"file://{canary}",
        "path": str(canary),
        "http": url,
        "concat": f"concat:{canary}|{canary}",
        "subfile": f"subfile,,start,0,end,64,,:{canary}",
        "data": "data:video/mp4;base64,AAAA",
        "crypto": f"crypto:{canary}",
        "pipe": "pipe:0",
    }


def playlists(materials: Materials) -> Iterator[Case]:
    """Text that other programs follow, bare and behind what looks like media."""
    for title, address in _addresses(materials).items():
        for form, text in _texts(address).items():
            yield Case(name=f"list/{form} to {title}", make=of(text.encode()), codes=_REFUSED)
        hls = _texts(address)["HLS"].encode()
        for name, head in _heads(materials).items():
            yield Case(name=f"list/HLS to {title} behind {name}", make=of(head + hls + bytes(256) + hls * 40))


def _texts(address: str) -> dict[str, str]:
    item = "#EXTINF:10,"
    return {
        "HLS": f"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-TARGETDURATION:10\n{item}\n{address}\n#EXT-X-ENDLIST\n",
        "HLS with a key": f'#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="{address}"\n{item}\n{address}\n#EXT-X-ENDLIST\n',
        "HLS with a byte order mark": f"\ufeff#EXTM3U\n{item}\n{address}\n",
        "DASH": f'<?xml version="1.0"?><MPD><Period><AdaptationSet><Representation><BaseURL>{address}</BaseURL>'
        "</Representation></AdaptationSet></Period></MPD>",
        "ffconcat": f"ffconcat version 1.0\nfile '{address}'\n",
        "ffmetadata": f";FFMETADATA1\ntitle={address}\n",
        "sdp": f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns={address}\nc=IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n",
        "asx": f'<asx version="3.0"><entry><ref href="{address}"/></entry></asx>',
        "smil": f'<smil><body><video src="{address}"/></body></smil>',
        "svg": f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{address}"/></svg>',
        "xml entity": f'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "{address}">]><a>&b;</a>',
        "avisynth": f'DirectShowSource("{address}")\n',
        "filter graph": f"movie={address}[out0]",
        "webvtt": f"WEBVTT\n\n00:00.000 --> 00:01.000\n<img src={address}>\n",
        "html": f"<html><video src='{address}'></video></html>",
        "rtsp redirect": f"RTSPtext\r\n{address}\r\n",
    }


def _heads(materials: Materials) -> dict[str, bytes]:
    seeds = materials.seeds
    return {
        "ftyp": seeds["mp4"][: find(seeds["mp4"], b"ftyp").end],
        "a tag": b"ID3\x04\0\0\0\0\0\x0a" + bytes(10),
        "RIFF": b"RIFF\0\0\0\0AVI ",
        "EBML": b"\x1a\x45\xdf\xa3\x84webm",
        "OggS": b"OggS",
        "fLaC": b"fLaC",
        "sync bytes": (b"\x47" + bytes(187)) * 6,
        "a song": seeds["mp3"],
    }


def links(materials: Materials) -> Iterator[Case]:
    """MP4 whose samples lie in another file. Source: QuickTime File Format, data references."""
    mp4 = materials.seeds["mp4"]
    reference = find(mp4, b"dref")
    path = str(materials.bait.canary).encode()
    for title, entry in {
        "url": box(b"url ", bytes(4), b"file://" + path + b"\0"),
        "http": box(b"url ", bytes(4), materials.bait.url.encode() + b"\0"),
        "urn": box(b"urn ", bytes(4), b"canary\0file://" + path + b"\0"),
        "alis": box(b"alis", bytes(4), _alias(path)),
        "nothing": box(b"url ", bytes(4)),
        "rsrc": box(b"rsrc", bytes(4), _alias(path)),
    }.items():
        table = box(b"dref", bytes(4), struct.pack(">I", 1), entry)
        yield Case(name=f"link/{title}", make=of(replaced(mp4, reference, table)), filename="film.mov")
    for kind in (b"rmra", b"rdrf", b"rmda"):
        inner = box(b"rdrf", bytes(4), b"url ", struct.pack(">I", len(path) + 8), b"file://" + path + b"\0")
        movie = mp4[: find(mp4, b"ftyp").end] + box(b"moov", box(kind, box(b"rmda", inner)))
        yield Case(name=f"link/movie that is elsewhere ({kind.decode()})", make=of(movie), filename="film.mov")


def _alias(path: bytes) -> bytes:
    """A Macintosh alias record with the path in both of its forms. Source: libavformat/mov.c reads the same."""
    head = bytes(10) + bytes([4]) + b"disk".ljust(27, b"\0") + bytes(12) + bytes([6]) + b"canary".ljust(63, b"\0")
    volume = bytes(16) + struct.pack(">HH", 1, 10) + bytes(12)
    named = b"".join(
        struct.pack(">HH", kind, len(text)) + text + b"\0" * (len(text) % 2) for kind, text in ((2, path), (18, path))
    )
    return head + volume + named + struct.pack(">HH", 0xFFFF, 0)


def carried(materials: Materials) -> Iterator[Case]:
    """Covers, subtitles and attachments inside of good files."""
    for title, address in _addresses(materials).items():
        texts = _texts(address)
        for form in ("svg", "xml entity", "HLS", "ffconcat"):
            mkv = materials.seeds["mkv"] + element(b"\x19\x41\xa4\x69", _attached(form, texts[form].encode()))
            yield Case(name=f"carry/{form} to {title} attached", make=of(mkv), filename="film.mkv")
        yield Case(name=f"carry/cover of a song at {title}", make=of(_song(materials, address)), filename="song.mp3")
        yield Case(name=f"carry/cover of a flac at {title}", make=of(_flac(materials, address)), filename="song.flac")
        avi = _avi_with_subtitles(materials.seeds["avi"], texts["HLS"].encode())
        yield Case(name=f"carry/HLS to {title} as subtitles of an avi", make=of(avi), filename="film.avi")


def _attached(form: str, content: bytes) -> bytes:
    kinds = {"svg": b"image/svg+xml", "xml entity": b"image/svg+xml", "HLS": b"application/vnd.apple.mpegurl"}
    kind = element(b"\x46\x60", kinds.get(form, b"text/plain"))
    parts = element(b"\x46\x6e", b"cover.svg") + kind + element(b"\x46\x5c", content) + element(b"\x46\xae", b"\1")
    return element(b"\x61\xa7", parts)


def _song(materials: Materials, address: str) -> bytes:
    linked = b"\0-->\0\3\0" + address.encode()
    drawn = b"\0image/svg+xml\0\3\0" + _texts(address)["svg"].encode()
    frames = b"".join(b"APIC" + struct.pack(">I", len(body)) + b"\0\0" + body for body in (linked, drawn))
    size = bytes((len(frames) >> shift) & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\0\0" + size + frames + materials.seeds["mp3"]


def _flac(materials: Materials, address: str) -> bytes:
    flac, url = materials.seeds["flac"], address.encode()
    picture = struct.pack(">II", 3, 3) + b"-->" + struct.pack(">I", 0) + bytes(16) + struct.pack(">I", len(url)) + url
    block = bytes([6]) + len(picture).to_bytes(3, "big") + picture
    return flac[:42] + block + flac[42:]  # behind the first block, which is not the last one


def _avi_with_subtitles(avi: bytes, playlist: bytes) -> bytes:
    """A third stream of type `txts` whose chunk is text. Source: AVI's GAB2 subtitles, CVE-2017-9993."""
    head = b"txts" + bytes(44) + struct.pack("<II", 0, 0)
    stream = b"strh" + struct.pack("<I", 56) + head.ljust(56, b"\0") + b"strf" + struct.pack("<I", 0)
    listed = b"LIST" + struct.pack("<I", len(stream) + 4) + b"strl" + stream
    text = b"GAB2\0" + struct.pack("<HIHI", 2, 0, 4, len(playlist)) + playlist
    chunk = b"02tx" + struct.pack("<I", len(text)) + text + b"\0" * (len(text) % 2)
    at = avi.index(b"LIST", avi.index(b"hdrl"))
    movie = avi.index(b"movi") + 4
    (size,) = struct.unpack_from("<I", avi, 16)
    grown = bytearray(avi[:at] + listed + avi[at:movie] + chunk + avi[movie:])
    struct.pack_into("<I", grown, 16, size + len(listed))
    return bytes(grown)


def commented(materials: Materials) -> Iterator[Case]:
    """Tags of songs that carry a cover as text."""
    ogg = materials.seeds["ogg"]
    for title, address in _addresses(materials).items():
        picture = struct.pack(">II", 3, 3) + b"-->" + bytes(20) + struct.pack(">I", len(address)) + address.encode()
        comment = b"METADATA_BLOCK_PICTURE=" + b64encode(picture)
        at = ogg.index(b"OpusTags") + 8
        changed = ogg[:at] + struct.pack("<I", 0) + struct.pack("<II", 1, len(comment)) + comment + ogg[at:]
        yield Case(name=f"carry/cover of an ogg at {title}", make=of(changed), filename="song.ogg")


FAMILIES = (playlists, links, carried, commented)
