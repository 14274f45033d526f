"""Checks of this machine: what is installed, and how much room there is."""

import asyncio
import importlib.util
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from processors.media.profiles import ProfileError, load_profiles
from processors.tools import sandbox
from streams.broker.jvm import KAFKA_VERSION, BrokerError, find_jvm
from streams.data_files import profiles_dir
from streams.doctor.diagnosis import Finding, fine, problem, warning
from streams.process.folders import is_refusal, write_error
from streams.settings import Settings

#: Those of streams/worker/patch_delivery.py; a test holds the two together, for importing that one takes seconds.
PINNED = {"faust-streaming": "0.15.3", "aiokafka": "0.14.0", "mode-streaming": "0.7.1"}
OLDEST_PYTHON = (3, 11)
#: What the steps ask of ffmpeg.
ENCODERS = ("libx264", "aac", "mjpeg", "pcm_s16le")
FILTERS = ("loudnorm", "ebur128", "bwdif", "tile", "zscale", "tonemap")
#: With less than this nothing can be recorded; with less than that a long video may not fit.
FULL_BYTES, TIGHT_BYTES = 512 * 1024**2, 10 * 1024**3
_NO_BUBBLEWRAP = "tools have no network but see every file that we see: bubblewrap does not work here"
_NO_SANDBOX = "tools run with our network and our rights: neither bubblewrap nor user namespaces work here"


async def python(_settings: Settings) -> Finding:
    """Python, and the libraries whose very version matters."""
    here = sys.version.split()[0]
    if sys.version_info < OLDEST_PYTHON:
        return problem(f"Python {here} is too old", "install Python 3.11 or newer")
    found = {package: _version(package) for package in PINNED}
    wrong = [f"{name} is {found[name]}, not {wanted}" for name, wanted in PINNED.items() if found[name] != wanted]
    if wrong:
        return problem("; ".join(wrong), "install what requirements.lock pins: `make setup`")
    return fine(f"Python {here}, {', '.join(f'{package} {number}' for package, number in found.items())}")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


async def java(settings: Settings) -> Finding:
    """Java and Kafka's jars, where the broker is ours to start."""
    if settings.kafka.bootstrap is not None:
        return fine("not needed: the log is an outside cluster")
    try:
        jvm = await find_jvm(settings.kafka.home)
    except BrokerError as error:
        return problem(str(error))
    found = f"Java {jvm.version}, Kafka {settings.kafka.home or KAFKA_VERSION}"
    if not jvm.archive.exists():
        return warning(f"{found}; the broker has no class-data archive and starts half as fast", "`make setup`")
    return fine(found)


async def ffmpeg(_settings: Settings) -> Finding:
    """ffmpeg and ffprobe, with every encoder and filter that the steps use."""
    if missing := [tool for tool in ("ffmpeg", "ffprobe") if shutil.which(tool) is None]:
        return problem(f"there is no {' and no '.join(missing)} on the PATH", "e.g. `apt-get install ffmpeg`")
    encoders, filters = await asyncio.gather(_listed("-encoders"), _listed("-filters"))
    lacking = [*sorted({*ENCODERS} - encoders), *sorted({*FILTERS} - filters)]
    if lacking:
        return problem(f"ffmpeg has no {', '.join(lacking)}", "install a complete one, e.g. Debian's")
    banner = (await _output("ffmpeg", "-version")).partition(" Copyright")[0]
    return fine(f"{banner}, with all encoders and filters that are used")


async def _listed(what: str) -> set[str]:
    """Names in one of ffmpeg's lists: the second word of each line."""
    rows = (await _output("ffmpeg", "-hide_banner", what)).splitlines()
    return {words[1] for row in rows if len(words := row.split()) > 1}


async def _output(*command: str) -> str:
    nowhere = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        *command, stdin=nowhere, stdout=asyncio.subprocess.PIPE, stderr=nowhere
    )
    output, _ = await process.communicate()
    return output.decode(errors="replace")


async def confinement(settings: Settings) -> Finding:
    """How tools are confined when they touch foreign bytes, found by trying."""
    if not settings.limits.sandbox:
        return warning("tools run without a sandbox: KINOLOG_LIMITS__SANDBOX is off", "unset it")
    match (await sandbox.detect()).means:
        case sandbox.Isolation.BUBBLEWRAP:
            return fine("tools run in bubblewrap: without network, with their own files only")
        case sandbox.Isolation.NAMESPACES:
            return warning(_NO_BUBBLEWRAP, "e.g. `apt-get install bubblewrap`")
        case sandbox.Isolation.BOUNDS:
            return warning(_NO_SANDBOX, "install bubblewrap, and allow unprivileged user namespaces")


async def disk(settings: Settings) -> Finding:
    """A data dir that is writable, and room for it."""
    nearest = existing(settings.data_path)
    if (error := write_error(nearest)) and is_refusal(error):
        return problem(f"{nearest} is not writable: {error.strerror}", "change its rights, or set KINOLOG_DATA_DIR")
    free = shutil.disk_usage(nearest).free
    says = f"{free / 1024**3:.1f} GiB free for {settings.data_path}"
    if free < FULL_BYTES:
        return problem(says, "make room, or set KINOLOG_DATA_DIR to another disk")
    return warning(says, "a long video may need more") if free < TIGHT_BYTES else fine(says)


def existing(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    return next(place for place in (path, *path.parents) if place.exists())


async def profiles(settings: Settings) -> Finding:
    """The recipes of the transcode."""
    try:
        found = load_profiles(profiles_dir(settings))
    except (ProfileError, OSError) as error:
        return problem(str(error), "mend the file, or unset KINOLOG_PROFILES_DIR")
    return fine(f"{', '.join(found)} in {profiles_dir(settings)}")


async def player(_settings: Settings) -> Finding:
    """hls.js, by which the page plays where the browser alone cannot."""
    web = importlib.util.find_spec("web")
    folders = web.submodule_search_locations if web is not None else None
    script = "static/vendor/hls.min.js"
    if any((Path(folder) / script).is_file() for folder in folders or ()):
        return fine("the page's player is there")
    return warning("the page cannot play in Firefox and older Chrome: hls.js is missing", "`make setup`")
