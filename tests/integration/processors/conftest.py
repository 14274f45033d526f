"""Real ffmpeg on clips that are made once a run."""

import asyncio
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from processors.audio import AudioMaker
from processors.compress import Compressor
from processors.contract import Processor, Report, Work
from processors.media.profiles import load_profiles
from processors.probe import Prober
from processors.thumbnails import Thumbnailer
from processors.tools.limits import Limits
from processors.tools.runner import Runner
from processors.tools.sandbox import Sandbox, detect
from processors.transcode import Transcoder
from schemas.probe import ProbeOutputs

_X264 = "-c:v libx264 -preset ultrafast"
_PICTURE, _SOUND = "-f lavfi -i testsrc2=size=320x240:rate=25:duration=3", "-f lavfi -i sine=duration=3"
_BOTH = f"{_PICTURE} {_SOUND} {_X264} -c:a aac"

#: Arguments that make a clip; {other} is the path of another one.
RECIPES = {
    "plain.mp4": f"{_BOTH} -movflags +faststart",
    "plain-moov-last.mp4": "-i {plain.mp4} -c copy",
    "plain.mkv": "-i {plain.mp4} -c copy",
    "long.mp4": "-stream_loop 80 -i {plain.mp4} -c copy -movflags +faststart",
    "turned.mp4": "-i {plain.mp4} -c copy -metadata:s:v:0 rotate=90",
    "odd.mp4": "-f lavfi -i testsrc2=size=321x241:rate=30000/1001:duration=2 -c:v libx264 -pix_fmt yuv444p",
    "one-frame.mp4": f"{_PICTURE} -frames:v 1 {_X264}",
    "tiny.mkv": "-f lavfi -i color=size=16x16:duration=0.4,scale=1:1,format=gray -c:v ffv1",
    "short.mp4": f"{_BOTH} -t 0.2",
    "slow.mp4": f"-f lavfi -i testsrc2=size=320x240:rate=1:duration=4 {_X264}",
    "uneven.mp4": f"{_PICTURE} -vf select='lt(mod(n\\,10)\\,8)' -fps_mode vfr {_X264}",
    "late-sound.mp4": "-i {plain.mp4} -itsoffset 1 -i {plain.mp4} -map 0:v -map 1:a -c copy",
    "long-sound.avi": f"{_PICTURE} -f lavfi -i sine=duration=4 -c:v mpeg4 -c:a libmp3lame",
    "fields.ts": "-f lavfi -i testsrc2=size=720x576:rate=50:duration=1 -vf setsar=64/45,interlace -c:v mpeg2video "
    "-flags +ilme+ildct -b:v 3M",
    "hdr.mp4": f"-f lavfi -i testsrc2=size=320x240:rate=24:duration=1 {_X264} -pix_fmt yuv420p10le "
    "-color_trc smpte2084 -color_primaries bt2020 -colorspace bt2020nc",
    "cover.png": "-f lavfi -i color=size=64x64 -frames:v 1",
    "sound.mp3": f"{_SOUND} -i {{cover.png}} -map 0 -map 1 -c:a libmp3lame -c:v copy -disposition:v attached_pic",
    "beats.mp4": "-f lavfi -i color=black:size=640x360:rate=60:duration=4,drawbox=w=iw:h=ih:color=white:t=fill:"
    "enable='between(t\\,2\\,2.5)',noise=alls=20:allf=t -f lavfi -i sine=frequency=1000:duration=4,"
    f"volume=0:enable='lt(t\\,2)+gt(t\\,2.5)' {_X264} -b:v 4M -c:a aac",
    "phone.mp4": "-i {beats.mp4} -c copy -metadata:s:v:0 rotate=90",
    "squeezed.mp4": f"{_PICTURE} -vf scale=160:120,fps=5 -c:v libx264 -preset slow -crf 51",
    "sound.flac": _SOUND,
    "sound.wav": _SOUND,
    "soft.flac": "-f lavfi -i sine=duration=5 -af volume=-30dB",
    "loud.flac": "-f lavfi -i anoisesrc=duration=8:amplitude=1,volume=20dB",
    "brief.wav": "-f lavfi -i sine=frequency=800:duration=1.2",
    "surround.mka": "-f lavfi -i sine=duration=4 -af pan=5.1|FL=c0|FR=c0|FC=c0|LFE=c0|BL=c0|BR=c0 -c:a aac",
    "turned-silent.mp4": f"{_PICTURE} -f lavfi -i anullsrc -t 2 {_X264} -c:a aac",
    "microphones.mka": "-f lavfi -i sine=frequency=500:duration=4 -f lavfi -i sine=frequency=2000:duration=4 "
    "-map 0 -map 1 -c:a flac -disposition:a 0",
    "languages.mka": "-f lavfi -i sine=frequency=500:duration=4 -f lavfi -i sine=frequency=2000:duration=4 "
    "-map 0 -map 1 -c:a flac -metadata:s:a:0 language=eng -metadata:s:a:1 language=ger -disposition:a:0 default",
    "vp8.webm": f"{_PICTURE} {_SOUND} -c:v libvpx -deadline realtime -cpu-used 8 -c:a libopus",
    "dark-start.mp4": "-f lavfi -i color=black:size=320x240:rate=25:duration=3 -f lavfi -i "
    f"testsrc2=size=320x240:rate=25:duration=1 -filter_complex concat {_X264} -g 500 -sc_threshold 0",
    "flash.mp4": "-f lavfi -i color=black:size=320x240:rate=25:duration=30,drawbox=w=iw:h=ih/2:color=white:t=fill:"
    f"enable='between(t\\,16\\,17.9)' {_X264} -g 25",
}

Clips = Callable[[str], Path]

#: What is said in "speech.wav", by a synthetic voice.
SPOKEN = "Ask not what your country can do for you. Ask what you can do for your country."


def say(path: Path, text: str) -> None:
    """Write speech to a WAV file."""
    subprocess.run(["espeak-ng", "-v", "en-us", "-s", "150", "-w", path, text], check=True, timeout=60)


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    """`clip("plain.mp4")`: the path of that clip, made when it is first asked for."""
    folder = tmp_path_factory.mktemp("clips")

    def make(name: str) -> Path:
        path = folder / name
        if name == "speech.wav" and not path.exists():
            say(path, SPOKEN)
        if not path.exists():
            recipe = RECIPES[name]
            for other in RECIPES:
                if f"{{{other}}}" in recipe:
                    recipe = recipe.replace(f"{{{other}}}", str(make(other)))
            arguments = recipe.replace("'", "").split(" ")
            subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-y", *arguments, path], check=True, timeout=120)
        return path

    return make


@pytest.fixture(scope="session")
def sandbox() -> Sandbox:
    """The best one that works here, tried out once."""
    return asyncio.run(detect())


@pytest.fixture
def runner(sandbox: Sandbox) -> Runner:
    return Runner(Limits(), sandbox)


@dataclass
class Bench:
    """Does steps on clips, each attempt in folders of its own."""

    runner: Runner
    folder: Path
    attempts: int = 0

    def processor(self, step: str, runner: Runner | None = None) -> Processor:
        chosen = runner or self.runner
        profiles = load_profiles(Path(__file__).parents[3] / "deploy" / "profiles")
        found: dict[str, Processor] = {
            "probe": Prober(chosen),
            "transcode": Transcoder(chosen, profiles),
            "thumbnails": Thumbnailer(chosen),
            "audio": AudioMaker(chosen),
            "compress": Compressor(chosen),
        }
        return found[step]

    def work(self, source: Path, inputs: dict[str, Any] | None = None, **more: Any) -> Work:
        self.attempts += 1
        scratch, output = (self.folder / f"{kind}-{self.attempts}" for kind in ("scratch", "output"))
        scratch.mkdir()
        output.mkdir()
        filename = more.pop("filename", source.name)
        return Work(
            source=source,
            scratch=scratch,
            output=output,
            prefix="a",
            inputs=inputs or {},
            filename=filename,
            cpus=2,
            **more,
        )

    async def probe(self, source: Path, **more: Any) -> ProbeOutputs:
        found = await self.processor("probe").process(self.work(source, **more))
        assert isinstance(found, ProbeOutputs)
        return found

    async def probe_json(self, source: Path) -> dict[str, Any]:
        """What later steps are given of the probe."""
        found: dict[str, Any] = msgspec.to_builtins(await self.probe(source))
        return found

    async def do(self, step: str, source: Path, report: Report | None = None) -> tuple[Any, Path]:
        """Outputs of the step and the folder with its files; probes before."""
        inputs = {"probe": msgspec.to_builtins(await self.probe(source))}
        work = self.work(source, inputs, **({"report": report} if report else {}))
        return await self.processor(step).process(work), work.output


@pytest.fixture
def bench(runner: Runner, tmp_path: Path) -> Bench:
    return Bench(runner, tmp_path)
