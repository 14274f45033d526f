"""Two installations with one store, because of a copied setting: neither removes what the other knows."""

import os
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from processors.storage.keys import OWNER_KEY
from processors.storage.local_store import LocalStore
from streams.cluster import Cluster
from streams.doctor import services
from streams.kafka.admin import apply_topics
from tests.conftest import eventually
from tests.integration.web.logs import Make, log, make
from tests.integration.web.served import Site, serve
from web.background.store_cleanup import StoreCleanup
from web.http.problems import Problem

__all__ = ["log", "make"]  # fixtures are found by their name in this module

DAY_S = 86_400
#: An upload whose job only the first installation knows, and one that nobody knows.
UPLOAD, LOST = "direct/anna/film.mp4", "direct/anna/lost.mp4"


async def _bytes() -> AsyncIterator[bytes]:
    yield b"media"


async def _lay(folder: Path, *keys: str) -> None:
    store = LocalStore(folder)
    for key in keys:
        await store.put(key, _bytes(), 100)
        os.utime(store.root / key, (time.time() - 9 * DAY_S,) * 2)


async def _keys(site: Site) -> list[str]:
    return sorted([stored.key async for stored in site.parts.store.walk("direct")])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of the store."""
    return tmp_path / "store"


@pytest.fixture
async def first(make: Make, folder: Path) -> AsyncIterator[Site]:
    """It has cleaned up once, as it does at its start."""
    await _lay(folder, LOST)
    async with serve(make(KINOLOG_STORE__URL=folder.as_uri())) as site:
        await eventually(lambda: not (folder / LOST).exists(), 30)
        yield site


@pytest.fixture
async def second(make: Make, first: Site, folder: Path, tmp_path: Path) -> AsyncIterator[Site]:
    data = {"KINOLOG_DATA_DIR": str(tmp_path / "staging"), "KINOLOG_STORE__URL": folder.as_uri()}
    settings = make(KINOLOG_TOPIC_PREFIX="staging.", **data)
    await apply_topics(settings)
    async with serve(settings) as site:
        yield site


async def test_only_the_owner_removes_what_it_does_not_know(first: Site, second: Site, folder: Path) -> None:
    await _lay(folder, UPLOAD, LOST)
    body = {"input": {"object": UPLOAD}, "pipeline": "noop"}
    assert (await first.ask("POST", "/v1/assets", json=body))[0] == 202
    with pytest.raises(Problem) as refused:
        await StoreCleanup(second.parts).clean_up()
    assert refused.value.code == "store-of-another-installation"
    for dry_run in (True, False):
        status, problem = await second.ask("POST", "/v1/store/gc", json={"dry_run": dry_run, "older_than_days": 0})
        assert (status, problem["code"]) == (409, "store-of-another-installation")
        assert "KINOLOG_STORE__URL" in problem["detail"]
    assert await _keys(first) == [UPLOAD, LOST]


async def test_the_doctor_of_the_other_one_says_so(first: Site, second: Site) -> None:
    assert (await services.store(first.parts.settings)).level == "ok"
    found = await services.store(second.parts.settings)
    assert (found.level, found.exit_code) == ("problem", 2)
    assert OWNER_KEY in found.message and f"topics {first.parts.settings.topic_prefix}*" in found.message


async def test_the_other_one_cleans_up_once_it_has_taken_the_store_over(second: Site, folder: Path) -> None:
    await _lay(folder, LOST)
    await second.parts.store.delete_prefix(OWNER_KEY)
    await StoreCleanup(second.parts).clean_up()
    assert await _keys(second) == []
    assert (await services.store(second.parts.settings)).level == "ok"


async def test_without_the_log_nothing_is_removed(first: Site, folder: Path) -> None:
    await _lay(folder, LOST)
    parts = replace(first.parts, settings=first.parts.settings.with_cluster(Cluster("127.0.0.1:1")))
    with pytest.raises(Problem) as refused:
        await StoreCleanup(parts).clean_up()
    assert (refused.value.status, refused.value.code) == (503, "broker-unavailable")
    assert await _keys(first) == [LOST]
