"""The interface does what its own documents say: requests made from OpenAPI, and every message against AsyncAPI."""

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

import hypothesis
import jsonschema
import pytest
import schemathesis
from aiokafka import AIOKafkaConsumer, TopicPartition
from schemathesis import checks

from streams.envelope import Entry, read
from streams.topics import names
from tests.conftest import eventually
from tests.integration.web.control_stand_in import ControlStandIn
from tests.integration.web.logs import Make, control, log, make, site
from tests.integration.web.served import ADMIN, Site
from web.nouns import NOUNS

# A piece of a resumable upload is bytes to schemathesis too.
schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")

__all__ = ["control", "log", "make", "site"]  # fixtures are found by their name in this module

#: Requests per route.
EXAMPLES = 12
#: They never end.
ENDLESS = {"/v1/live", "/v1/live/sse"}
OPERATIONS = sorted(
    (re.sub(r":[^}]*", "", route.path), route.method)
    for noun in NOUNS
    if not noun.hidden
    for route in noun.found
    if route.path not in ENDLESS
)
_NAMES = ("not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance")
checks.load_all_checks()
CHECKS = [checks.CHECKS.get_one(name) for name in _NAMES]
GENTLY = hypothesis.settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[hypothesis.Phase.generate],
    suppress_health_check=list(hypothesis.HealthCheck),
)


async def prepared(site: Site, control: ControlStandIn) -> dict[str, str]:
    """Ids of things that are there."""
    item = {"input": {"object": "media/clip.mp4"}, "pipeline": "noop"}
    _, body = await site.ask("POST", "/v1/assets", json=item)
    await eventually(lambda: body["data"]["job_id"] in control.jobs)
    await site.ask("GET", f"/v1/jobs/{body['data']['job_id']}?after={body['cursor']}")
    return dict(body["data"])


@pytest.mark.filterwarnings("ignore:Do not use the `random` module")  # schemathesis' own strategies do
async def test_whatever_is_asked_the_answer_is_one_that_the_document_names(site: Site, control: ControlStandIn) -> None:
    known = await prepared(site, control)
    base = str(site.server.make_url("/")).rstrip("/")
    document = await site.ask("GET", "/openapi.json", None)
    assert document[0] == 200
    troubles = await asyncio.to_thread(lambda: list(_troubles(document[1], base, known)))
    assert not troubles, "\n\n".join(troubles)


def _troubles(document: dict[str, Any], base: str, known: dict[str, str]) -> Iterator[str]:
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=base)
    for path, method in OPERATIONS:
        operation = schema[path][method]
        try:
            _exercise(operation, known)
        except (Exception, BaseExceptionGroup) as error:  # noqa: BLE001 - whatever it is, the other routes are looked at too
            yield f"{method} {path}: {_reasons(error)}"


def _reasons(error: BaseException) -> str:
    """What went wrong, without the way there."""
    if isinstance(error, BaseExceptionGroup):
        return " | ".join([str(error)[:800], *map(_reasons, error.exceptions)])
    return f"{type(error).__name__}: {error} {getattr(error, 'message', '')}"[:800]


def _exercise(operation: Any, known: dict[str, str]) -> None:
    asked = 0

    @GENTLY
    @hypothesis.given(case=operation.as_strategy())
    def exercise(case: Any) -> None:
        nonlocal asked
        asked += 1
        if asked % 2:
            for name in case.path_parameters or {}:
                case.path_parameters[name] = known.get(name, case.path_parameters[name])
        case.call_and_validate(headers={"Authorization": f"Bearer {ADMIN}"}, checks=CHECKS, timeout=20)

    exercise()


def validator(document: dict[str, Any], message: str) -> jsonschema.Draft202012Validator:
    """Checks payloads of a message; fields that are not told are found too."""
    schemas = {
        name: {**schema, "additionalProperties": False} if "properties" in schema else schema
        for name, schema in document["components"]["schemas"].items()
    }
    payload = document["components"]["messages"][message]["payload"]
    return jsonschema.Draft202012Validator({**payload, "components": {"schemas": schemas}})


async def test_every_frame_and_every_record_is_what_the_document_says(
    site: Site, control: ControlStandIn, make: Make
) -> None:
    document = (await site.ask("GET", "/asyncapi.json", None))[1]
    frames: list[dict[str, Any]] = []
    headers = {"Authorization": f"Bearer {ADMIN}"}
    async with site.session.ws_connect(site.server.make_url("/v1/live?subscribe=all"), headers=headers) as live:
        known = await prepared(site, control)
        await site.ask("POST", "/v1/tokens", json={"role": "viewer", "owner": "carl"})
        await site.ask("POST", f"/v1/jobs/{known['job_id']}/cancel")
        await eventually(lambda: control.jobs[known["job_id"]].status == "cancelled")
        await control.delete(known["job_id"])
        async with asyncio.timeout(20):
            while not frames or frames[-1]["type"] != "deleted":
                frames.append(json.loads(await live.receive_str()))
    assert {frame["type"] for frame in frames} >= {"snapshot", "job", "deleted"}
    for frame in frames:
        validator(document, frame["type"]).validate(frame)
    settings = make()
    topics = names(settings)
    for topic in (topics.commands, topics.audit):
        seen = [entry for entry in await _entries(settings.bootstrap, topic) if isinstance(entry, Entry)]
        assert seen
        for entry in seen:
            key = entry.event.type.replace(".", "_").replace("-", "_")
            validator(document, key).validate(json.loads(bytes(entry.event.data)))
    for record in await _records(settings.bootstrap, topics.tokens):
        validator(document, "token").validate(json.loads(record.value))


async def _entries(bootstrap: str, topic: str) -> list[Any]:
    return [entry for record in await _records(bootstrap, topic) for entry in read(record.value, record.headers)]


async def _records(bootstrap: str, topic: str) -> list[Any]:
    """All that is on the topic now."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False)
    await consumer.start()
    try:
        await consumer._client.force_metadata_update()
        parts = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
        consumer.assign(parts)
        await consumer.seek_to_beginning(*parts)
        ends = await consumer.end_offsets(parts)
        found: list[Any] = []
        for part in parts:
            while await consumer.position(part) < ends[part]:
                found += (await consumer.getmany(part, timeout_ms=500)).get(part, [])
        return found
    finally:
        await consumer.stop()


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/docs", "/openapi.json", "/asyncapi.json", "/"])
async def test_what_everybody_may_know_needs_no_token(site: Site, path: str) -> None:
    assert (await site.ask("GET", path, None))[0] == 200
