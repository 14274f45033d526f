"""Damages files: bytes that were overwritten, lost or never written, at a stretch of time of one track or of all."""

import random
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from tests.inputs.expected import Make
from tests.inputs.recipes import patched
from tests.inputs.workshop import Workshop

_SEED = 20_261_126

#: Replaces bytes that were there.
Overwrite = Callable[[bytes], bytes]


class Packet(NamedTuple):
    """Where a packet lies in its file."""

    at_s: float
    start: int
    size: int


def noise(content: bytes) -> bytes:
    """Bytes of something else."""
    return random.Random(_SEED).randbytes(len(content))


def zeros(content: bytes) -> bytes:
    """A block that was never written, or could not be read."""
    return bytes(len(content))


def flips(content: bytes) -> bytes:
    """One wrong bit in about 200 bytes: bad reception, a disk that fades."""
    chance, changed = random.Random(_SEED), bytearray(content)
    for _ in range(max(1, len(changed) // 200)):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def lost(_: bytes) -> bytes:
    """Nothing: the rest moves up."""
    return b""


def shares(name: str, overwrite: Overwrite, from_share: float, to_share: float, source: Make) -> Make:
    """All bytes between two shares of a file."""

    def change(contents: list[bytes]) -> bytes:
        (content,) = contents
        start, end = round(len(content) * from_share), round(len(content) * to_share)
        return content[:start] + overwrite(content[start:end]) + content[end:]

    return patched(name, change, source)


def stretch(name: str, overwrite: Overwrite, from_s: float, to_s: float, source: Make) -> Make:
    """All bytes of a stretch of time: from the first packet in it to the first behind it."""

    def make(shop: Workshop) -> Path:
        made = source(shop)
        starts = sorted(packet.start for packet in _packets(made) if from_s <= packet.at_s < to_s)
        content, path = made.read_bytes(), shop.path(name)
        path.write_bytes(content[: starts[0]] + overwrite(content[starts[0] : starts[-1]]) + content[starts[-1] :])
        return path

    return make


def of_track(track: str, overwrite: Overwrite, from_s: float, to_s: float, source: Make) -> Make:
    """The packets of one track ("v", "a") of an MP4 file in a stretch of time; their number and sizes stay."""

    def make(shop: Workshop) -> Path:
        made = source(shop)
        content, path = bytearray(made.read_bytes()), shop.path(made.name)
        for packet in _packets(made, "-select_streams", track):
            if from_s <= packet.at_s < to_s:
                end = packet.start + packet.size
                content[packet.start : end] = overwrite(bytes(content[packet.start : end]))
        path.write_bytes(content)
        return path

    return make


def _packets(path: Path, *selection: str) -> Iterator[Packet]:
    show = ("-show_entries", "packet=pts_time,pos,size", "-of", "csv=p=0")
    argv = ["ffprobe", "-v", "error", *selection, *show, str(path)]
    written = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout
    for line in written.splitlines():
        fields = line.rstrip(",").split(",")
        if "N/A" not in fields and len(fields) >= 3:
            yield Packet(float(fields[0]), int(fields[2]), int(fields[1]))
