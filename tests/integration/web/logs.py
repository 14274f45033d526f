"""Fixtures with a real Kafka log for each test module, on a broker that modules share: import them by name."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from streams.broker.process import Broker
from streams.kafka.admin import apply_topics
from streams.settings import Settings, load
from tests.installations import Installation, installation
from tests.integration.web.control_stand_in import ControlStandIn
from tests.integration.web.served import ENVIRON, Site, serve

Make = Callable[..., Settings]


@pytest.fixture(scope="module")
def log(broker: Broker) -> Iterator[Installation]:
    """Topics of this module's own: their content is counted here."""
    with asyncio.Runner() as runner:
        context = installation(broker)
        found = runner.run(context.__aenter__())
        runner.run(apply_topics(load(ENVIRON | found.environ), 90))
        yield found
        runner.run(context.__aexit__(None, None, None))


@pytest.fixture
def make(log: Installation, tmp_path: Path) -> Make:
    """Settings over this module's log and this test's folder."""

    def settings(**environ: str) -> Settings:
        return load(ENVIRON | log.environ | {"KINOLOG_DATA_DIR": str(tmp_path)} | environ)

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
