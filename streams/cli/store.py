"""`kinolog store`: commands of the object store."""

import asyncio
from typing import TYPE_CHECKING

import click

from streams.cli.common import Output, finish, local_command
from streams.cli.ops import with_running_log
from streams.settings import Settings, load

if TYPE_CHECKING:
    from processors.storage.owner_mark import Installation


class NotAdopted(Exception):
    """The store, or the log whose it is to be, cannot be reached."""

    exit_code = 3


@click.group()
def store() -> None:
    """Say whose the object store is."""


@local_command(store, "adopt", examples=("kinolog store adopt",))
def adopt(*, as_json: bool) -> None:
    """Make the store this installation's.

    For a new store in place of a lost one, and for one that another installation had. Media that is not in it is lost.
    """
    settings = with_running_log(load())
    from aiokafka.errors import KafkaError

    from processors.storage.errors import StoreError

    try:
        installation = asyncio.run(_adopt(settings))
    except (KafkaError, StoreError, OSError) as error:
        raise NotAdopted(f"not adopted: {error or repr(error)}") from error
    line = f"{settings.store_url} belongs to the topics {installation.topic_prefix}* of {installation.cluster_id}."
    value = {"store": settings.store_url, "cluster_id": installation.cluster_id}
    finish(Output([value | {"topic_prefix": installation.topic_prefix}], [line]), as_json=as_json)


async def _adopt(settings: Settings) -> "Installation":
    from processors.storage.object_store import open_store
    from processors.storage.owner_mark import mark
    from streams.kafka.installation import this_installation

    installation = await this_installation(settings)
    await mark(open_store(settings.store_url), installation)
    return installation
