"""The API conforms to its documents: requests generated from OpenAPI, and every message against AsyncAPI."""

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis import checks

from streams.kafka.topics import names
from tests.asyncapi import Checker, records, validator
from tests.conftest import eventually
from tests.integration.web.control_stand_in import ControlStandIn
from tests.integration.web.logs import Make, control, log, make, site
from tests.integration.web.served import ADMIN, Site
from web.route_list import ROUTES

# A piece of a resumable upload is bytes to schemathesis too.
schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")

__all__ = ["control", "log", "make", "site"]  # fixtures are found by their name in this module

#: Requests per route.
EXAMPLES = 12
#: They never end.
ENDLESS = {"/v1/live", "/v1/live/sse"}
OPERATIONS = sorted(
    (re.sub(r":[^}]*", "", route.path), route.method)
    for listed in ROUTES
    if not listed.hidden
    for route in listed.entries
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
    """Ids of existing jobs and assets."""
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
    """Reasons of the failures, without their tracebacks."""
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


async def test_every_frame_and_every_record_is_what_the_document_says(
    site: Site, control: ControlStandIn, make: Make
) -> None:
    document = (await site.ask("GET", "/asyncapi.json", None))[1]
    frames: list[dict[str, Any]] = []
    headers = {"Authorization": f"Bearer {ADMIN}"}
    async with site.session.ws_connect(site.server.make_url("/v1/live?subscribe=all"), headers=headers) as live:
        known = await prepared(site, control)
        await site.ask("POST", "/v1/tokens", json={"role": "viewer", "owner": "carl"})
        await site.ask("POST", "/v1/keys")
        await site.ask("POST", f"/v1/jobs/{known['job_id']}/cancel")
        await eventually(lambda: control.jobs[known["job_id"]].status == "cancelled")
        await control.delete(known["job_id"])
        async with asyncio.timeout(20):
            while not frames or frames[-1]["type"] != "deleted":
                frames.append(json.loads(await live.receive_str()))
    assert {frame["type"] for frame in frames} >= {"snapshot", "job", "deleted"}
    checker = Checker(document)
    for frame in frames:
        checker.check_frame(frame)
    settings = make()
    topics = names(settings)
    for record in await records(settings.cluster, topics.commands, topics.audit):
        checker.check_record(record)
    assert {"media_job_submit_v1", "media_audit_recorded_v1"} <= checker.seen
    for record in await records(settings.cluster, topics.tokens):
        if record.value is None:  # the end of unsigned records
            continue
        kind = "signing_key" if record.key.startswith(b"key_") else "token"
        validator(document, kind).validate(json.loads(record.value))


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/docs", "/openapi.json", "/asyncapi.json", "/"])
async def test_what_everybody_may_know_needs_no_token(site: Site, path: str) -> None:
    assert (await site.ask("GET", path, None))[0] == 200
