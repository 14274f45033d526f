"""Small good files of every container that is taken: what hostile ones are made from."""

import subprocess
from pathlib import Path

from tests.inputs.kinds import handmade

_PICTURE = "-f lavfi -i testsrc2=size=128x96:rate=12:duration=1"
_SOUND = "-f lavfi -i sine=frequency=440:sample_rate=24000:duration=1"
_TELEVISION = "-f lavfi -i testsrc2=size=320x192:rate=25:duration=1"
_H264 = "-c:v libx264 -preset ultrafast -g 6 -threads 1"
_AAC = "-c:a aac -b:a 32k"

#: Arguments for ffmpeg by name; {name} is another one of them.
RECIPES = {
    "mp4": f"{_PICTURE} {_SOUND} {_H264} {_AAC} -movflags +faststart",
    "late.mp4": "-i {mp4} -c copy",
    "parts.mp4": "-i {mp4} -c copy -movflags +frag_keyframe+empty_moov+default_base_moof",
    "mov": f"{_PICTURE} {_SOUND} -c:v mjpeg -q:v 8 -c:a pcm_s16le",
    "mkv": "-i {mp4} -c copy",
    "webm": f"{_PICTURE} {_SOUND} -c:v libvpx -deadline realtime -cpu-used 8 -c:a libopus -b:a 24k",
    "avi": f"{_PICTURE} {_SOUND} -c:v mpeg4 -q:v 8 -c:a libmp3lame -b:a 32k",
    "ts": "-i {mp4} -c copy",
    "mp3": f"{_SOUND} -c:a libmp3lame -b:a 32k",
    "wav": f"{_SOUND} -c:a pcm_s16le",
    "ogg": f"{_SOUND} -c:a libopus -b:a 24k",
    "flac": f"{_SOUND} -c:a flac",
    "aac": f"{_SOUND} {_AAC}",
    "mpg": f"{_TELEVISION} {_SOUND} -ar 48000 -c:v mpeg2video -q:v 8 -g 6 -c:a mp2 -f vob",
    "wmv": f"{_PICTURE} {_SOUND} -c:v wmv2 -q:v 8 -g 6 -c:a wmav2 -ar 44100 -b:a 32k",
    "flv": f"{_PICTURE} {_SOUND} -c:v flv -q:v 8 -g 6 -c:a libmp3lame -ar 44100 -b:a 32k",
    "dv": f"{_TELEVISION} {_SOUND} -target pal-dv -t 0.2",
    "mxf": f"{_TELEVISION} {_SOUND} -c:v mpeg2video -q:v 8 -g 6 -ar 48000 -c:a pcm_s16le",
    "rm": f"{_PICTURE} {_SOUND} -c:v rv10 -q:v 8 -g 6 -c:a ac3 -ar 44100 -b:a 64k",
    "gif": f"{_PICTURE}",
    "apng.png": f"{_PICTURE} -f apng -plays 0",
    "aiff": f"{_SOUND}",
    "caf": f"{_SOUND} -c:a pcm_s16le",
    "ac3": f"{_SOUND} -ar 48000 -c:a ac3 -b:a 64k",
    "eac3": f"{_SOUND} -ar 48000 -c:a eac3 -b:a 64k",
    "w64": f"{_SOUND}",
    "au": f"{_SOUND}",
    "mp2": f"{_SOUND} -c:a mp2 -b:a 64k",
    "wv": f"{_SOUND} -c:a wavpack",
    "tta": f"{_SOUND} -c:a tta",
}
#: What ffmpeg does not write.
_HANDMADE = {"amr": handmade.amr(1.0)}
#: Names of all seeds.
SEEDS = (*RECIPES, *_HANDMADE)


class Seeds:
    """`seeds["mp4"]`: the bytes of one, the same on every machine with the same ffmpeg."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __getitem__(self, name: str) -> bytes:
        return self._made(name).read_bytes()

    def _made(self, name: str) -> Path:
        path = self._folder / (name if "." in name else f"seed.{name}")
        if name in _HANDMADE:
            path.write_bytes(_HANDMADE[name])
        elif not path.exists():
            arguments = [str(self._made("mp4")) if word == "{mp4}" else word for word in RECIPES[name].split()]
            exact = ("-fflags", "+bitexact", "-flags", "+bitexact", "-map_metadata", "-1")
            ffmpeg = ("ffmpeg", "-v", "error", "-nostdin", "-y")
            subprocess.run([*ffmpeg, *arguments, *exact, path], check=True, timeout=60)
        return path
