"""Creates the class-data archive (CDS) with which the embedded broker starts in half the time.

`python -m streams.broker.class_data`
"""

import asyncio
import os
import sys
import tempfile
from pathlib import Path

from streams.broker.jvm import BrokerError, find_jvm
from streams.broker.process import Broker
from streams.settings import load

#: Seconds for the JVM to write the archive (80 MB) while it ends.
_DUMP_S = 120.0


async def make_archive(home: str | None = None) -> Path:
    """The archive for this java and these jars; created by running a broker if it is missing. Raises BrokerError.

    It appears complete or not at all; concurrent calls are harmless.
    """
    archive = (await find_jvm(home)).archive
    if archive.exists():
        return archive
    archive.parent.mkdir(parents=True, exist_ok=True)
    staged = archive.with_name(f"{archive.name}.{os.getpid()}")
    try:
        await _run_once(home, staged)
        staged.replace(archive)
    except FileNotFoundError as error:
        raise BrokerError("no-archive", "This java wrote no class-data archive.") from error
    finally:
        staged.unlink(missing_ok=True)
    return archive


async def _run_once(home: str | None, target: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="kinolog-archive-") as folder:
        environ = {"KINOLOG_DATA_DIR": folder, "KINOLOG_KAFKA__PORT": "0", "KINOLOG_KAFKA__HOME": home or ""}
        broker = Broker(load(environ), jvm_options=[f"-XX:ArchiveClassesAtExit={target}"])
        try:
            await broker.start()
            await broker.wait_ready()
        finally:
            await broker.stop(within_s=_DUMP_S)


def main() -> int:
    """Create the archive. Exit code 2 without java or jars, else 0: without an archive the broker starts slower."""
    try:
        sys.stdout.write(f"{asyncio.run(make_archive(os.environ.get('KINOLOG_KAFKA__HOME')))}\n")
    except BrokerError as error:
        sys.stderr.write(f"No class-data archive for the broker: {error}\n")
        return 2 if error.code in ("java-missing", "java-too-old", "jars-missing") else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
