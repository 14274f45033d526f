"""Fixtures of the tests that run control against a broker of their own."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from streams.broker.process import Broker
from streams.kafka.admin import apply_topics
from streams.settings import Settings
from tests.integration.agents.outside import Control, Outside, control_and_world


@pytest.fixture
async def outside(
    fresh_broker: Broker, make_settings: Callable[..., Settings], tmp_path: Path
) -> AsyncIterator[tuple[Control, Outside]]:
    """Control runs, and is started again when it ends."""
    settings = make_settings(KINOLOG_KAFKA__BOOTSTRAP=fresh_broker.bootstrap)
    await apply_topics(settings)
    async with control_and_world(settings, tmp_path / "control.log") as both:
        yield both
