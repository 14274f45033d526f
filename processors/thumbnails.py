"""The step `thumbnails`: a poster that shows something, thumbnails, and a storyboard from keyframes."""

import asyncio
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import ffmpeg

from processors.contract import Work, outputs_of, params_of
from processors.errors import CorruptMedia, Skipped
from processors.media.colours import as_jpeg, decoder_options, prepared, scaled
from processors.media.frame_scoring import LOOK_BYTES, LOOK_PX, best, is_black, looks
from processors.media.storyboard import Storyboard, sprite_name, storyboard, storyboard_vtt
from processors.media.tracks import even
from processors.media.video_filters import Chain, deinterlaced, upright
from processors.tools.cpu_priority import NICE_LIGHT
from processors.tools.ffmpeg import Progress, ffmpeg_argv, file_address, input_options
from processors.tools.runner import Command, Runner, ignore
from processors.tools.sandbox import FileAccess
from schemas.probe import ProbeOutputs, VideoTrack
from schemas.thumbnails import ThumbnailsOutputs, ThumbnailsParams

POSTER = "poster.jpg"
STORYBOARD = "storyboard.vtt"
#: JPEG quantiser, 2-31, lower is better. Source: ffmpeg-codecs(1), qscale of mjpeg.
_QUALITY = 4
#: Stands back behind the transcode, which is waited for.
_THREADS = 1
#: Share of the progress that is the storyboard, which reads the whole file.
_STORYBOARD_SHARE = 0.6


@dataclass(frozen=True)
class Shot:
    """One picture to be taken."""

    at_s: float
    #: The frame at that time, or the keyframe before it: a frame that is shown long may have begun earlier.
    exact: bool
    #: JPEG, relative to the output folder.
    name: str
    #: Its grey copy.
    look: Path


def thumbnail_name(number: int) -> str:
    """File name of a thumbnail, counted from 1."""
    return f"thumb-{number:03d}.jpg"


def thumbnail_times(track: VideoTrack, count: int) -> list[float]:
    """The middles of `count` equal parts of the video."""
    return [track.start_s + (track.duration_s or 0.0) * (place + 0.5) / count for place in range(count)]


def fitted(track: VideoTrack, max_px: int) -> tuple[int, int]:
    """The picture's size with its longest side at most `max_px`, never enlarged."""
    scale = min(1.0, max_px / max(track.width_px, track.height_px))
    return even(track.width_px * scale), even(track.height_px * scale)


def shots_args(source: Path, media: ProbeOutputs, track: VideoTrack, shots: Sequence[Shot], max_px: int) -> list[str]:
    """Arguments for ffmpeg: each shot is a seek of its own, and gives the JPEG and its grey copy."""
    width, height = fitted(track, max_px)
    outputs = []
    for shot in shots:
        seek = {"ss": f"{shot.at_s:.6f}", **({} if shot.exact else {"noaccurate_seek": None})}
        picture = _upright(_opened(source, media, track, **seek)[str(track.index)], track)
        copies = _sized(picture, track, width, height).filter_multi_output("split", 2)
        outputs.append(_jpeg_file(as_jpeg(copies[0]), shot.name, {"frames:v": 1, "update": 1}))
        outputs.append(_grey(copies[1], shot.look, {"frames:v": 1}))
    compiled: list[str] = ffmpeg.merge_outputs(*outputs).get_args()
    return compiled


def storyboard_args(source: Path, media: ProbeOutputs, track: VideoTrack, board: Storyboard, look: Path) -> list[str]:
    """Arguments for ffmpeg: keyframes only, each shown until the next, in sprites; and a row of grey copies."""
    picture = _opened(source, media, track, skip_frame="nokey")[str(track.index)]
    steady = picture.filter("fps", fps=f"1/{board.interval_s:.6f}", start_time=0, eof_action="pass")
    # Exactly as many tiles as there are cues, wherever the last keyframe stands.
    counted = steady.filter("tpad", stop=-1, stop_mode="clone").filter("trim", end_frame=board.tiles)
    tile = _sized(_upright(counted, track), track, board.tile_width_px, board.tile_height_px)
    copies = tile.filter_multi_output("split", 2)
    sheets = as_jpeg(copies[0]).filter("tile", f"{board.columns}x{board.rows}")
    outputs = [_jpeg_file(sheets, "storyboard-%03d.jpg", {}), _grey(copies[1], look, {})]
    compiled: list[str] = ffmpeg.merge_outputs(*outputs).get_args()
    return compiled


def _opened(source: Path, media: ProbeOutputs, track: VideoTrack, **options: str | None) -> Chain:
    reading = {**input_options(media.demuxer), **decoder_options(track)}
    return ffmpeg.input(file_address(source), **reading, threads=_THREADS, noautorotate=None, **options)


def _upright(picture: Chain, track: VideoTrack) -> Chain:
    return upright(deinterlaced(picture, track), track)


def _sized(picture: Chain, track: VideoTrack, width_px: int, height_px: int) -> Chain:
    picture, colours = prepared(picture, track, width_px, height_px)
    return scaled(picture, width_px, height_px, colours)


def _jpeg_file(picture: Chain, name: str, options: dict[str, int]) -> Chain:
    return ffmpeg.output(picture, name, f="image2", **{"c:v": "mjpeg", "q:v": _QUALITY, "threads": _THREADS, **options})


def _grey(picture: Chain, look: Path, options: dict[str, int]) -> Chain:
    small = picture.filter("scale", LOOK_PX, LOOK_PX, flags="area").filter("format", "gray")
    return ffmpeg.output(small, file_address(look), f="rawvideo", **options)


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
        source = await self.runner.admit(work.source, work.scratch)
        session = _Session(self.runner, work, source, media, track, params)
        board, tiles = await session.storyboard()
        work.report(_STORYBOARD_SHARE, {})
        thumbnails = await session.thumbnails()
        await session.poster(thumbnails, board, tiles)
        work.report(1.0, {})
        return ThumbnailsOutputs(
            poster=work.key(POSTER),
            thumbnails=tuple(work.key(shot.name) for shot in thumbnails),
            storyboard=work.key(STORYBOARD),
            sprites=tuple(work.key(sprite_name(number + 1)) for number in range(board.sprites)),
        )


@dataclass(frozen=True)
class _Session:
    """One piece of work with everything that its parts need."""

    runner: Runner
    work: Work
    source: Path
    media: ProbeOutputs
    track: VideoTrack
    params: ThumbnailsParams

    async def storyboard(self) -> tuple[Storyboard, list[bytes]]:
        """The storyboard's files, and the grey copy of each tile."""
        width, height = self.track.width_px, self.track.height_px
        tile_height = even(self.params.tile_width_px * height / width)
        board = storyboard(self.track.start_s + (self.track.duration_s or 0.0), self.params.tile_width_px, tile_height)
        look = self.work.scratch / "tiles.gray"
        progress = Progress(board.duration_s, lambda done: self.work.report(done * _STORYBOARD_SHARE, {}))
        await self._run(storyboard_args(self.source, self.media, self.track, board, look), progress.feed)
        if not all((self.work.output / sprite_name(number + 1)).is_file() for number in range(board.sprites)):
            raise CorruptMedia("No picture of the video can be decoded. Export or upload it again.")
        await asyncio.to_thread((self.work.output / STORYBOARD).write_text, storyboard_vtt(board))
        return board, looks(await asyncio.to_thread(_begin, look, board.tiles * LOOK_BYTES))

    async def thumbnails(self) -> list[Shot]:
        """The thumbnails that could be taken, in the order of time."""
        times = thumbnail_times(self.track, self.params.count)
        shots = [self._shot(at_s, thumbnail_name(place + 1), exact=True) for place, at_s in enumerate(times)]
        await self._take(shots)
        # Behind the last frame there is none that begins; the keyframe before stands for it.
        missing = [self._shot(shot.at_s, shot.name, exact=False) for shot in shots if not self._taken(shot)]
        if missing:
            await self._take(missing)
        return [shot for shot in shots if self._taken(shot)]

    async def poster(self, thumbnails: Sequence[Shot], board: Storyboard, tiles: Sequence[bytes]) -> None:
        """The best thumbnail; when all are black, the best keyframe."""
        views = [_begin(shot.look, LOOK_BYTES) for shot in thumbnails]
        chosen, tile = best(views), best(tiles)
        if tile is not None and (chosen is None or (is_black(views[chosen]) and not is_black(tiles[tile]))):
            shot = self._shot(tile * board.interval_s, POSTER, exact=False)
            await self._take([shot])
            if self._taken(shot):
                return
        if chosen is None:
            raise CorruptMedia("No picture of the video can be decoded. Export or upload it again.")
        await asyncio.to_thread(shutil.copyfile, self.work.output / thumbnails[chosen].name, self.work.output / POSTER)

    def _shot(self, at_s: float, name: str, *, exact: bool) -> Shot:
        return Shot(at_s, exact, name, self.work.scratch / f"{name}.gray")

    def _taken(self, shot: Shot) -> bool:
        paths = (self.work.output / shot.name, shot.look)
        return all(path.is_file() and path.stat().st_size for path in paths)

    async def _take(self, shots: Sequence[Shot]) -> None:
        await self._run(shots_args(self.source, self.media, self.track, shots, self.params.max_width_px))

    async def _run(self, args: list[str], on_stdout: Callable[[bytes], None] = ignore) -> None:
        reach = FileAccess(reads=(self.source,), writes=(self.work.output, self.work.scratch), cwd=self.work.output)
        timeout_s = self.runner.limits.tool_timeout_s(self.media.duration_s)
        argv = ffmpeg_argv(args, _THREADS)
        await self.runner.run(Command(argv=argv, reach=reach, timeout_s=timeout_s, nice=NICE_LIGHT), on_stdout)
