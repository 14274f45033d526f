"""`kinolog doctor` beside real neighbours: a broker, a bucket, Redis."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from streams.broker.process import Broker
from streams.doctor import cluster, services
from streams.kafka.admin import apply_topics
from streams.kafka.topics import names
from streams.settings import to_environ
from tests import bucket
from tests.conftest import MakeSettings, eventually


async def test_the_log_is_well_once_its_topics_are_applied(broker: Broker, make_settings: MakeSettings) -> None:
    settings = make_settings(KINOLOG_KAFKA__BOOTSTRAP=broker.bootstrap, KINOLOG_TOPIC_PREFIX="doctor.")
    before = await cluster.log(settings)
    assert before.exit_code == 2 and "missing" in before.message and "topics apply" in (before.remedy or "")
    await apply_topics(settings)

    async def is_well() -> bool:  # the broker answers before its own cache knows every topic
        return (await cluster.log(settings)).level == "ok"

    await eventually(is_well)


async def test_another_number_of_partitions_is_a_problem(broker: Broker, make_settings: MakeSettings) -> None:
    settings = make_settings(KINOLOG_KAFKA__BOOTSTRAP=broker.bootstrap, KINOLOG_TOPIC_PREFIX="doctor-partitions.")
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(names(settings).commands, 3, 1)])
    await admin.close()

    async def is_told() -> bool:
        found = await cluster.log(settings)
        return found.exit_code == 2 and "has 3 partitions, not 8" in found.message

    await eventually(is_told)


async def test_a_cluster_that_is_not_there_ends_the_command_with_3(
    make_settings: MakeSettings, free_port: Callable[[], int]
) -> None:
    settings = make_settings(KINOLOG_KAFKA__BOOTSTRAP=f"127.0.0.1:{free_port()}")
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "streams.cli", "doctor", "--json"],
        env={**_outside(), **to_environ(settings)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    told = json.loads(done.stdout)
    assert (done.returncode, told["exit_code"], done.stderr) == (3, 3, "")
    assert [one["check"] for one in told["checks"] if one["level"] == "problem"] == ["log"]


async def test_a_bucket_is_well_when_it_can_be_written(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with bucket.moto() as endpoint:
        await bucket.make_bucket(endpoint)
        for name, value in bucket.environ(endpoint).items():
            monkeypatch.setenv(name, value)
        assert (await services.store(make_settings(KINOLOG_STORE__URL=f"s3://{bucket.BUCKET}"))).level == "ok"
        absent = await services.store(make_settings(KINOLOG_STORE__URL="s3://absent"))
        assert absent.exit_code == 3 and "KINOLOG_STORE__URL" in (absent.remedy or "")


_VERSIONED = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
_RULES = """<LifecycleConfiguration><Rule><ID>old</ID><Status>Enabled</Status><Filter><Prefix>{}</Prefix></Filter>
<NoncurrentVersionExpiration><NoncurrentDays>3</NoncurrentDays></NoncurrentVersionExpiration>
</Rule></LifecycleConfiguration>"""


@pytest.mark.parametrize(
    "configured, level, said",
    [
        ({}, "ok", "is writable"),
        ({"versioning": _VERSIONED}, "warning", "media of deleted assets remains."),
        ({"versioning": _VERSIONED, "lifecycle": _RULES.format("")}, "ok", "remains as old versions for 3 days"),
        ({"versioning": _VERSIONED, "lifecycle": _RULES.format("a/")}, "warning", "media of deleted assets remains."),
    ],
)
async def test_a_bucket_that_keeps_what_is_deleted_is_a_warning(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch, configured: dict[str, str], level: str, said: str
) -> None:
    with bucket.moto() as endpoint:
        await bucket.make_bucket(endpoint)
        for name, value in bucket.environ(endpoint).items():
            monkeypatch.setenv(name, value)
        for subresource, xml in configured.items():
            await bucket.configure(endpoint, subresource, xml)
        found = await services.store(make_settings(KINOLOG_STORE__URL=f"s3://{bucket.BUCKET}/below"))
        assert found.level == level and found.message.endswith(said)


@pytest.mark.parametrize(
    "allowed, level", [("http://127.0.0.1:8080", "ok"), ("*", "ok"), ("http://x", "warning"), (None, "warning")]
)
async def test_a_bucket_that_the_page_may_not_read_is_a_warning(
    make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch, allowed: str | None, level: str
) -> None:
    async def answer(request: web.Request) -> web.Response:
        assert request.headers["Access-Control-Request-Method"] == "GET"
        return web.Response(headers={"Access-Control-Allow-Origin": allowed} if allowed else {})

    app = web.Application()
    app.router.add_route("OPTIONS", "/{path:.*}", answer)
    async with TestServer(app) as server:
        for name, value in bucket.environ(str(server.make_url("/"))).items():
            monkeypatch.setenv(name, value)
        s3 = {"KINOLOG_STORE__URL": f"s3://{bucket.BUCKET}", "KINOLOG_WEB__PORT": "8080"}
        found = await services.cors(make_settings(**s3))
        assert found.level == level and ("CORS rule" in (found.remedy or "")) is (level == "warning")
        assert (await services.cors(make_settings(**s3, KINOLOG_STORE__REDIRECT="false"))).level == "ok"
    assert (await services.cors(make_settings(**s3))).level == "warning"


def _outside() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("KINOLOG_")}
