"""Two installations with one cluster and one Redis, as staging and production have them: neither notices the other."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest

from streams.broker.process import Broker
from tests.e2e.system import Api, System, running
from tests.redis_server import redis_server

#: What each of them gets.
JOBS = 12


class Installations(NamedTuple):
    production: System
    staging: System


@pytest.fixture
async def both(fresh_broker: Broker, tmp_path: Path) -> AsyncIterator[Installations]:
    async with redis_server(tmp_path) as redis:
        shared = {
            "KINOLOG_KAFKA__BOOTSTRAP": fresh_broker.bootstrap,
            "KINOLOG_REDIS__URL": redis.url,
            "KINOLOG_KAFKA__SESSION_TIMEOUT_S": "6",
        }
        staged = {"KINOLOG_TOPIC_PREFIX": "staging.", "KINOLOG_PARTITIONS": "3"}
        with (
            running(tmp_path / "production", **shared) as production,
            running(tmp_path / "staging", **shared, **staged) as staging,
        ):
            yield Installations(production, staging)


async def submitted(api: Api, name: str) -> set[str]:
    """Ids of jobs about assets that the other installation has, too; `name` comes back with each."""
    found = set()
    for number in range(JOBS):
        request = {"asset_id": f"asset_{number}", "input": {"object": "none"}, "pipeline": "noop", "passthrough": name}
        status, body = await api.post("/v1/assets", request)
        assert status == 202, body
        found.add(body["data"]["job_id"])
    return found


async def test_each_does_its_own_jobs_whatever_happens_to_the_other(both: Installations) -> None:
    async with both.production.client() as production, both.staging.client() as staging:
        apis = {"production": production, "staging": staging}
        jobs = {name: await submitted(api, name) for name, api in apis.items()}
        both.production.kill("control")
        jobs["staging"] |= await submitted(staging, "staging")
        both.staging.kill("executor")
        jobs["production"] |= await submitted(production, "production")
        for name, api in apis.items():
            for job_id in jobs[name]:
                assert (await api.ended(job_id, 60))["status"] == "completed"
            listed = await api.get("/v1/jobs", limit="200")
            assert {job["id"] for job in listed} == jobs[name]
            assert {job["passthrough"] for job in listed} == {name}
            assert len(await api.get("/v1/executors")) == 1
