"""What is no media at all, is several things at once, or stands where and is named as no file should be."""

import bz2
import gzip
import io
import lzma
import os
import random
import socket
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.hostile.cases import Case, Materials, of

_REFUSED = frozenset({"unsupported-media"})
_MISSING = frozenset({"source-missing"})
_MEGABYTE = 1024**2


def nothing(materials: Materials) -> Iterator[Case]:
    """Empty, all the same, noise, text."""
    yield Case(name="nothing/no bytes", make=bytes, codes=frozenset({"empty-media"}))
    for name, content in {
        "one byte": b"\0",
        "seven bytes": b"\0\0\0\x18fty",
        "zeros": bytes(_MEGABYTE),
        "ones": b"\xff" * _MEGABYTE,
        "sync bytes": b"\x47" * _MEGABYTE,
        "noise": random.Random(7).randbytes(_MEGABYTE),
        "text": b"To be or not to be.\n" * 5000,
        "text of two bytes a letter": "Sein oder nicht sein.\n".encode("utf-16") * 5000,
        "json": b'{"a": [' + b"[" * 100_000,
        "line without an end": b"a" * _MEGABYTE,
    }.items():
        yield Case(name=f"nothing/{name}", make=of(content))


def foreign(materials: Materials) -> Iterator[Case]:
    """Files of other programs."""
    for name, head in {
        "jpeg": b"\xff\xd8\xff\xe0\0\x10JFIF\0",
        "png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
        "gif": b"GIF89a\xff\xff\xff\xff",
        "pdf": b"%PDF-1.7\n",
        "elf": b"\x7fELF\2\1\1",
        "script": b"#!/bin/sh\ncat /etc/passwd\n",
        "flv": b"FLV\1\5\0\0\0\x09",
        "asf": b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",
        "real": b".RMF\0\0\0\x12",
        "mpeg program stream": b"\0\0\1\xba\x44",
        "heif": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
        "ivf": b"DKIF\0\0\x20\0VP80",
    }.items():
        yield Case(name=f"foreign/{name}", make=of(head + bytes(4096)), filename="film.mp4")
    for name, seed in {
        "MP4": "mp4",
        "AVI": "avi",
        "Ogg": "ogg",
        "Matroska": "mkv",
        "FLAC": "flac",
        "WAV": "wav",
    }.items():
        for filling, rest in {"zeros": bytes(8192), "noise": random.Random(name).randbytes(8192)}.items():
            content = materials.seeds[seed][:36] + rest
            yield Case(name=f"foreign/the first bytes of {name}, then {filling}", make=of(content))


def archives(materials: Materials) -> Iterator[Case]:
    """Packed files, small ones that are large inside, and such around good media."""
    film, zeros = materials.seeds["mp4"], bytes(32 * _MEGABYTE)
    makes: dict[str, Callable[[], bytes]] = {
        "gzip": lambda: gzip.compress(film),
        "gzip bomb": lambda: gzip.compress(zeros, 9),
        "gzip in gzip": lambda: gzip.compress(gzip.compress(gzip.compress(zeros, 9), 9), 9),
        "bzip2 bomb": lambda: bz2.compress(zeros),
        "xz bomb": lambda: lzma.compress(zeros),
        "zip": lambda: _zipped({"film.mp4": film}),
        "zip bomb": lambda: _zipped({f"{number}.bin": zeros for number in range(8)}),
        "zip that leads out": lambda: _zipped({"../../../etc/passwd": b"root"}),
        "tar": lambda: _tarred(film),
    }
    for name, make in makes.items():
        yield Case(name=f"archive/{name}", make=make, codes=_REFUSED)


def _zipped(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def _tarred(content: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        entry = tarfile.TarInfo("film.mp4")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def polyglots(materials: Materials) -> Iterator[Case]:
    """Good media that is something else as well: it stays good, and nothing else becomes of it."""
    seeds = materials.seeds
    page = b"<html><script>alert(1)</script></html>"
    box = (8 + len(page)).to_bytes(4, "big") + b"free" + page
    ftyp = int.from_bytes(seeds["mp4"][:4], "big")
    for name, content in {
        "page in an mp4": seeds["mp4"] + box,
        "mp4 that begins with a page": seeds["mp4"][:ftyp] + box + seeds["late.mp4"][ftyp:],
        "zip behind an mp4": seeds["mp4"] + _zipped({"a.txt": b"a"}),
        "pdf in a song": seeds["mp3"] + b"%PDF-1.7\n%%EOF",
        "php behind a wav": seeds["wav"] + b"<?php system($_GET[0]); ?>",
        "picture before an mp4": b"\x89PNG\r\n\x1a\n" + seeds["mp4"],
        "mp4 in an mkv": seeds["mkv"] + seeds["mp4"],
        "song behind an mp4": seeds["mp4"] + seeds["mp3"],
        "script before a song": b"#!/bin/sh\nid\nexit\n" + seeds["mp3"],
    }.items():
        yield Case(name=f"polyglot/{name}", make=of(content))


_NAMES = {
    "an option": "-i",
    "help": "--help",
    "two lines": "film\n#EXTM3U\nfile:///etc/passwd.mp4",
    "a carriage return": "film\r\nX-Header: 1.mp4",
    "the way up": "../../../../etc/passwd",
    "a protocol": "concat:a|b",
    "another": "http://127.0.0.1/film.mp4",
    "a pipe": "pipe:0",
    "a pattern": "film%03d.mp4",
    "format characters": "%s%n%x%p.mp4",
    "from right to left": "\u202efilm\u202c4pm.mp4",
    "no letters": "\u0000\u0001\u0002.mp4",
    "255 letters": "a" * 251 + ".mp4",
    "very long": "a" * 100_000 + ".mp4",
    "emoji": "🎬🎥.mp4",
    "a quote": "film'; rm -rf /; '.mp4",
    "half a letter": "film\udcff.mp4",
    "a space": " ",
    "a null byte's twin": "film%00.mp4",
    "commands": "$(touch /tmp/x)`id`.mp4",
}


def names(materials: Materials) -> Iterator[Case]:
    """Good and bad files under names that a command line, a header or a page could take for something else."""
    for title, name in _NAMES.items():
        yield Case(name=f"name/text named like {title}", make=of(b"just text\n" * 100), filename=name, codes=_REFUSED)
        if len(name.encode("utf-8", "replace")) <= 255 and not {"/", "\0", "\udcff"} & set(name):
            sound = of(materials.seeds["wav"])
            yield Case(name=f"name/file on disk named like {title}", make=sound, filename=name, path_name=name)


def places(materials: Materials) -> Iterator[Case]:
    """Links, devices, pipes and folders in place of a file."""
    canary = materials.bait.canary
    plants: dict[str, Callable[[Path], Path]] = {
        "a link to a file of the host": lambda at: _linked(at, canary),
        "a link to a device": lambda at: _linked(at, Path("/dev/zero")),
        "a link to nothing": lambda at: _linked(at, at.with_name("nowhere")),
        "a link to itself": lambda at: _linked(at, at),
        "a link to a folder": lambda at: _linked(at, Path("/etc")),
        "a folder": _folder,
        "a pipe": _pipe,
        "a socket": _socket,
        "a way out": lambda at: at.parent / ".." / ".." / canary.name,
        "another file of the host": lambda _: canary,
        "what is not there": lambda at: at.with_name("missing"),
        "something below a file": lambda at: at.with_name("seed") / "x",
        "our own processes": lambda _: Path("/proc/self/environ"),
    }
    for name, plant in plants.items():
        yield Case(name=f"place/{name}", plant=plant, codes=_MISSING)


def _linked(at: Path, target: Path) -> Path:
    at.symlink_to(target)
    return at


def _folder(at: Path) -> Path:
    at.mkdir()
    return at


def _pipe(at: Path) -> Path:
    os.mkfifo(at)
    return at


def _socket(at: Path) -> Path:
    folder = os.open(at.parent, os.O_DIRECTORY)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"/proc/self/fd/{folder}/{at.name}")  # the whole path would be too long for an address
    os.close(folder)
    return at


FAMILIES = (nothing, foreign, archives, polyglots, names, places)
