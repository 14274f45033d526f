"""`kinolog demo`: makes a talking clip, starts everything, puts the clip through it, shows where the results are."""

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import click

from streams.cli.rendering import outcome, view
from streams.client import Client, Job
from streams.process import logs
from streams.process.ports import is_free
from streams.settings import Settings, load
from streams.supervisor import system

#: Seconds of the clip.
CLIP_S = 20
#: Pictures that differ enough for a cut to be seen, each shown equally long. Small ones, blown up, cost little.
SCENES = (
    "testsrc2=size=1280x720:rate=25",
    "mandelbrot=size=80x45:rate=25:maxiter=500,format=yuv420p,scale=1280:720:flags=fast_bilinear",
    "smptehdbars=size=1280x720:rate=25",
    "gradients=size=160x90:rate=25:speed=0.05,format=yuv420p,scale=1280:720:flags=fast_bilinear",
    "testsrc2=size=1280x720:rate=25,format=yuv420p,negate,hflip",
)
NARRATION = (
    "Welcome to kinolog. This clip was made a moment ago, by this machine. "
    "It was uploaded like any other file, and every step it takes is an event on a log. "
    "First it is probed. Then it becomes a ladder of renditions that any player can choose from, "
    "with a poster and a storyboard beside them. When the bars are full, open the link and press play."
)


class DemoFailed(Exception):
    """The demo cannot go on; the text says why."""

    exit_code = 2


def narration_args(path: Path) -> list[str]:
    """The command line that speaks `NARRATION` into a WAV file."""
    return ["espeak-ng", "-v", "en-us", "-s", "165", "-w", str(path), NARRATION]


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
    clip, narration, beside = folder / "talking-clip.mp4", folder / "narration.wav", folder / "talking-clip.new"
    if clip.exists():
        return clip
    folder.mkdir(parents=True, exist_ok=True)
    try:
        _run(narration_args(narration))
        _run(clip_args(narration, beside))
        return beside.replace(clip)
    finally:
        narration.unlink(missing_ok=True)
        beside.unlink(missing_ok=True)


def _run(command: Sequence[str]) -> None:
    if shutil.which(command[0]) is None:
        raise DemoFailed(f"{command[0]} is not installed: run `make setup`")
    with tempfile.TemporaryDirectory() as folder:  # espeak-ng leaves a folder behind wherever temporary files go
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


def demo_settings() -> Settings:
    """Settings of the environment; where it says nothing, a data dir of the demo's own and ports that are free."""
    own = {"KINOLOG_DATA_DIR": "./kinolog-data/demo", "KINOLOG_KAFKA__PORT": "0"}
    if not is_free(8080):
        own["KINOLOG_WEB__PORT"] = "0"
    return load({**own, **os.environ})


class Demo:
    """One run: a file through everything."""

    def __init__(self, settings: Settings, source: Path, *, stay: bool) -> None:
        self._settings, self._source, self._stay = settings, source, stay
        #: What the process ends with.
        self.exit_code = 1

    async def show(self, up: system.Up) -> None:
        """Submit the file, show how it moves, say where the results are, and stay until Ctrl-C if asked to."""
        link = system.page_link(up.url, up.token)
        click.echo(f"kinolog is up: {link}\n")
        async with Client(up.url, up.token) as client:
            job = await follow(client, self._source)
            click.echo(f"\n{outcome(job)}")
            if job["status"] == "completed":
                self.exit_code = 0
                _show_results(self._settings, up.url, job)
        if self._stay:
            click.echo(f"\nThe page: {link}\nCtrl-C ends it.")
            await up.failure()


async def follow(client: Client, source: Path) -> Job:
    """Upload `source` and return its job when it has ended; bars show the way."""
    submitted = await client.submit_file(source)
    job: Job = {}
    with view(as_json=False) as shown:
        async for job in client.follow(submitted.job_id, after=submitted.cursor):
            shown.show(job)
    return job


def _show_results(settings: Settings, url: str, job: Job) -> None:
    for what, key in results(job).items():
        click.echo(f"  {what:<16} {stored_at(settings.store_url, key)}")
    if master := results(job).get("master playlist"):
        click.echo(f"  {'served at':<16} {url}/media/{master.removeprefix('assets/')}  (with the token)")


def results(job: Job) -> dict[str, str]:
    """What people look for first, as keys in the store."""
    outputs: dict[str, Any] = {step["name"]: step.get("outputs") or {} for step in job["steps"]}
    wanted = {"poster": ("thumbnails", "poster"), "master playlist": ("transcode", "master")}
    found = {what: outputs.get(step, {}).get(name) for what, (step, name) in wanted.items()}
    return {what: key for what, key in found.items() if key}


def stored_at(store_url: str, key: str) -> str:
    """Path of `key` in a local store, its address in another."""
    place = urlsplit(store_url)
    return str(Path(unquote(place.path)) / key) if place.scheme == "file" else f"{store_url.rstrip('/')}/{key}"


def run(settings: Settings, source: Path | None, *, stay: bool) -> int:
    """The whole demo; its exit code. The log goes to a file, so that the bars stay whole."""
    path = settings.data_path / "demo.log"
    clip = source or _announced_clip(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    click.echo(f"Starting broker, control, executor and web (log: {path}) …")
    demo = Demo(settings, clip, stay=stay)
    with path.open("wb", buffering=0) as log_file, path.open("a") as own_log:
        logs.configure(settings, "up", own_log)
        asyncio.run(system.run(settings, demo.show, log_file))
    click.echo("Everything has ended.")
    return demo.exit_code


def _announced_clip(settings: Settings) -> Path:
    click.echo(f"Making a talking clip of {CLIP_S} s …")
    return make_clip(settings.data_path)
