"""Tracks: covers, many of them, unknown layouts, and what a file holds beside picture and sound."""

from pathlib import Path
from typing import Any

import numpy as np

from tests.inputs.expected import Input, Make, Plays, Refused, plays_picture, plays_sound
from tests.inputs.kinds import handmade
from tests.inputs.recipes import SECONDS, copied, film, patched, sound
from tests.inputs.workshop import H264_AAC, H264_TS, Workshop

_COVER = "-f lavfi -i color=red:s=64x64:d=0.04"
_ATTACHED = "-map 0 -map 1 -c:a copy -c:v mjpeg -disposition:v attached_pic"
#: Where ffmpeg puts the sound of a transport stream.
_SOUND_PID = 0x101
_LINES = ((0.5, 1.4, "Hello."), (1.5, 2.6, "Good bye."))


def _text(name: str, content: str) -> Make:
    def make(shop: Workshop) -> Path:
        path = shop.path(name)
        path.write_text(content)
        return path

    return make


def _srt() -> str:
    return "".join(
        f"{number}\n00:00:0{start_s:.3f} --> 00:00:0{end_s:.3f}\n{text}\n\n".replace(".", ",", 2)
        for number, (start_s, end_s, text) in enumerate(_LINES, 1)
    )


_CHAPTERS = ";FFMETADATA1\n" + "".join(
    f"[CHAPTER]\nTIMEBASE=1/1000\nSTART={at}\nEND={at + 1500}\ntitle=Part {at}\n" for at in (0, 1500)
)


def _spread(channels: int, *kept: int) -> Any:
    """The bed on some of so many channels."""

    def shape(bed: Any) -> Any:
        samples = np.zeros((len(bed), channels), np.float32)
        for channel in kept:
            samples[:, channel] = bed
        return samples

    return shape


def _subtitled(name: str, codec: str) -> Input:
    suffix = name.rpartition(" ")[2]
    return Input(
        name=f"tracks/{name}",
        make=copied(
            f"film.{suffix}",
            f"-i {{0}} -i {{1}} -map 0 -map 1 -c copy -c:s {codec} -metadata:s:s:0 language=eng",
            film("film.mp4"),
            _text("lines.srt", _srt()),
        ),
        expected=Plays(seconds=3.0, named_outputs=("subtitle",)),
    )


def _channels(name: str, channels: int, *kept: int, encoded: str = "", file: str = "many.wav") -> Input:
    make = sound(file, encoded, shape=_spread(channels, *(kept or range(channels))))
    return Input(name=f"tracks/{name}", make=make, expected=plays_sound(SECONDS))


INPUTS = (
    # Report: C4illin/ConvertX#601, Chocobozzz/PeerTube#5118
    Input(
        name="tracks/cover in MP3",
        make=copied("song.mp3", f"-i {{0}} {_COVER} {_ATTACHED}", sound("plain.mp3", "-c:a libmp3lame")),
        expected=plays_sound(SECONDS),
    ),
    Input(
        name="tracks/cover in M4A",
        make=copied("song.m4a", f"-i {{0}} {_COVER} {_ATTACHED}", sound("plain.m4a", "-c:a aac")),
        expected=plays_sound(SECONDS),
    ),
    Input(
        name="tracks/cover in FLAC",
        make=copied("song.flac", f"-i {{0}} {_COVER} {_ATTACHED}", sound("plain.flac")),
        expected=plays_sound(SECONDS),
    ),
    # Report: LumePart/Explo#219, navidrome/navidrome#2213
    Input(
        name="tracks/cover as a film of one frame",
        make=copied(
            "song.mp4",
            "-i {0} -f lavfi -i testsrc2=s=320x180:r=25:d=0.04 -map 0 -map 1 -c:a copy -c:v libx264",
            sound("plain.m4a", "-c:a aac"),
        ),
        expected=Plays(seconds=SECONDS, has_card=False, fps=(), sync_s=None, thumbnails=None),
    ),
    # Report: amule-org/amule#1075
    Input(
        name="tracks/cover before the film",
        make=copied(
            "film.mp4",
            f"-i {{0}} {_COVER} -map 1 -map 0 -c copy -c:v:0 mjpeg -disposition:v:0 attached_pic",
            film("plain.mp4"),
        ),
        expected=Plays(seconds=3.0),
    ),
    # Report: mifi/lossless-cut#308
    Input(
        name="tracks/thumbnail track before the film",
        make=copied(
            "drone.mp4",
            "-i {0} -f lavfi -i color=red:s=160x90:r=25:d=3 -map 1 -map 0 -c copy -c:v:0 mjpeg -disposition:v:0 0 "
            "-disposition:v:1 default",
            film("plain.mp4"),
        ),
        expected=Plays(seconds=3.0),
    ),
    Input(
        name="tracks/eight with sound, the fifth is default",
        make=copied(
            "film.mkv",
            "-i {0} -f lavfi -i sine=3000:d=3 -map 0:v -map 1 -map 1 -map 1 -map 1 -map 0:a -map 1 -map 1 -map 1 "
            "-c:v copy -c:a aac -disposition:a 0 -disposition:a:4 default",
            film("plain.mp4"),
        ),
        expected=Plays(seconds=3.0, sync_s=0.03),
    ),
    # Report: bartekmotyl/simple-video-cutter#60
    Input(
        name="tracks/time code",
        make=film("camera.mov", f"{H264_AAC} -timecode 10:00:00:00"),
        expected=Plays(seconds=3.0),
    ),
    _subtitled("subtitles, SubRip in mkv", "srt"),
    _subtitled("subtitles, ASS in mkv", "ass"),
    _subtitled("subtitles, timed text in mp4", "mov_text"),
    Input(
        name="tracks/chapters",
        make=copied(
            "film.mp4",
            "-i {0} -f ffmetadata -i {1} -map 0 -map_metadata 1 -c copy",
            film("plain.mp4"),
            _text("chapters.txt", _CHAPTERS),
        ),
        expected=Plays(seconds=3.0, named_outputs=("chapter",)),
    ),
    Input(
        name="tracks/subtitles alone",
        make=copied("lines.mkv", "-i {0} -c:s srt", _text("lines.srt", _srt())),
        expected=Refused(code="no-usable-track", patterns=(r"video|sound",)),
    ),
    # Report: tmoroney/auto-subs#500, PyAV-Org/PyAV#148
    _channels("ten channels", 10),
    _channels("ten channels, only the last has sound", 10, 9),
    _channels("sixty channels", 60),
    _channels("three channels", 3),
    _channels("5.1, only the centre has sound", 6, 2, encoded="-c:a ac3 -b:a 384k", file="centre.mka"),
    # Report: lisamelton/other_video_transcoding#172
    _channels("7.1", 8, encoded="-c:a flac", file="surround.mka"),
    Input(
        name="tracks/mono",
        make=sound("mono.wav", "-ac 1"),
        expected=plays_sound(SECONDS),
    ),
    # Report: mifi/lossless-cut#3038
    Input(
        name="tracks/four channels, all called unused",
        make=patched(
            "tape.mov",
            lambda contents: handmade.with_unused_channels(contents[0]),
            sound("plain.mov", "-c:a pcm_s16le", shape=_spread(4, 0, 1, 2, 3)),
        ),
        expected=plays_sound(SECONDS),
    ),
    # Report: immich-app/immich#29269
    Input(
        name="tracks/two mono tracks that are left and right",
        make=copied(
            "interview.mov",
            "-i {0} -filter_complex '[0]asplit[a][b];[a]aformat=channel_layouts=FL[l];[b]pan=FR|FR=c0[r]' "
            "-map [l] -map [r] -c:a pcm_s16le",
            sound("plain.wav"),
        ),
        expected=plays_sound(SECONDS),
    ),
    # Report: Chocobozzz/PeerTube#4691
    Input(name="tracks/no sound", make=film("silent.mp4", sound_s=0.0), expected=plays_picture(3.0)),
    Input(
        name="tracks/sound track without a packet",
        make=patched(
            "recorder.ts",
            lambda contents: handmade.without_pid(contents[0], _SOUND_PID),
            film("plain.ts", H264_TS),
        ),
        expected=plays_picture(3.0),
    ),
    Input(
        name="tracks/picture in an unknown codec",
        make=patched(
            "rare.mp4",
            lambda contents: handmade.renamed_codec(contents[0], b"avc1", b"zzz1"),
            film("plain.mp4", seconds=SECONDS),
        ),
        expected=plays_sound(SECONDS),
    ),
)
