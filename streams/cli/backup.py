"""`kinolog backup` and `kinolog restore`: log, secrets and store as files, and back onto an empty system."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from streams.cli.common import Output, finish, local_command
from streams.cli.groups import FAILED, OK
from streams.cli.ops import with_running_log
from streams.cli.rendering import counted, size
from streams.settings import Settings, load

if TYPE_CHECKING:
    from streams.backup.archive import Manifest
    from streams.backup.media import Objects

T = TypeVar("T")

#: Secrets of an installation without configured ones, below the data directory, by name in the backup.
_SECRETS = {"signing.key": Path("web", "signing.key"), "token": Path("run", "token")}


@click.group()
def backups() -> None:
    """Holds the commands of this module; the top group takes them over."""


@local_command(
    backups, "backup", examples=("kinolog backup /backups/monday", "kinolog backup /backups/monday --without-media")
)
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--without-media", is_flag=True, help="Only list the store's files: they are backed up otherwise.")
def backup(*, folder: Path, without_media: bool, as_json: bool) -> None:
    """Save log, signing key and media in a new folder.

    The system may run. What ends by itself within days is left out: progress, reports, requests.
    """
    settings = with_running_log(load())
    manifest = _run(_save(settings, folder.resolve(), with_media=not without_media))
    records = sum(file.records for file in manifest.files)
    media = f"{counted(manifest.objects, 'file')} of the store ({size(manifest.object_bytes)})"
    listed = "" if manifest.has_media else ", listed only"
    finish(
        Output(
            [{"folder": str(folder), "records": records, "objects": manifest.objects}],
            [f"{counted(records, 'record')} and {media}{listed}: {folder}"],
        ),
        as_json=as_json,
    )


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Run it to its end. Raises BackupError for whatever stops it."""
    from aiokafka.errors import KafkaError

    from processors.storage.errors import StoreError
    from streams.backup.archive import BackupError
    from streams.broker.jvm import BrokerError

    try:
        return asyncio.run(work)
    except (KafkaError, StoreError, BrokerError, OSError) as error:
        raise BackupError(f"not completed: {error or repr(error)}") from error


async def _save(settings: Settings, folder: Path, *, with_media: bool) -> "Manifest":
    from processors.storage.object_store import open_store
    from streams.backup.archive import VERSION, Manifest, new_folder, write_manifest
    from streams.backup.log import save_log
    from streams.backup.media import save_media

    store = open_store(settings.store_url, mark="required")
    if await store.is_empty():
        await store.require_there()
    new_folder(folder)
    created_at = time.time()
    files = await save_log(settings, folder)
    objects = await save_media(store, folder, with_content=with_media)
    _copy_secrets(settings.data_path, folder)
    manifest = Manifest(
        version=VERSION,
        created_at=created_at,
        topic_prefix=settings.topic_prefix,
        partitions=settings.partitions,
        files=files,
        objects=objects.objects,
        object_bytes=objects.size_bytes,
        has_media=with_media,
    )
    write_manifest(folder, manifest)
    return manifest


def _copy_secrets(data_dir: Path, folder: Path) -> None:
    from streams.process.files import write_atomically

    for name, below in _SECRETS.items():
        if (data_dir / below).exists():
            write_atomically(folder / name, (data_dir / below).read_bytes(), 0o600)


@local_command(backups, "restore", examples=("KINOLOG_DATA_DIR=/new kinolog restore /backups/monday",))
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
def restore(*, folder: Path, as_json: bool) -> None:
    """Write a backup to an empty log and store.

    Nothing of kinolog may run. Without KINOLOG_KAFKA__BOOTSTRAP the log is the embedded broker's, which is started.
    """
    settings = load()
    began = time.monotonic()
    count, missing = _run(_restore(settings, folder.resolve()))
    lines = [f"{counted(count, 'record')} restored in {time.monotonic() - began:.0f} s. Start kinolog."]
    if missing.objects:
        lines.append(
            f"{counted(missing.objects, 'file')} ({size(missing.size_bytes)}) missing in the store: restore them."
        )
    values = {"records": count, "missing_objects": missing.objects}
    finish(Output([values], lines, FAILED if missing.objects else OK), as_json=as_json)


async def _restore(settings: Settings, folder: Path) -> "tuple[int, Objects]":
    from processors.storage.object_store import open_store
    from processors.storage.owner_mark import mark
    from streams.backup.archive import BackupError, read_manifest
    from streams.backup.log import restore_log
    from streams.backup.media import restore_media
    from streams.kafka.admin import apply_topics
    from streams.kafka.installation import this_installation
    from streams.kafka.topics import required_topics
    from streams.process.files import create_atomically

    manifest = read_manifest(folder)
    if (manifest.partitions, manifest.topic_prefix) != (settings.partitions, settings.topic_prefix):
        raise BackupError(
            f"The backup has KINOLOG_PARTITIONS={manifest.partitions}, KINOLOG_TOPIC_PREFIX={manifest.topic_prefix}: "
            "set them so."
        )
    if unknown := {file.topic for file in manifest.files} - {topic.name for topic in required_topics(settings)}:
        raise BackupError(
            f"The backup has the topics {', '.join(sorted(unknown))}: set KINOLOG_GROUP_PREFIX as where it was made."
        )
    async with _log(settings) as reached:
        count = await restore_log(reached, folder, manifest.files)
        await apply_topics(reached)
        installation = await this_installation(reached)
    for name, below in _SECRETS.items():
        if (folder / name).exists():
            (settings.data_path / below).parent.mkdir(parents=True, exist_ok=True)
            create_atomically(settings.data_path / below, (folder / name).read_bytes(), 0o600)
    store = open_store(settings.store_url)
    await mark(store, installation)
    missing = await restore_media(store, folder, with_content=manifest.has_media)
    return count, missing


@contextlib.asynccontextmanager
async def _log(settings: Settings) -> AsyncIterator[Settings]:
    """The log with its topics: the configured cluster, or the embedded broker, for as long as it is needed."""
    from streams.broker.process import Broker
    from streams.kafka.admin import apply_topics
    from streams.process.folders import require_data_dir
    from streams.supervisor import run_dir

    if settings.kafka.bootstrap is not None:
        await apply_topics(settings)
        yield settings
        return
    require_data_dir(settings)
    with run_dir.only_one(settings):
        broker = Broker(settings)
        await broker.start()
        try:
            await broker.wait_ready()
            reached = settings.with_cluster(broker.cluster)
            await apply_topics(reached)
            yield reached
        finally:
            await broker.stop(30.0)
