"""Good files that something has happened to: cut, flipped, with lengths and counts that are lies."""

import random
import struct
from collections.abc import Callable, Iterator

from tests.hostile.boxes import Box, boxes
from tests.hostile.cases import Case, Materials, of
from tests.hostile.seeds import SEEDS

#: Top-level length, then what 64 bits hold; None: only 32 bits.
_LENGTHS: dict[str, tuple[int, int | None]] = {
    "0": (0, None),
    "1": (1, None),
    "7": (7, None),
    "2^31": (1 << 31, None),
    "2^32-1": (0xFFFFFFFF, None),
    "2^63": (1, 1 << 63),
    "2^64-1": (1, (1 << 64) - 1),
}
#: Boxes with a count of entries behind their version and flags, and what an entry of theirs is made of.
_COUNTED = (b"stts", b"stsc", b"stsz", b"stco", b"stss", b"ctts", b"elst", b"stsd", b"dref", b"trun")
_FLIPS = (1, 8, 64, 512)


def whole(materials: Materials) -> Iterator[Case]:
    """Good ones: what shows that the others fail for a reason."""
    for name in SEEDS:
        yield Case(name=f"whole/{name}", make=of(materials.seeds[name]), filename=f"film.{name}")
    yield Case(name="whole/mp4 with more behind it", make=of(materials.seeds["mp4"] + b"\0\0\0\x10free" + bytes(8)))


def cut_at_boxes(materials: Materials) -> Iterator[Case]:
    """An upload that ended at, right behind and in the middle of each box."""
    for name in ("mp4", "late.mp4", "parts.mp4", "mov"):
        content = materials.seeds[name]
        for number, box in enumerate(boxes(content)):
            middle = (box.start + box.end) // 2
            for place, at in (("before", box.start), ("in the head of", box.start + 6), ("in", middle)):
                title = f"cut/{name} {place} {number}-{box.kind.decode()}"
                yield Case(name=title, make=of(content[:at]), filename=f"film.{name}")


def cut_anywhere(materials: Materials) -> Iterator[Case]:
    """The same of containers without boxes."""
    for name in SEEDS:
        content = materials.seeds[name]
        for percent in (1, 5, 20, 50, 80, 99):
            part = content[: max(1, len(content) * percent // 100)]
            yield Case(name=f"cut/{name} at {percent} %", make=of(part), filename=f"film.{name}")


def wrong_lengths(materials: Materials) -> Iterator[Case]:
    """Each box with each length that breaks readers."""
    for name in ("mp4", "parts.mp4"):
        content = materials.seeds[name]
        for number, box in enumerate(boxes(content)):
            for title, (length, wide) in _LENGTHS.items():
                yield Case(
                    name=f"length/{name} {number}-{box.kind.decode()} {title}",
                    make=_with_length(content, box, length, wide),
                )


def _with_length(content: bytes, box: Box, length: int, wide: int | None) -> Callable[[], bytes]:
    def make() -> bytes:
        changed = bytearray(content)
        struct.pack_into(">I", changed, box.start, length)
        if wide is not None:
            changed[box.body : box.body] = struct.pack(">Q", wide)
        return bytes(changed)

    return make


def wrong_counts(materials: Materials) -> Iterator[Case]:
    """Tables that say that they have more entries than there are bytes, or none."""
    for name in ("mp4", "parts.mp4"):
        content = materials.seeds[name]
        for number, box in enumerate(boxes(content)):
            at = box.body + (8 if box.kind == b"stsz" else 4)
            for count in (0, 1, 0x7FFFFFFF, 0xFFFFFFFF) if box.kind in _COUNTED else ():
                changed = bytearray(content)
                struct.pack_into(">I", changed, at, count)
                yield Case(name=f"count/{name} {number}-{box.kind.decode()} {count:#x}", make=of(bytes(changed)))


def flipped(materials: Materials) -> Iterator[Case]:
    """Bits that changed on the way, in the first kilobytes or anywhere; as many variants as are drawn."""
    for variant in range(12):
        for name in SEEDS:
            for flips in _FLIPS:
                for share in (0.1, 1.0):
                    title = f"flip/{name} {flips} in {share:.0%} #{variant}"
                    yield Case(name=title, make=_flips(materials, name, flips, share, title), filename=f"film.{name}")


def _flips(materials: Materials, name: str, flips: int, share: float, title: str) -> Callable[[], bytes]:
    def make() -> bytes:
        content, chance = bytearray(materials.seeds[name]), random.Random(title)
        for _ in range(flips):
            content[chance.randrange(max(16, int(len(content) * share)))] ^= 1 << chance.randrange(8)
        return bytes(content)

    return make


def shuffled(materials: Materials) -> Iterator[Case]:
    """Pieces of one file in another order, doubled, or of two files."""
    names = list(SEEDS)
    for variant in range(4):
        for name in names:
            title = f"shuffle/{name} #{variant}"
            yield Case(name=title, make=_shuffles(materials, name, title), filename=f"film.{name}")
    for one, other in zip(names, names[1:] + names[:1], strict=True):
        content = materials.seeds[one][:600] + materials.seeds[other]
        yield Case(name=f"shuffle/{one} that goes on as {other}", make=of(content), filename=f"film.{one}")


def _shuffles(materials: Materials, name: str, title: str) -> Callable[[], bytes]:
    def make() -> bytes:
        content, chance = materials.seeds[name], random.Random(title)
        step = max(1, len(content) // 16)
        pieces = [content[at : at + step] for at in range(0, len(content), step)]
        mixed = [pieces[0], *chance.choices(pieces[1:] or pieces, k=len(pieces))]
        return b"".join(mixed)

    return make


FAMILIES = (whole, cut_at_boxes, cut_anywhere, wrong_lengths, wrong_counts, flipped, shuffled)
