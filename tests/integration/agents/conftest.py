"""Fixtures of the tests that run control against a real broker."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from streams.kafka.admin import apply_topics
from streams.settings import Settings
from tests.installations import Installation
from tests.integration.agents.outside import Control, Outside, control_and_world


@pytest.fixture
async def outside(
    own_installation: Installation, make_settings: Callable[..., Settings], tmp_path: Path
) -> AsyncIterator[tuple[Control, Outside]]:
    """Control runs, and is started again when it ends."""
    settings = make_settings(**own_installation.environ)
    await apply_topics(settings)
    async with control_and_world(settings, tmp_path / "control.log") as both:
        yield both
