"""`kinolog demo`: puts a talking clip through everything, and shows where the results are."""

import asyncio
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import click

from streams.cli.demo_clip import CLIP_S, make_clip
from streams.cli.groups import FAILED, OK
from streams.cli.rendering import Job, outcome, passage, print_json, print_line, warning_lines
from streams.cli.views import view
from streams.client import Client
from streams.process import logs
from streams.process.ports import is_free
from streams.settings import Settings, load
from streams.supervisor import run_dir, system

#: Seconds until what was transcribed must be found. Measured: within 2 s of the step's end.
_INDEXED_WITHIN_S = 15.0
_SHORTEST_WORD = 5


class Options(NamedTuple):
    """How the demo runs."""

    #: The file to process; None: a clip that is made for it.
    source: Path | None
    #: Whether it stays until Ctrl-C.
    stay: bool
    as_json: bool

    def print(self, text: str) -> None:
        """Print for people."""
        if not self.as_json:
            click.echo(text)


def run(source: Path | None, *, stay: bool, as_json: bool) -> int:
    """The whole demo; its exit code. Raises DemoFailed, ClientError, and what `system.run` raises."""
    options, settings = Options(source, stay, as_json), running_settings()
    if settings is not None:
        return asyncio.run(_on_running(settings, options))
    return _on_its_own(demo_settings(), options)


def running_settings() -> Settings | None:
    """Settings of the running `kinolog up`: over the environment's data dir, else the demo's own; None without one."""
    return next((settings for settings in (load(), demo_settings()) if run_dir.is_up(settings)), None)


def demo_settings() -> Settings:
    """The environment's settings; by default with the demo's own data dir, and ports that are free."""
    own = {"KINOLOG_DATA_DIR": "./kinolog-data/demo", "KINOLOG_KAFKA__PORT": "0"}
    if not is_free(8080):
        own["KINOLOG_WEB__PORT"] = "0"
    return load({**own, **os.environ})


async def _on_running(settings: Settings, options: Options) -> int:
    """Submit to the `kinolog up` that runs over this data dir."""
    url, token = run_dir.kept_url(settings), run_dir.kept_token(settings)
    if url is None or token is None:
        options.print("kinolog is starting: run the demo again when it is up.")
        return FAILED
    link = system.page_link(url, token)
    options.print(f"Using the running kinolog: {link}\n")
    code = await process(settings, url, token, options)
    options.print(f"\nThe page: {link}")
    return code


def _on_its_own(settings: Settings, options: Options) -> int:
    """Start everything, process the file, and stop everything. The log goes to a file, so that the bars stay whole."""
    path, code = settings.data_path / "demo.log", FAILED
    path.parent.mkdir(parents=True, exist_ok=True)

    async def show(up: system.Up) -> None:
        nonlocal code
        link = system.page_link(up.url, up.token)
        options.print(f"kinolog is up: {link}\n")
        code = await process(settings, up.url, up.token, options)
        if options.stay:
            options.print(f"\nThe page: {link}\nPress Ctrl-C to stop.")
            await up.failure()

    options.print(f"Starting broker, control, executor and web (log: {path}) …")
    with path.open("wb", buffering=0) as log_file, path.open("a") as own_log:
        logs.configure(settings, "up", own_log)
        asyncio.run(system.run(settings, show, log_file))
    options.print("Stopped.")
    return code


async def process(settings: Settings, url: str, token: str, options: Options) -> int:
    """Submit the file, follow its job, and print the results; the exit code."""
    source = await asyncio.to_thread(_clip, settings, options) if options.source is None else options.source
    async with Client(url, token) as client:
        job = await follow(client, source, as_json=options.as_json)
        spoken = await transcript(client, job)
        hit = await first_hit(client, job["asset_id"], spoken) if spoken else None
        player = (await client.playback(job["asset_id"]))["master_url"]
    if options.as_json:
        print_json(
            {
                "job_id": job["id"],
                "asset_id": job["asset_id"],
                "url": url,
                "play_url": player,
                "transcript": spoken,
                "hit": hit,
            }
        )
    else:
        for line in [
            "",
            outcome(job),
            *warning_lines(job),
            *result_lines(settings, job, player),
            *spoken_lines(job, spoken, hit),
        ]:
            print_line(line)
    return OK if job["status"] == "completed" else FAILED


def _clip(settings: Settings, options: Options) -> Path:
    options.print(f"Making a talking clip of {CLIP_S} s …")
    return make_clip(settings.data_path)


async def follow(client: Client, source: Path, *, as_json: bool) -> Job:
    """Upload `source` and return its job when it has ended; a view shows the progress."""
    submitted = await client.submit_file(source)
    job: Job = {}
    with view(as_json=as_json) as live:
        async for job in client.follow(submitted.job_id, after=submitted.cursor):
            live.show(job)
    return job


def step_of(job: Job, name: str) -> Mapping[str, Any]:
    """The step of that name; empty when the job has none."""
    return next((step for step in job["steps"] if step["name"] == name), {})


async def transcript(client: Client, job: Job) -> str | None:
    """What was spoken, as one line; None when there is no transcript."""
    key = (step_of(job, "transcribe").get("outputs") or {}).get("text")
    return None if key is None else " ".join((await client.file(job["asset_id"], key)).decode().split()) or None


async def first_hit(client: Client, asset_id: str, spoken: str) -> dict[str, Any] | None:
    """The best hit in the asset for the longest word that was spoken; None when the index takes too long."""
    word, deadline = longest_word(spoken), time.monotonic() + _INDEXED_WITHIN_S
    while word and time.monotonic() < deadline:
        hits = (await client.search(word, mode="text", limit=100))["data"]
        if own := [hit for hit in hits if hit["asset_id"] == asset_id]:
            return {"query": word, **own[0]}
        await asyncio.sleep(0.2)
    return None


def longest_word(spoken: str) -> str | None:
    """The longest word, which is the most telling one; None when all are short."""
    return max((word for word in re.findall(r"\w+", spoken) if len(word) >= _SHORTEST_WORD), key=len, default=None)


def spoken_lines(job: Job, spoken: str | None, hit: Mapping[str, Any] | None) -> list[str]:
    """What was spoken, and a search for one word of it; or why there is no transcript."""
    if spoken is None:
        step = step_of(job, "transcribe")
        return [f"  no transcript: the step transcribe is {step.get('status', 'not part of the job')}{_reason(step)}"]
    found = [f'  search "{hit["query"]}": {passage(hit)[0]}'] if hit else []
    return [f"  spoken: {spoken}", *found]


def _reason(step: Mapping[str, Any]) -> str:
    return f" ({step['reason']})" if step.get("reason") else ""


def result_lines(settings: Settings, job: Job, player: str | None) -> list[str]:
    """Where the poster and the master playlist are stored, and a URL that plays."""
    stored = {name: stored_at(settings.store_url, key) for name, key in results(job).items()}
    lines = stored | ({"play (for an hour)": player} if player else {})
    return [f"  {name:<18} {url}" for name, url in lines.items()]


def results(job: Job) -> dict[str, str]:
    """The poster and the master playlist, as keys in the store."""
    keys = {"poster": ("thumbnails", "poster"), "master playlist": ("transcode", "master")}
    found = {name: (step_of(job, step).get("outputs") or {}).get(output) for name, (step, output) in keys.items()}
    return {name: key for name, key in found.items() if key}


def stored_at(store_url: str, key: str) -> str:
    """Path of `key` in a local store, its URL in another."""
    store = urlsplit(store_url)
    return str(Path(unquote(store.path)) / key) if store.scheme == "file" else f"{store_url.rstrip('/')}/{key}"
