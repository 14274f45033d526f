"""One system for all that concerns foreign media: with Redis, a bucket at hand, and little room."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from streams.data_files import pipelines_dir
from streams.process.ports import free_port
from streams.settings import load
from tests.bucket import environ, make_bucket, moto
from tests.e2e.conftest import SHORT_LEASES
from tests.e2e.system import Api, System
from tests.integration.processors.fetch.origin import Origin
from tests.redis_server import RedisServer

#: What the cache may take, and how large a file must be to fill more than a third of it.
ROOM_BYTES, LARGE_BYTES = 20_000_000, 8_000_000

PIPELINE = """
name: published
steps:
  - name: probe
  - name: thumbnails
    after: [probe]
  - name: store
    after: [thumbnails]
    params:
      to: s3://media/published
      steps: [thumbnails]
      path: "of/{asset_id}"
      objects:
        - object: thumbnails/poster.jpg
          path: "posters/{asset_id}.jpg"
          content_type: image/pjpeg
          metadata: {kind: poster}
      metadata: {maker: kinolog}
      delete_local: true
"""


class Caching(NamedTuple):
    """The running system and what is around it."""

    system: System
    #: Of the origin that downloads may ask.
    origin_port: int
    #: Of the bucket's server.
    bucket: str
    redis: RedisServer
    #: How another process of it is started.
    environ: dict[str, str]


@pytest.fixture(scope="package")
def around(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caching]:
    folder, origin_port = tmp_path_factory.mktemp("caching"), free_port()
    redis = RedisServer(folder)
    with contextlib.closing(redis), moto() as bucket:
        asyncio.run(make_bucket(bucket))
        own = {
            **SHORT_LEASES,
            **environ(bucket),
            "KINOLOG_CACHE__EVERY_S": "0.2",
            "KINOLOG_CACHE__MAX_BYTES": str(ROOM_BYTES),
            "KINOLOG_DOWNLOAD__ALLOW_HOSTS": f"127.0.0.1:{origin_port}",
            "KINOLOG_EXECUTOR__SLOTS": '{"download": 20}',
            "KINOLOG_PIPELINES_DIR": str(_pipelines(folder / "pipelines")),
            "KINOLOG_REDIS__LEASE_S": "2",
            "KINOLOG_REDIS__URL": redis.url,
        }
        system = System(folder / "data", **own)
        yield Caching(system, origin_port, bucket, redis, own)
        assert system.stop() == 0


def _pipelines(folder: Path) -> Path:
    """The usual ones, and one that pushes what it made into a bucket."""
    shutil.copytree(pipelines_dir(load({})), folder)
    (folder / "published.yaml").write_text(PIPELINE)
    return folder


@pytest.fixture
def caching(around: Caching) -> System:
    return around.system


@pytest.fixture
async def origin(around: Caching) -> AsyncIterator[Origin]:
    """The foreign server."""
    origin = Origin(around.origin_port)
    async with await asyncio.start_server(origin.serve, "127.0.0.1", origin.port, reuse_address=True):
        yield origin


@pytest.fixture
async def api(caching: System) -> AsyncIterator[Api]:
    async with caching.client() as found:
        yield found
