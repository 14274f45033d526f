"""What tests of all kinds share: settings of their own, a real broker, sample media, and waiting with a deadline."""

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from inspect import isawaitable
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from streams.broker.process import Broker
from streams.process import ports
from streams.settings import Settings, load
from tests import shares
from tests.installations import Installation, installation
from tests.properties import EXAMPLES, examples

# The same examples every time, for people as for CI: what a run shows is about the change. `make properties` takes
# fresh ones. How long an example takes says nothing on a machine that does other things too.
hypothesis.settings.register_profile(
    "shared",
    deadline=None,
    derandomize=EXAMPLES not in os.environ,
    max_examples=examples(100),
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("shared")

# What tests lean on asserts too, and should say as much when it fails.
pytest.register_assert_rewrite("tests.browser", "tests.e2e.system")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long tests of other commits out, where `make test` asks for a share of them."""
    if (share := shares.current()) is not None:
        config.hook.pytest_deselected(items=[item for item in items if shares.is_left_out(item.nodeid, share)])
        items[:] = [item for item in items if not shares.is_left_out(item.nodeid, share)]


MakeSettings = Callable[..., Settings]
SampleMedia = Callable[[str], Path | None]

_MEDIA = Path(__file__).resolve().parents[2] / "shared" / "media"


async def eventually(condition: Callable[[], Any], within_s: float = 10.0, every_s: float = 0.02) -> Any:
    """The first truthy value of `condition` (a plain or an async callable); fails when there is none in time."""
    deadline = time.monotonic() + within_s
    while True:
        found = condition()
        value = await found if isawaitable(found) else found
        if value:
            return value
        assert time.monotonic() < deadline, (
            f"not true within {within_s} s: {getattr(condition, '__qualname__', condition)}"
        )
        await asyncio.sleep(every_s)


@pytest.fixture(name="eventually")
def eventually_fixture() -> Callable[..., Awaitable[object]]:
    """`await eventually(condition, within_s)`: wait for a condition, never for a guess."""
    return eventually


@pytest.fixture
def free_port() -> Callable[[], int]:
    """A function that finds another free port on loopback."""
    return ports.free_port


@pytest.fixture
def make_settings(tmp_path: Path) -> MakeSettings:
    """`make_settings(KINOLOG_X="…")`: settings over a folder of this test, on free ports, without the environment."""

    def make(**environ: str) -> Settings:
        own = {
            "KINOLOG_DATA_DIR": str(tmp_path / "kinolog-data"),
            "KINOLOG_KAFKA__PORT": "0",
            "KINOLOG_KAFKA__ANONYMOUS": "all",
            "KINOLOG_WEB__PORT": "0",
        }
        return load(own | environ)

    return make


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One real broker for all tests of the run. Names are theirs to keep apart, see `own_installation`."""
    folder = tmp_path_factory.mktemp("broker")
    shared = Broker(
        load({"KINOLOG_DATA_DIR": str(folder), "KINOLOG_KAFKA__PORT": "0", "KINOLOG_KAFKA__ANONYMOUS": "all"})
    )

    async def begin() -> None:
        await shared.start()
        await shared.wait_ready()

    asyncio.run(begin())
    yield shared
    asyncio.run(shared.stop())
    shutil.rmtree(folder)


@pytest.fixture
async def own_installation(broker: Broker) -> AsyncIterator[Installation]:
    """Names of this test's own on the shared broker: topics, changelogs, consumer groups."""
    async with installation(broker) as found:
        yield found


@pytest.fixture
async def fresh_broker(tmp_path: Path) -> AsyncIterator[Broker]:
    """A broker for this test alone, which may be killed."""
    own = Broker(
        load(
            {
                "KINOLOG_DATA_DIR": str(tmp_path / "broker"),
                "KINOLOG_KAFKA__PORT": "0",
                "KINOLOG_KAFKA__ANONYMOUS": "all",
            }
        )
    )
    await own.start()
    await own.wait_ready()
    yield own
    await own.stop()


@pytest.fixture(scope="session")
def sample_media() -> SampleMedia:
    """`sample_media("bikes.mp4")`: a real clip, or None on a machine that has none."""

    def find(name: str) -> Path | None:
        path = _MEDIA / name
        return path if path.exists() else None

    return find
