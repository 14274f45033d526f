"""Faults that other services published about themselves, each tried here. Each test names repository and number."""

import base64
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import FormData
from yarl import URL

from tests.conftest import MakeSettings, eventually
from tests.integration.web.auth.owned_things import CONTENT, SETTINGS, annas_things
from tests.integration.web.control_stand_in import ControlStandIn
from tests.integration.web.logs import Make, control, log, make
from tests.integration.web.served import Site, serve

__all__ = ["control", "log", "make"]  # fixtures are found by their name in this module

BERT = "bert-edits"
SECRET = "s" * 40


@pytest.fixture
async def site(make: Make, control: ControlStandIn) -> AsyncIterator[Site]:
    async with serve(make(**SETTINGS)) as found:
        yield found


@pytest.fixture
async def local(make_settings: MakeSettings) -> AsyncIterator[Site]:
    """A replica without authentication and without a log."""
    environ = {"KINOLOG_AUTH__ENABLED": "false", "KINOLOG_KAFKA__BOOTSTRAP": "127.0.0.1:1"}
    async with serve(make_settings(**environ), ready=False) as found:
        yield found


async def raw(site: Site, path: str, **headers: str) -> tuple[int, bytes]:
    """A GET whose path is sent as it is written."""
    url = URL(f"{str(site.server.make_url('/')).rstrip('/')}{path}", encoded=True)
    async with site.session.get(url, headers={"Authorization": f"Bearer {BERT}", **headers}) as answer:
        return answer.status, await answer.read()


async def test_a_result_is_not_found_by_its_id_alone(site: Site, control: ControlStandIn) -> None:
    """golang/vulndb#4814 (QuantumNous/new-api): whoever knew a task's id got another user's video."""
    keys = await annas_things(site, control)
    for kind in ("asset", "transcribed asset"):
        status, body = await raw(site, f"/media/{keys[kind].annas}/probe/1-a/file.txt")
        assert status == 404 and CONTENT not in body
    for kind in ("running job", "completed job"):
        assert (await site.ask("GET", f"/v1/jobs/{keys[kind].annas}/events", BERT))[0] == 404


async def test_no_action_reaches_what_is_anothers_one_by_one_or_in_bulk(site: Site, control: ControlStandIn) -> None:
    """Gsync/jobsync#71: ten actions took an id and asked for no owner."""
    keys = await annas_things(site, control)
    failed, asset = keys["failed job"].annas, keys["asset"].annas
    before = dict(control.jobs)
    for method, path in (("POST", "/retry"), ("POST", "/cancel"), ("DELETE", "")):
        assert (await site.ask(method, f"/v1/jobs/{failed}{path}", BERT))[0] == 404
    for path, body in (
        ("/v1/jobs/retry", {"asset_id": asset}),
        ("/v1/jobs/retry", {"q": failed}),
        ("/v1/jobs/clear", {"status": "all", "artifacts": True}),
        ("/v1/cache-assets/cleanup", {"older_than_days": 0}),
    ):
        status, answer = await site.ask("POST", path, BERT, json=body)
        assert (status, answer["data"]["count"]) == (202, 0), path
    assert control.jobs == before


async def test_json_sent_as_plain_text_from_another_site_does_nothing(local: Site) -> None:
    """open-mercato/cezar#426, bacnh85/pi-extensions#7: a POST without preflight ran with the user's rights."""
    plain = {"Content-Type": "text/plain"}
    body = b'{"role": "admin"}'
    foreign = {**plain, "Origin": "https://evil.example"}
    assert (await local.ask("POST", "/v1/tokens", None, data=body, headers=foreign))[0] == 403
    assert (await local.ask("POST", "/v1/tokens", None, data=body, headers=plain))[0] == 415


async def test_a_rebound_name_reads_nothing_though_it_sends_no_origin(local: Site) -> None:
    """NousResearch/hermes-agent#21939: only the origin was checked, and a rebound page sends none when it reads."""
    for path in ("/v1/jobs", "/v1/tokens", "/metrics", "/v1/live/sse", "/"):
        assert (await local.ask("GET", path, None, headers={"Host": "evil.example:8080"}))[0] == 421


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "localhost.", "127.0.0.1", "127.9.9.9", "[::1]:9"])
async def test_every_spelling_of_this_machine_is_served(local: Site, host: str) -> None:
    """milady-ai/milady#564: loopback names have many forms."""
    for one in (host, "[::ffff:127.0.0.1]:1"):
        assert (await local.ask("GET", "/v1/tokens", None, headers={"Host": one}))[0] == 200


async def test_parts_of_uploads_cannot_be_named_by_a_path(site: Site) -> None:
    """edihasaj/tuspyserver#93: `Upload-Concat` took `../` and read files of the server."""
    tus = {"Tus-Resumable": "1.0.0"}
    for parts in ("final;../../../etc/passwd", "final;/v1/uploads/tus/../../x", "partial"):
        headers = {**tus, "Upload-Length": "5", "Upload-Concat": parts, "Authorization": f"Bearer {BERT}"}
        async with site.session.post(site.server.make_url("/v1/uploads/tus"), headers=headers) as made:
            if made.status == 201:
                assert made.headers.get("Upload-Offset", "0") == "0"
    for upload_id in ("../../signing.key", "..%2f..%2fsigning.key", "%2e%2e/signing.key"):
        assert (await raw(site, f"/v1/uploads/tus/{upload_id}", **tus))[0] in (404, 405)


@pytest.mark.parametrize(
    "path",
    ["..%2F..%2F..%2Fetc%2Fpasswd", "%2e%2e/%2e%2e/web/signing.key", "..%5C..%5Cprivate.txt", "....//....//x", "%00"],
)
async def test_an_encoded_way_up_leads_nowhere(site: Site, control: ControlStandIn, path: str) -> None:
    """TraderAlice/OpenAlice#1319, dutchcoders/transfer.sh#308: parameters were decoded and joined unchecked."""
    _, answer = await site.ask(
        "POST", "/v1/assets", BERT, json={"input": {"object": "shared/clip.mp4"}, "pipeline": "noop"}
    )
    await eventually(lambda: answer["data"]["job_id"] in control.jobs, 60)
    asset_id = answer["data"]["asset_id"]
    await site.ask("GET", f"/v1/assets/{asset_id}?after={answer['cursor']}", BERT)
    for prefix in (f"/media/{asset_id}/", f"/media/{asset_id}/probe/", "/static/"):
        assert (await raw(site, f"{prefix}{path}"))[0] == 404, prefix


async def test_a_file_name_places_no_file(site: Site, control: ControlStandIn, tmp_path: Path) -> None:
    """dreammis/social-auto-upload#212, orhun/rustypaste#2: a name with `../` was written where it said."""
    before = {path for path in tmp_path.rglob("*") if path.name == "pwned.mp4"}
    for name in ("../../pwned.mp4", "/tmp/pwned.mp4", "..\\..\\pwned.mp4"):
        form = FormData()
        form.add_field("file", b"bytes", filename=name, content_type="video/mp4")
        status, answer = await site.ask("POST", "/v1/uploads?pipeline=noop", BERT, data=form)
        assert status == 201, answer
        await eventually(lambda answer=answer: answer["data"]["job_id"] in control.jobs, 60)  # type: ignore[misc]
        job = control.jobs[answer["data"]["job_id"]]
        assert job.input.object == f"uploads/{job.asset_id}/source"
    encoded = base64.b64encode(b"../../pwned.mp4").decode()
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": "1", "Upload-Metadata": f"filename {encoded}"}
    assert (await site.ask("POST", "/v1/uploads/tus", BERT, headers=headers))[0] == 201
    assert {path for path in tmp_path.rglob("*") if path.name == "pwned.mp4"} == before


async def test_a_token_for_another_service_of_the_same_provider_is_no_token_here(make_settings: MakeSettings) -> None:
    """Wave-RF/WaveHouse#320: no setting demanded the audience, so any application's token was taken."""
    named = {"SECRET": SECRET, "ISSUER": "https://id.example", "AUDIENCE": "kinolog"}
    environ = {f"KINOLOG_AUTH__JWT__{name}": value for name, value in named.items()}
    async with serve(make_settings(**environ, KINOLOG_KAFKA__BOOTSTRAP="127.0.0.1:1"), ready=False) as site:
        claims: dict[str, Any] = {"sub": "anna", "iss": "https://id.example", "exp": int(time.time()) + 60}
        for audience, status in (("kinolog", 200), ("payroll", 401), (["payroll"], 401), (None, 401)):
            token = jwt.encode({**claims, **({"aud": audience} if audience else {})}, SECRET, "HS256")
            assert (await site.ask("GET", "/v1/jobs", token))[0] == status, audience


async def test_the_key_of_a_signature_check_is_not_chosen_by_the_token(make_settings: MakeSettings) -> None:
    """mpdavis/python-jose#274: `kid` named a key, and `alg` how it was used."""
    named = {"SECRET": SECRET, "ISSUER": "*", "AUDIENCE": "*"}
    environ = {f"KINOLOG_AUTH__JWT__{name}": value for name, value in named.items()}
    async with serve(make_settings(**environ, KINOLOG_KAFKA__BOOTSTRAP="127.0.0.1:1"), ready=False) as site:
        claims = {"sub": "anna", "role": "admin", "exp": int(time.time()) + 60}
        chosen = {"jwk": {"kty": "oct", "k": "AAAA"}, "jku": "https://evil.example/keys", "kid": "../../dev/null"}
        token = jwt.encode(claims, "e" * 40, "HS256", headers=chosen)
        assert (await site.ask("GET", "/v1/jobs", token))[0] == 401


async def test_nobody_waits_for_a_write_of_another_owner(make: Make, control: ControlStandIn) -> None:
    """A 404 that comes late, or a 503 in its place, tells that there is something."""
    async with serve(make(**SETTINGS, KINOLOG_WEB__AFTER_TIMEOUT_S="0.3")) as site:
        control.takes.clear()
        body = {"input": {"object": "shared/clip.mp4"}, "pipeline": "noop"}
        _, answer = await site.ask("POST", "/v1/assets", "anna-edits", json=body)
        job_id, asset_id = answer["data"]["job_id"], answer["data"]["asset_id"]
        for path in (f"/v1/jobs/{job_id}", f"/v1/assets/{asset_id}", f"/media/{asset_id}/probe/1-a/file.txt"):
            assert (await site.ask("GET", path, BERT))[0] == 404, path
            assert (await site.ask("GET", path, "anna-edits"))[0] == 503, path
        control.takes.set()
