"""Checks of this machine: installed software and disk space."""

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

#: Same as in streams/worker/patch_delivery.py, which takes seconds to import; a test compares them.
PINNED = {"faust-streaming": "0.15.3", "aiokafka": "0.14.0", "mode-streaming": "0.7.1"}
OLDEST_PYTHON = (3, 11)
#: Encoders and filters of ffmpeg that the steps use.
ENCODERS = ("libx264", "aac", "mjpeg", "pcm_s16le")
FILTERS = ("loudnorm", "ebur128", "bwdif", "tile", "zscale", "tonemap")
#: Free space below which nothing can be recorded, and below which a long video may not fit.
FULL_BYTES, TIGHT_BYTES = 512 * 1024**2, 10 * 1024**3
_NO_BUBBLEWRAP = "Tools run without network but can read all files of this user: bubblewrap does not work here."
_REFUSED = "No executor starts here: neither bubblewrap nor user namespaces work, so no tool can run in a sandbox."
_NO_SANDBOX = "Tools run with network and all rights of this user: neither bubblewrap nor user namespaces work here."


async def python(_settings: Settings) -> Finding:
    """The versions of Python and of the patched libraries."""
    here = sys.version.split()[0]
    if sys.version_info < OLDEST_PYTHON:
        return problem(f"Python {here} is too old.", "Install Python 3.11 or newer.")
    installed = {package: _version(package) for package in PINNED}
    wrong = [
        f"{name} is {installed[name]}, not {pinned}" for name, pinned in PINNED.items() if installed[name] != pinned
    ]
    if wrong:
        return problem("; ".join(wrong), "Run `make setup` to install the versions of requirements.lock.")
    return fine(f"Python {here}, {', '.join(f'{package} {number}' for package, number in installed.items())}")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


async def java(settings: Settings) -> Finding:
    """Java and Kafka's jars for the embedded broker."""
    if settings.kafka.bootstrap is not None:
        return fine("Not needed with an external Kafka cluster.")
    try:
        jvm = await find_jvm(settings.kafka.home)
    except BrokerError as error:
        return problem(str(error))
    versions = f"Java {jvm.version}, Kafka {settings.kafka.home or KAFKA_VERSION}"
    if not jvm.archive.exists():
        return warning(
            f"{versions}; without a class-data archive the broker takes twice as long to start.", "Run `make setup`."
        )
    return fine(versions)


async def ffmpeg(_settings: Settings) -> Finding:
    """ffmpeg and ffprobe, with all encoders and filters that the steps use."""
    if missing := [tool for tool in ("ffmpeg", "ffprobe") if shutil.which(tool) is None]:
        return problem(
            f"{' and '.join(missing)} not found on the PATH.", "Install ffmpeg, e.g. `apt-get install ffmpeg`."
        )
    encoders, filters = await asyncio.gather(_listed("-encoders"), _listed("-filters"))
    lacking = [*sorted({*ENCODERS} - encoders), *sorted({*FILTERS} - filters)]
    if lacking:
        return problem(f"ffmpeg lacks {', '.join(lacking)}.", "Install a complete build, e.g. Debian's.")
    banner = (await _output("ffmpeg", "-version")).partition(" Copyright")[0]
    return fine(f"{banner}, with all required encoders and filters")


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
    """The sandbox that tools can run in on this machine, as detected by trying it."""
    policy = settings.limits.sandbox
    if policy == "off":
        return warning("Tools run without a sandbox because KINOLOG_LIMITS__SANDBOX is off.", "Unset it.")
    match (await sandbox.detect()).isolation:
        case sandbox.Isolation.BUBBLEWRAP:
            return fine("Tools run in bubblewrap, without network and with access to their own files only.")
        case sandbox.Isolation.NAMESPACES:
            return warning(_NO_BUBBLEWRAP, "Install bubblewrap, e.g. `apt-get install bubblewrap`.")
        case sandbox.Isolation.BOUNDS:
            remedy = "Install bubblewrap, and allow unprivileged user namespaces."
            return problem(_REFUSED, remedy) if policy == "required" else warning(_NO_SANDBOX, remedy)


async def disk(settings: Settings) -> Finding:
    """Whether the data directory is writable, and its free space."""
    nearest = existing(settings.data_path)
    if (error := write_error(nearest)) and is_refusal(error):
        return problem(
            f"{nearest} is not writable: {error.strerror}.", "Change its permissions, or set KINOLOG_DATA_DIR."
        )
    free = shutil.disk_usage(nearest).free
    message = f"{free / 1024**3:.1f} GiB free for {settings.data_path}"
    if free < FULL_BYTES:
        return problem(message, "Free up space, or set KINOLOG_DATA_DIR to another disk.")
    return warning(message, "A long video may need more.") if free < TIGHT_BYTES else fine(message)


def existing(path: Path) -> Path:
    """The path, or its nearest parent that exists."""
    return next(folder for folder in (path, *path.parents) if folder.exists())


async def profiles(settings: Settings) -> Finding:
    """The transcode profiles."""
    try:
        loaded = load_profiles(profiles_dir(settings))
    except (ProfileError, OSError) as error:
        return problem(str(error), "Fix the file, or unset KINOLOG_PROFILES_DIR.")
    return fine(f"{', '.join(loaded)} in {profiles_dir(settings)}")


async def player(_settings: Settings) -> Finding:
    """hls.js, which the page needs in browsers that cannot play HLS themselves."""
    web = importlib.util.find_spec("web")
    folders = web.submodule_search_locations if web is not None else None
    script = "static/vendor/hls.min.js"
    if any((Path(folder) / script).is_file() for folder in folders or ()):
        return fine("hls.js is installed")
    return warning("The page cannot play videos in Firefox and older Chrome: hls.js is missing.", "Run `make setup`.")
