"""kinolog on a cluster with TLS, users and ACLs: every process has the rights of its role, and no others."""

import asyncio
import hashlib
import json
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import TopicAuthorizationFailedError
from msgspec.structs import replace

from streams.cluster import Cluster
from streams.kafka.acls import ROLES, Acl, Operation, Resource, Role, acls_of, create_acls
from streams.kafka.admin import TopicsError, apply_topics
from streams.kafka.producer import Producer
from streams.kafka.reader import open_reader, read_to_end
from streams.kafka.topics import names, required_topics
from streams.settings import Settings
from tests.e2e.roles import operated, restricted, running
from tests.e2e.system import Api
from tests.secured_broker import SecuredBroker, secured_broker

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def broker() -> AsyncIterator[SecuredBroker]:
    """One for all tests; those that write forged records come last."""
    async with secured_broker(ROLES) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def settings(broker: SecuredBroker, tmp_path: Path) -> Settings:
    """Settings of the operator, who has applied the topics; every role has its rights."""
    return await operated(broker, restricted(tmp_path / "data"))


async def test_a_job_is_done_by_processes_that_have_only_the_rights_of_their_roles(
    broker: SecuredBroker, settings: Settings, tmp_path: Path, clip: Path
) -> None:
    async with running(broker, settings, tmp_path) as api:
        accepted = await api.upload(clip, pipeline="video")
        job = await api.ended(accepted["job_id"], within_s=280)
        assert job["status"] == "completed", job
        await _publish(broker.by_password("producer"), names(settings).uploads)
        async with asyncio.timeout(60):
            while not (jobs := await api.get("/v1/jobs", asset_id="from-the-log", status="completed")):
                await asyncio.sleep(0.2)
        assert len(jobs) == 1
        assert all(queue["executors"] == 1 for queue in await api.get("/v1/queues"))
        status, _ = await api.post("/v1/tokens", {"role": "viewer", "owner": "anna"})
        assert status == 201
        async with api.session.delete(f"/v1/assets/{accepted['asset_id']}") as response:
            assert response.status == 202
        async with asyncio.timeout(60):
            while list((tmp_path / "data" / "store" / "assets" / accepted["asset_id"]).rglob("*.*")):
                await asyncio.sleep(0.2)
    logs = "".join(path.read_text() for path in tmp_path.glob("*.log"))
    assert "uthorization" not in logs, logs


async def _publish(cluster: Cluster, topic: str) -> None:
    headers = {"ce_specversion": "1.0", "ce_id": str(uuid.uuid4()), "ce_source": "cms"}
    headers |= {"ce_type": "media.upload.completed.v1", "content-type": "application/json"}
    value = b'{"asset_id": "from-the-log", "input": {"object": "nothing-here"}, "pipeline": "noop"}'
    async with AIOKafkaProducer(**cluster.client_options()) as producer:
        await producer.send_and_wait(topic, value, headers=[(name, text.encode()) for name, text in headers.items()])


async def test_a_wrong_password_is_reported_as_such(broker: SecuredBroker, settings: Settings) -> None:
    with pytest.raises(TopicsError, match="uthentication"):
        await apply_topics(settings.with_cluster(broker.by_password("operator", "wrong")), within_s=5)


async def test_client_certificates_are_enough(broker: SecuredBroker, settings: Settings) -> None:
    owned = settings.with_cluster(broker.by_certificate("admin"))
    assert (await apply_topics(owned)).created == []
    producer = Producer(owned, "a-certificate")
    await producer.start(names(settings).events)
    try:
        await producer.deliver(names(settings).events, 0, b"key", b"value", [])
    finally:
        await producer.stop(5)
    part = TopicPartition(names(settings).events, 0)
    async with open_reader(owned.cluster, [part], reset="earliest") as reader:
        assert b"value" in [record.value async for record in read_to_end(reader, [part])]


async def test_an_executors_credential_grants_nothing_even_with_a_right_too_many(
    broker: SecuredBroker, settings: Settings, tmp_path: Path
) -> None:
    """Its credential may write to the topic of tokens, by a mistake of the cluster's operator."""
    own = await _with_own_topics(broker, settings)
    tokens, executor = names(own).tokens, broker.by_password("executor")
    mistake = [Acl(Resource.TOPIC, tokens, (Operation.READ, Operation.WRITE))]
    await create_acls(broker.by_password("admin"), "User:executor", mistake)
    async with running(broker, own, tmp_path, ("web",)) as api:
        token_id, token = await _new_token(api)
        async with AIOKafkaProducer(**executor.client_options()) as producer:
            row = {"id": "tok_x", "digest": hashlib.sha256(b"known").hexdigest(), "role": "admin", "created_at": 1}
            await producer.send_and_wait(tokens, json.dumps(row).encode(), key=b"tok_x")
            await producer.send_and_wait(tokens, None, key=token_id.encode())
        async with asyncio.timeout(60):
            while "kinolog_refused_records 2.0" not in await _text(api, "/metrics"):
                await asyncio.sleep(0.2)
        assert await _status(api, "tok_x.known") == 401
        assert await _status(api, token) == 200


async def _with_own_topics(broker: SecuredBroker, settings: Settings) -> Settings:
    own = replace(settings, topic_prefix="mistaken.")
    for role in ("web", "operator"):
        await create_acls(broker.by_password("admin"), f"User:{role}", acls_of(role, own))
    await apply_topics(own)
    return own


async def _new_token(api: Api) -> tuple[str, str]:
    """Of a viewer."""
    status, body = await api.post("/v1/tokens", {"role": "viewer", "owner": "anna"})
    assert status == 201, body
    return body["data"]["id"], body["data"]["token"]


async def _text(api: Api, path: str) -> str:
    async with api.session.get(path) as response:
        return await response.text()


async def _status(api: Api, token: str) -> int:
    async with api.session.get("/v1/jobs", headers={"Authorization": f"Bearer {token}"}) as response:
        return response.status


#: What each role writes; everything else is refused.
def _written(settings: Settings) -> dict[Role, set[str]]:
    topics = names(settings)
    requests = {topic.name for topic in required_topics(settings) if "step-requests" in topic.name}
    rows = {topics.jobs_changelog, topics.assets_changelog}
    decisions = {topics.commands, topics.step_events, topics.events, topics.progress, topics.control, topics.removals}
    return {
        "web": {topics.commands, topics.source_urls, topics.progress, topics.tokens, topics.audit} | {topics.calls},
        "control": decisions | rows | requests | {topics.source_urls, topics.dead_letters},
        "executor": {topics.step_events, topics.progress, topics.executors, topics.dead_letters, topics.source_urls},
        "operator": set(),
        "backup": set(),
        "producer": {topics.uploads},
        "consumer": set(),
    }


async def test_forged_records_are_refused(broker: SecuredBroker, settings: Settings) -> None:
    for role, allowed in _written(settings).items():
        producer = AIOKafkaProducer(**broker.by_password(role).client_options())
        await producer.start()
        try:
            accepted = {topic.name for topic in required_topics(settings) if await _accepts(producer, topic.name)}
        finally:
            await producer.stop()
        assert accepted == allowed, role


async def _accepts(producer: Any, topic: str) -> bool:
    try:
        await producer.send_and_wait(topic, b"forged", key=b"forged", partition=0)
    except TopicAuthorizationFailedError:
        return False
    return True
