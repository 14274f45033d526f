"""Fixtures with one real Kafka log per test module: import them by name."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from streams.broker.process import Broker
from streams.kafka.admin import apply_topics
from streams.settings import Settings, load
from tests.integration.web.control_stand_in import ControlStandIn
from tests.integration.web.served import ENVIRON, Site, serve

Make = Callable[..., Settings]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker for this module: the changelogs' names are fixed, and their content is counted here."""
    broker = Broker(
        load(
            {
                "KINOLOG_DATA_DIR": str(tmp_path_factory.mktemp("log")),
                "KINOLOG_KAFKA__PORT": "0",
                "KINOLOG_KAFKA__ANONYMOUS": "all",
            }
        )
    )

    async def begin() -> None:
        await broker.start()
        await broker.wait_ready()
        await apply_topics(load({**ENVIRON, "KINOLOG_KAFKA__BOOTSTRAP": broker.bootstrap}), 90)

    asyncio.run(begin())
    yield broker
    asyncio.run(broker.stop())


@pytest.fixture
def make(log: Broker, tmp_path: Path) -> Make:
    """Settings over this module's log and this test's folder."""

    def settings(**environ: str) -> Settings:
        own = {"KINOLOG_DATA_DIR": str(tmp_path), "KINOLOG_KAFKA__BOOTSTRAP": log.bootstrap}
        return load(ENVIRON | own | environ)

    return settings


@pytest.fixture
async def control(make: Make) -> AsyncIterator[ControlStandIn]:
    """The fake of control, which applies the commands."""
    async with ControlStandIn(make()) as stand_in:
        yield stand_in


@pytest.fixture
async def site(make: Make, control: ControlStandIn) -> AsyncIterator[Site]:
    """A replica that has caught up."""
    async with serve(make()) as found:
        yield found
