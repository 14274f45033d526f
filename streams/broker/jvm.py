"""The JVM of the embedded broker: java, Kafka's jars and the class-data archive."""

import asyncio
import hashlib
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

#: The Kafka that deploy/kafka/pom.xml fetches.
KAFKA_VERSION = "4.3.1"
#: Source: Kafka 4.0 upgrade notes: brokers need Java 17.
OLDEST_JAVA = 17
_NEEDS = f"The embedded broker needs Java {OLDEST_JAVA} or newer"

#: Measured with Kafka 4.3.1: 150 MB resident, ready in 1.9 s.
_OPTIONS = (
    "-Xms64m",
    "-Xmx256m",
    "-Xss512k",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:ReservedCodeCacheSize=64m",
    "-XX:MaxDirectMemorySize=64m",
    "-XX:-UsePerfData",  # its file in /tmp outlives a killed JVM
    "-Djava.io.tmpdir=tmp",  # native libraries unpack below the working directory, not into a shared folder
    "-Djava.awt.headless=true",
    "-Djava.net.preferIPv4Stack=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
)


class BrokerError(Exception):
    """The embedded broker cannot run. The message says what to do; `code` is stable."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Jvm:
    """A supported java and Kafka's jars."""

    java: str
    #: As java prints it, e.g. "17.0.15".
    version: str
    #: In a fixed order: a class-data archive is valid for exactly one class path.
    jars: tuple[str, ...]

    @property
    def archive(self) -> Path:
        """Path of the class-data archive for this java and these jars; it may not exist."""
        digest = hashlib.sha256("\0".join((self.version, *_OPTIONS, *self.jars)).encode()).hexdigest()
        return cache_dir() / f"classes-{self.version}-{digest[:12]}.jsa"

    def command(self, *arguments: str, options: Sequence[str] = ()) -> list[str]:
        """Command line of java: further JVM options, then the main class and its arguments."""
        return [self.java, *_OPTIONS, *options, "-cp", ":".join(self.jars), *arguments]


def cache_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """Folder of jars and archives, outside of any checkout. Source: XDG Base Directory Specification."""
    base = environ.get("XDG_CACHE_HOME") or _at_home("~/.cache")
    return Path(base) / "kinolog" / f"kafka-{KAFKA_VERSION}"


def _at_home(path: str) -> Path:
    """The path with the user's home folder for "~"; as it is for a user without one, as containers have them."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


async def find_jvm(home: str | None = None) -> Jvm:
    """Java, and the jars of the Kafka installation `home` or the downloaded ones.

    Raises BrokerError: java-missing, java-too-old, jars-missing.
    """
    java = find_java()
    jars = find_jars(home)
    return Jvm(java, await _supported_version(java), jars)


def find_java(environ: Mapping[str, str] = os.environ) -> str:
    """Path of java: of JAVA_HOME, or on the PATH. Raises BrokerError: java-missing."""
    if home := environ.get("JAVA_HOME"):
        java = shutil.which("java", path=str(Path(home) / "bin"))
    else:
        java = shutil.which("java", path=environ.get("PATH"))
    if java is None:
        where = f"JAVA_HOME={home} has no bin/java" if home else "java is not on the PATH"
        raise BrokerError("java-missing", f"{_NEEDS}: {where}. Run `make setup`.")
    return java


def find_jars(home: str | None) -> tuple[str, ...]:
    """Kafka's jars in a fixed order. Raises BrokerError: jars-missing."""
    folder = _at_home(home) / "libs" if home else cache_dir() / "lib"
    jars = tuple(str(path) for path in sorted(folder.glob("*.jar")))
    if not any(Path(jar).name.startswith("kafka-server-") for jar in jars):
        remedy = "KINOLOG_KAFKA__HOME must be a Kafka installation, 4.0 or newer." if home else "Run `make setup`."
        raise BrokerError("jars-missing", f"Kafka's jars are not in {folder}. {remedy}")
    return jars


def java_version(banner: str) -> str | None:
    """The version in the output of `java -version`; None if there is none."""
    match = re.search(r'version "([0-9][^"\s]*)"', banner)
    return match[1] if match else None


def major(version: str) -> int:
    """17 of "17.0.15", 8 of "1.8.0_392"."""
    numbers = [int(part) for part in re.findall(r"\d+", version)]
    return numbers[1] if numbers[0] == 1 and len(numbers) > 1 else numbers[0]


async def _supported_version(java: str) -> str:
    process = await asyncio.create_subprocess_exec(
        java, "-version", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    version = java_version(output.decode(errors="replace"))
    if version is None:
        raise BrokerError("java-missing", f"{java} -version does not name a version; run `make setup`")
    if major(version) < OLDEST_JAVA:
        raise BrokerError(
            "java-too-old",
            f"{_NEEDS}; {java} is {version}. Run `make setup`.",
        )
    return version
