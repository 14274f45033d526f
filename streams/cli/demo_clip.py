"""The clip of `kinolog demo`: test pictures, and a narration that a small speech model transcribes word for word."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

#: Length of the clip.
CLIP_S = 20
#: Pictures that differ enough for a scene cut to be detected, of equal length. Small ones, scaled up, cost little.
SCENES = (
    "testsrc2=size=1280x720:rate=25",
    "mandelbrot=size=80x45:rate=25:maxiter=500,format=yuv420p,scale=1280:720:flags=fast_bilinear",
    "smptehdbars=size=1280x720:rate=25",
    "gradients=size=160x90:rate=25:speed=0.05,format=yuv420p,scale=1280:720:flags=fast_bilinear",
    "testsrc2=size=1280x720:rate=25,format=yuv420p,negate,hflip",
)
#: Plain sentences, spoken slowly: tiny.en transcribed them without a mistake in five voices and speeds; the name of
#: the product it never did.
NARRATION = (
    "Good morning. This short film was made by a computer a moment ago. Every word that is spoken in it can be found "
    "again. When the work is done, open the link, and press the play button."
)


class DemoFailed(Exception):
    """The demo cannot continue; the text says why."""

    exit_code = 2


def narration_args(path: Path) -> list[str]:
    """The command line that speaks `NARRATION` into a WAV file of 15 s."""
    return ["espeak-ng", "-v", "en-us", "-s", "130", "-w", str(path), NARRATION]


def clip_args(narration: Path, target: Path) -> list[str]:
    """The command line that makes the clip: one scene after another, the narration over them."""
    scene_s = CLIP_S / len(SCENES)
    sources = [word for scene in SCENES for word in ("-f", "lavfi", "-t", str(scene_s), "-i", scene)]
    joined = "".join(f"[{n}:v]" for n in range(len(SCENES))) + f"concat=n={len(SCENES)}[v]"
    graph = f"{joined};[{len(SCENES)}:a]apad[a]"
    return [
        *["ffmpeg", "-hide_banner", "-loglevel", "error", "-nostdin", "-y", *sources, "-i", str(narration)],
        *["-filter_complex", graph, "-map", "[v]", "-map", "[a]", "-t", str(CLIP_S)],
        *["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac", "-f", "mp4", str(target)],
    ]


def make_clip(folder: Path) -> Path:
    """The clip in `folder`; made once. Raises DemoFailed."""
    clip, narration, unfinished = folder / "demo-clip.mp4", folder / "narration.wav", folder / "demo-clip.new"
    if clip.exists():
        return clip
    folder.mkdir(parents=True, exist_ok=True)
    try:
        _run(narration_args(narration))
        _run(clip_args(narration, unfinished))
        return unfinished.replace(clip)
    finally:
        narration.unlink(missing_ok=True)
        unfinished.unlink(missing_ok=True)


def _run(command: Sequence[str]) -> None:
    if shutil.which(command[0]) is None:
        raise DemoFailed(f"{command[0]} is not installed: run `make setup`")
    with tempfile.TemporaryDirectory() as folder:  # espeak-ng leaves a folder in the temporary directory
        done = subprocess.run(
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env={**os.environ, "TMPDIR": folder},
        )
    if done.returncode:
        raise DemoFailed(f"{command[0]} could not make the clip:\n{done.stderr.strip()}")
