"""Small good files of every container that is taken: what hostile ones are made from."""

import subprocess
from pathlib import Path

_PICTURE = "-f lavfi -i testsrc2=size=128x96:rate=12:duration=1"
_SOUND = "-f lavfi -i sine=frequency=440:sample_rate=24000:duration=1"
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
}


class Seeds:
    """`seeds["mp4"]`: the bytes of one, the same on every machine with the same ffmpeg."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __getitem__(self, name: str) -> bytes:
        return self._made(name).read_bytes()

    def _made(self, name: str) -> Path:
        path = self._folder / (name if "." in name else f"seed.{name}")
        if not path.exists():
            arguments = [str(self._made("mp4")) if word == "{mp4}" else word for word in RECIPES[name].split()]
            exact = ("-fflags", "+bitexact", "-flags", "+bitexact", "-map_metadata", "-1")
            ffmpeg = ("ffmpeg", "-v", "error", "-nostdin", "-y")
            subprocess.run([*ffmpeg, *arguments, *exact, path], check=True, timeout=60)
        return path
