"""The step `thumbnails`: a poster that shows something, thumbnails, and a storyboard from keyframes."""

import asyncio
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from processors.contract import Work, outputs_of, params_of
from processors.damage import Complaints
from processors.errors import CorruptMedia, OutputInvalid, ProcessingError, Skipped
from processors.media.damage import Span, missing_pictures
from processors.media.frame_scoring import LOOK_BYTES, best, is_black, looks
from processors.media.packet_times import packets
from processors.media.storyboard import Storyboard, sprite_name, storyboard, storyboard_vtt
from processors.media.tracks import even
from processors.stills import (
    CHEAPEST_FIRST,
    THREADS,
    TILES_LOOK,
    TILES_TIMES,
    Shot,
    Skips,
    shots_args,
    storyboard_args,
    thumbnail_name,
    thumbnail_times,
)
from processors.tools.cpu_priority import NICE_LIGHT
from processors.tools.ffmpeg import Progress, ffmpeg_argv
from processors.tools.runner import Command, Runner, ignore
from processors.tools.sandbox import FileAccess
from schemas.base import OutputWarning
from schemas.probe import ProbeOutputs, VideoTrack
from schemas.thumbnails import ThumbnailsOutputs, ThumbnailsParams

POSTER = "poster.jpg"
STORYBOARD = "storyboard.vtt"
_NOTHING = "No picture of the video can be decoded. Export or upload it again."
#: Share of the progress that is the storyboard, which reads the whole file.
_STORYBOARD_SHARE = 0.6
#: Demuxers that find a time only roughly, and perhaps behind the last keyframe: what is sought begins so much earlier.
_ROUGH_SEEK, _ROUGH_LEAD_S = frozenset({"mpegts", "mpeg"}), 2.5
#: So much earlier where that was not enough.
_FAR_LEAD_S = 12.0
#: How much later than asked for a picture may be, at the least: a viewer takes it for the same.
_LATE_S = 0.25
#: More than a line of a report of times has.
_TIME_BYTES = 128


def _times(path: Path, most: int) -> list[float]:
    """When the pictures of a report are shown, at most so many."""
    if not path.is_file():
        return []
    content = _begin(path, most * _TIME_BYTES + _TIME_BYTES * 10).decode(errors="replace")
    return [packet.at_s for packet in packets(content.splitlines(), {})][:most]


def _begin(path: Path, size_bytes: int) -> bytes:
    """What a file begins with: a tool wrote it, who knows how much."""
    with path.open("rb") as file:
        return file.read(size_bytes)


@dataclass(frozen=True)
class Thumbnailer:
    """Makes the pictures that stand for a video, at low priority."""

    runner: Runner

    async def process(self, work: Work) -> ThumbnailsOutputs:
        """Poster, thumbnails, storyboard. Raises Skipped without a video, CorruptMedia when nothing can be decoded."""
        params, media = params_of(work, ThumbnailsParams), outputs_of(work, "probe", ProbeOutputs)
        track = media.video
        if track is None:
            raise Skipped("no-video-track")
        source = await self.runner.readable(work.source, work.scratch)
        session = _Session(self.runner, work, source, media, track, params)
        board, tiles = await session.storyboard()
        work.report(_STORYBOARD_SHARE, {})
        shots = await session.thumbnails()
        thumbnails = [shot for shot in shots if session.is_taken(shot)]
        await session.poster(thumbnails, tiles)
        work.report(1.0, {})
        sprites = range(board.sprites(len(tiles)))
        return ThumbnailsOutputs(
            poster=work.key(POSTER),
            thumbnails=tuple(work.key(shot.name) for shot in thumbnails),
            storyboard=work.key(STORYBOARD),
            sprites=tuple(work.key(sprite_name(number + 1)) for number in sprites),
            warnings=session.warnings(board, tiles, [shot for shot in shots if shot not in thumbnails]),
        )


class _Tile(NamedTuple):
    """A picture of the storyboard."""

    at_s: float
    #: Its grey copy.
    view: bytes


@dataclass(frozen=True)
class _Session:
    """One piece of work with everything that its parts need."""

    runner: Runner
    work: Work
    source: Path
    media: ProbeOutputs
    track: VideoTrack
    params: ThumbnailsParams
    complaints: Complaints = field(default_factory=Complaints)

    async def storyboard(self) -> tuple[Storyboard, list["_Tile"]]:
        """The storyboard's files, and its tiles. Raises CorruptMedia when nothing can be decoded."""
        width, height = self.track.width_px, self.track.height_px
        tile_height = even(self.params.tile_width_px * height / width)
        board = storyboard(self.media.duration_s, self.params.tile_width_px, tile_height)
        for skips in CHEAPEST_FIRST:
            tiles = await self._tiles(board, skips)
            if not board.is_sparse(len(tiles), self.track.duration_s or 0.0):
                break
        sprites = range(board.sprites(len(tiles)))
        if not tiles or not all((self.work.output / sprite_name(number + 1)).is_file() for number in sprites):
            raise self.nothing()
        cues = storyboard_vtt(board, [tile.at_s for tile in tiles])
        await asyncio.to_thread((self.work.output / STORYBOARD).write_text, cues)
        return board, tiles

    async def _tiles(self, board: Storyboard, skips: Skips) -> list["_Tile"]:
        """Write the sprites."""
        scratch = self.work.scratch
        progress = Progress(board.duration_s, lambda done: self.work.report(done * _STORYBOARD_SHARE, {}))
        args = storyboard_args(self.source, self.media, self.track, board, scratch, skips=skips)
        await self._run(args, progress.feed)
        views = looks(await asyncio.to_thread(_begin, scratch / TILES_LOOK, board.tiles * LOOK_BYTES))
        shown_s = await asyncio.to_thread(_times, scratch / TILES_TIMES, board.tiles)
        return [_Tile(at_s, view) for at_s, view in zip(shown_s, views, strict=False)]

    async def thumbnails(self) -> list[Shot]:
        """Take the thumbnails, and return all of them in the order of time, also those that could not be taken."""
        times = thumbnail_times(self.track, self.params.count)
        lead_s = math.inf if self.media.clock_jumps else _ROUGH_LEAD_S if self.media.demuxer in _ROUGH_SEEK else 0.0
        shots = [Shot(at_s, thumbnail_name(number), self.work.scratch, lead_s) for number, at_s in enumerate(times, 1)]
        await self._take(shots)
        # A rough seek may land behind the last keyframe.
        await self._take([replace(shot, lead_s=max(lead_s, _FAR_LEAD_S)) for shot in shots if not self._on_time(shot)])
        # Behind the last frame there is none that begins; the keyframe before stands for it.
        await self._take([replace(shot, lead_s=0.0, exact=False) for shot in shots if not self.is_taken(shot)])
        return shots

    async def poster(self, thumbnails: Sequence[Shot], tiles: Sequence["_Tile"]) -> None:
        """The best thumbnail; when all are black, the best tile's picture."""
        views = [_begin(shot.look, LOOK_BYTES) for shot in thumbnails]
        chosen, tile = best(views), best([tile.view for tile in tiles])
        if tile is not None and (chosen is None or (is_black(views[chosen]) and not is_black(tiles[tile].view))):
            lead_s = math.inf if self.media.clock_jumps else 0.0
            shot = Shot(tiles[tile].at_s, POSTER, self.work.scratch, lead_s, exact=False)
            await self._take([shot])
            if self.is_taken(shot):
                return
        if chosen is None:
            raise self.nothing()
        await asyncio.to_thread(shutil.copyfile, self.work.output / thumbnails[chosen].name, self.work.output / POSTER)

    def nothing(self) -> ProcessingError:
        """The error of a video without a picture: the file's fault only if its decoder complained."""
        return CorruptMedia(_NOTHING) if self.complaints.count else OutputInvalid("No picture was written.")

    def warnings(
        self, board: Storyboard, tiles: Sequence["_Tile"], missing: Sequence[Shot]
    ) -> tuple[OutputWarning, ...]:
        """Where pictures are missing because the source is damaged."""
        if not self.complaints.count:
            return ()
        end_s = self.track.start_s + (self.track.duration_s or 0.0)
        gaps = board.gaps([tile.at_s for tile in tiles], end_s)
        return missing_pictures([Span(*gap) for gap in gaps], [shot.at_s for shot in missing])

    def is_taken(self, shot: Shot) -> bool:
        """Whether its files were written."""
        paths = (self.work.output / shot.name, shot.look)
        return all(path.is_file() and path.stat().st_size for path in paths)

    def _on_time(self, shot: Shot) -> bool:
        late_s = max((at_s + shot.seek_s - shot.at_s for at_s in _times(shot.times, 1)), default=math.inf)
        return self.is_taken(shot) and late_s <= max(_LATE_S, 1 / max(self.track.fps, 0.1))

    async def _take(self, shots: Sequence[Shot]) -> None:
        if shots:
            await self._run(shots_args(self.source, self.media, self.track, shots, self.params.max_width_px))

    async def _run(self, args: list[str], on_stdout: Callable[[bytes], None] = ignore) -> None:
        reach = FileAccess(reads=(self.source,), writes=(self.work.output, self.work.scratch), cwd=self.work.output)
        timeout_s = self.runner.limits.tool_timeout_s(self.media.duration_s)
        argv = ffmpeg_argv(args, THREADS)
        command = Command(argv=argv, access=reach, timeout_s=timeout_s, nice=NICE_LIGHT)
        await self.runner.run(command, on_stdout, self.complaints.feed)
