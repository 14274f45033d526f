"""Requests of ordinary clients: old encodings, old protocols, whole forms, broken connections."""

import asyncio
import base64
import gzip
import json
import logging
import os
import time
from email.utils import formatdate
from typing import Any

import pytest

from tests.conftest import eventually
from tests.integration.web.control_stand_in import ControlStandIn
from tests.integration.web.logs import control, log, make, site
from tests.integration.web.served import ADMIN, Site, stored
from web.http.cursors import WriteCursor, dump

__all__ = ["control", "log", "make", "site"]  # fixtures are found by their name in this module

BOUNDARY = "the-boundary"


def form(*parts: tuple[bytes, bytes]) -> bytes:
    """A form of parts, each its Content-Disposition's parameters and its content."""
    found = b"".join(
        b"--%s\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n" % (BOUNDARY.encode(), parameters, content)
        for parameters, content in parts
    )
    return found + b"--%s--\r\n" % BOUNDARY.encode()


FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
NOOP = (b'name="pipeline"', b"noop")
FILE = (b'name="file"; filename="a.mp4"', b"bytes")


async def upload(site: Site, body: bytes, path: str = "/v1/uploads") -> tuple[int, Any]:
    return await site.ask("POST", path, "anna-edits", data=body, headers=FORM)


async def job_of(site: Site, body: Any) -> dict[str, Any]:
    status, shown = await site.ask("GET", f"/v1/jobs/{body['data']['job_id']}?after={body['cursor']}", "anna-edits")
    assert status == 200
    return dict(shown["data"])


@pytest.mark.parametrize(
    "parameter, filename",
    [
        ('filename="Müller.mp4"'.encode(), "Müller.mp4"),
        ('filename="Müller.mp4"'.encode("latin-1"), "Müller.mp4"),
        (b'filename="\x93quoted\x94 \x80.mp4"', "“quoted” €.mp4"),
        (b'filename="\x81\x8d.mp4"', "��.mp4"),
        (b"filename*=UTF-8''M%C3%BCller.mp4", "Müller.mp4"),
        (b"filename*=iso-8859-1''M%FCller.mp4", "Müller.mp4"),
        (b'filename="a %22b%22.mp4"', 'a "b".mp4'),
        (b'filename="100%25.mp4"', "100%25.mp4"),
    ],
)
async def test_a_file_keeps_its_name_whatever_wrote_the_form(site: Site, parameter: bytes, filename: str) -> None:
    status, body = await upload(site, form(NOOP, (b'name="file"; ' + parameter, b"bytes")))
    assert status == 201, body
    assert (await job_of(site, body))["filename"] == filename


async def test_a_name_in_an_address_in_latin_1_is_repaired_and_another_text_refused(site: Site) -> None:
    head = b"POST /v1/uploads?pipeline=noop&%s=M%%FCller HTTP/1.1\r\nContent-Length: 5\r\nConnection: close\r\n"
    answer = await exchanged(site, head % b"filename", b"bytes", "anna-edits")
    assert answer.status == 201, answer
    assert (await job_of(site, json.loads(answer.body)))["filename"] == "Müller"
    answer = await exchanged(site, head % b"passthrough", b"bytes", "anna-edits")
    assert (answer.status, json.loads(answer.body)["code"]) == (422, "invalid-text")


async def test_a_resumable_upload_keeps_its_name_in_latin_1(site: Site, control: ControlStandIn) -> None:
    named = base64.b64encode("Müller.mp4".encode("latin-1")).decode()
    said = f"filename {named},pipeline {base64.b64encode(b'noop').decode()}"
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": "0", "Upload-Metadata": said}
    known = set(control.jobs)
    assert (await site.ask("POST", "/v1/uploads/tus", "anna-edits", headers=headers))[0] == 201
    await eventually(lambda: control.jobs.keys() - known)
    [job_id] = control.jobs.keys() - known
    assert control.jobs[job_id].filename == "Müller.mp4"


@pytest.mark.parametrize("field", ["passthrough", "owner", "pipeline", "priority"])
async def test_a_field_that_is_no_text_is_refused(site: Site, field: str) -> None:
    status, problem = await upload(site, form((f'name="{field}"'.encode(), b"M\xfcller"), FILE))
    assert (status, problem["code"]) == (422, "invalid-form")
    assert stored(site.parts.settings) == []


async def test_fields_behind_the_file_count(site: Site) -> None:
    said = (b'name="passthrough"', b"mine")
    status, body = await upload(site, form(FILE, NOOP, said, (b'name="anything"', b"else")))
    assert status == 201, body
    job = await job_of(site, body)
    assert (job["pipeline"], job["passthrough"], job["filename"]) == ("noop", "mine", "a.mp4")


async def test_a_field_behind_the_file_that_cannot_be_is_refused_and_nothing_is_kept(site: Site) -> None:
    status, problem = await upload(site, form(FILE, (b'name="pipeline"', b"dishes")))
    assert (status, problem["code"]) == (422, "unknown-pipeline")
    assert stored(site.parts.settings) == []


@pytest.mark.parametrize("second", [FILE, (b'name="other"; filename="b.mp4"', b"more"), (b'name="file"', b"more")])
async def test_a_second_file_is_refused_and_the_first_not_kept(
    site: Site, control: ControlStandIn, second: tuple[bytes, bytes]
) -> None:
    known = set(control.jobs)
    status, problem = await upload(site, form(NOOP, FILE, second))
    assert (status, problem["code"]) == (422, "several-files")
    assert stored(site.parts.settings) == [] and set(control.jobs) == known


async def test_a_field_of_files_in_which_nothing_was_chosen_is_no_file(site: Site) -> None:
    nothing = (b'name="cover"; filename=""\r\nContent-Type: application/octet-stream', b"")
    for parts in ((nothing, NOOP, FILE), (NOOP, FILE, nothing)):
        status, body = await upload(site, form(*parts))
        assert status == 201, body
        assert (await job_of(site, body))["filename"] == "a.mp4"
    status, problem = await upload(site, form(NOOP, nothing))
    assert (status, problem["code"]) == (422, "missing-file")


async def test_a_field_that_is_given_twice_is_refused(site: Site) -> None:
    for parts in ((NOOP, NOOP, FILE), (NOOP, FILE, NOOP)):
        status, problem = await upload(site, form(*parts))
        assert (status, problem["code"]) == (422, "invalid-form")
    assert stored(site.parts.settings) == []


async def test_a_form_without_an_end_is_refused(site: Site) -> None:
    parts = [(f'name="field-{number}"'.encode(), b"x") for number in range(1000)]
    for many in ((*parts, FILE), (FILE, *parts)):
        status, problem = await upload(site, form(NOOP, *many))
        assert (status, problem["code"]) == (422, "invalid-form")
    status, problem = await upload(site, form(NOOP, FILE, (b'name="passthrough"', b"x" * 100_000)))
    assert (status, problem["code"]) == (413, "body-too-large")
    assert stored(site.parts.settings) == []


async def test_a_repeat_with_a_key_is_the_same_upload_wherever_its_fields_stand(site: Site) -> None:
    key = {"Idempotency-Key": f"key-{time.time_ns()}"}
    seen = set()
    for parts in ((NOOP, FILE), (FILE, NOOP)):
        status, body = await site.ask("POST", "/v1/uploads", "anna-edits", data=form(*parts), headers=FORM | key)
        assert status == 201, body
        seen.add(body["data"]["job_id"])
    assert len(seen) == 1


class Answer:
    """What came back over a bare connection until its end."""

    def __init__(self, raw: bytes) -> None:
        self.head, _, self.body = raw.partition(b"\r\n\r\n")
        self.status = int(self.head.split()[1]) if self.head else 0

    def __repr__(self) -> str:
        return f"{self.head!r} {self.body[:500]!r}"

    def header(self, name: str) -> str | None:
        lines = [line.partition(b":") for line in self.head.split(b"\r\n")[1:]]
        return next((value.strip().decode() for key, _, value in lines if key.lower() == name.lower().encode()), None)


async def exchanged(site: Site, head: bytes, body: bytes = b"", token: str = ADMIN) -> Answer:
    """Everything that comes back until the server closes the connection."""
    assert site.server.port is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", site.server.port)
    try:
        writer.write(head + b"Host: a\r\nAuthorization: Bearer " + token.encode() + b"\r\n\r\n" + body)
        async with asyncio.timeout(20):
            return Answer(await reader.read())
    finally:
        writer.close()


@pytest.mark.parametrize("kind", ["csv", "json"])
async def test_an_export_over_http_1_0_comes_whole_and_ends_with_the_connection(
    site: Site, control: ControlStandIn, kind: str
) -> None:
    _, accepted = await upload(site, form(NOOP, FILE))
    await job_of(site, accepted)
    answer = await exchanged(site, f"GET /v1/jobs/export?format={kind} HTTP/1.0\r\n".encode())
    assert answer.status == 200, answer
    assert answer.header("Transfer-Encoding") is None
    _, whole = await site.ask("GET", f"/v1/jobs/export?format={kind}")
    assert (answer.body if kind == "csv" else json.loads(answer.body)) == whole


async def test_events_over_http_1_0_come_without_chunks(site: Site) -> None:
    assert site.server.port is not None
    reader, writer = await asyncio.open_connection("127.0.0.1", site.server.port)
    writer.write(f"GET /v1/live/sse?subscribe=all HTTP/1.0\r\nAuthorization: Bearer {ADMIN}\r\n\r\n".encode())
    async with asyncio.timeout(20):
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 200 " in head and b"chunked" not in head.lower()
        assert (await reader.readuntil(b"\n\n")).startswith((b"id: ", b": ", b"data: "))
    writer.close()


@pytest.mark.parametrize("path", ["/v1/jobs", "/openapi.json", "/", "/static/app.js", "/metrics", "/v1/nothing"])
async def test_other_answers_over_http_1_0_come_whole(site: Site, path: str) -> None:
    answer = await exchanged(site, f"GET {path} HTTP/1.0\r\nAccept-Encoding: gzip\r\n".encode())
    assert answer.status in (200, 404)
    assert answer.header("Transfer-Encoding") is None
    assert len(answer.body) == int(answer.header("Content-Length") or -1)


async def test_a_file_over_http_1_0_comes_whole_or_in_part(site: Site) -> None:
    path = await published(site, b"x" * 1_000_000)
    whole = await exchanged(site, f"GET {path} HTTP/1.0\r\n".encode())
    assert (whole.status, len(whole.body), whole.header("Transfer-Encoding")) == (200, 1_000_000, None)
    part = await exchanged(site, f"GET {path} HTTP/1.0\r\nRange: bytes=1-3\r\n".encode())
    assert (part.status, part.body) == (206, b"xxx")


async def test_an_upload_over_http_1_0_is_not_told_to_go_on(site: Site) -> None:
    head = b"POST /v1/uploads?pipeline=noop HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n"
    answer = await exchanged(site, head, b"bytes")
    assert answer.status == 201, answer


async def published(site: Site, content: bytes, age_s: float = 0, name: str = "file.mp4") -> str:
    """Address of a file of an asset."""
    _, body = await upload(site, form(NOOP, FILE))
    await job_of(site, body)
    asset_id = body["data"]["asset_id"]
    path = site.parts.settings.data_path / "store" / "assets" / asset_id / "probe" / "1-a" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    os.utime(path, (time.time() - age_s, time.time() - age_s))
    return f"/media/{asset_id}/probe/1-a/{name}"


@pytest.mark.parametrize("name", ["track.m3u8", "captions.vtt", "captions.srt", "transcript.json", "transcript.txt"])
async def test_long_playlists_and_captions_come_compressed(site: Site, name: str) -> None:
    """A film of two hours has playlists of 38 kB, which players fetch before the first frame."""
    content = b"".join(b"#EXTINF:6.0,\nsegment-%05d.m4s\n" % number for number in range(1_200))
    path = await published(site, content, age_s=60, name=name)
    head = f"GET {path} HTTP/1.1\r\nConnection: close\r\n"
    plain = await exchanged(site, head.encode())
    packed = await exchanged(site, f"{head}Accept-Encoding: gzip\r\n".encode())
    assert (plain.body, plain.header("Content-Encoding")) == (content, None)
    assert packed.header("Content-Encoding") == "gzip" and len(packed.body) < len(content) / 4
    assert gzip.decompress(packed.body) == content
    assert plain.header("Vary") == packed.header("Vary") == "Accept-Encoding"
    # Other bytes, so not the same strong tag; the client that has one of both is not sent it again.
    assert packed.header("ETag") == f"W/{plain.header('ETag')}"
    for tag in (plain.header("ETag"), packed.header("ETag")):
        assert (await exchanged(site, f"{head}If-None-Match: {tag}\r\n".encode())).status == 304
    part = await exchanged(site, f"{head}Accept-Encoding: gzip\r\nRange: bytes=0-6\r\n".encode())
    assert (part.status, part.body, part.header("Content-Encoding")) == (206, b"#EXTINF", None)


async def test_a_download_goes_on_by_the_date_that_we_gave(site: Site) -> None:
    path = await published(site, b"0123456789", age_s=60)
    whole = await exchanged(site, f"GET {path} HTTP/1.1\r\nConnection: close\r\n".encode())
    modified = whole.header("Last-Modified")

    async def part(if_range: str) -> tuple[int, bytes]:
        head = f"GET {path} HTTP/1.1\r\nConnection: close\r\nRange: bytes=2-4\r\nIf-Range: {if_range}\r\n"
        answer = await exchanged(site, head.encode())
        return answer.status, answer.body

    assert await part(modified or "") == (206, b"234")
    assert await part(whole.header("ETag") or "") == (206, b"234")
    for other in (formatdate(time.time() + 99, usegmt=True), formatdate(1, usegmt=True), "yesterday", '"other"'):
        assert await part(other) == (200, b"0123456789")


@pytest.mark.parametrize("name", ["created_after", "updated_before"])
async def test_a_time_with_a_plus_that_is_not_encoded_gets_a_hint(site: Site, name: str) -> None:
    head = f"GET /v1/jobs?{name}=2026-01-31T12:00:00+01:00 HTTP/1.1\r\nConnection: close\r\n"
    answer = await exchanged(site, head.encode())
    assert (answer.status, json.loads(answer.body)["code"]) == (400, "invalid-time")
    assert "%2B" in json.loads(answer.body)["detail"]
    assert (await site.ask("GET", f"/v1/jobs?{name}=2026-01-31T12:00:00%2B01:00"))[0] == 200


BULK: dict[str, list[dict[str, Any] | None]] = {
    "/v1/jobs/retry": [None, {}, {"q": ""}, {"pipeline": None}],
    "/v1/jobs/clear": [None, {}],
    "/api/v1/studio/processing-jobs/clear": [None, {}],
    "/v1/cache-assets/cleanup": [None, {}],
}


@pytest.mark.parametrize("path, body", [(path, body) for path, bodies in BULK.items() for body in bodies])
async def test_a_command_to_many_needs_to_say_to_which(
    site: Site, control: ControlStandIn, path: str, body: dict[str, Any] | None
) -> None:
    _, made = await upload(site, form(NOOP, FILE))
    job = await control.change(made["data"]["job_id"], status="failed", finished_at=time.time())
    options = {} if body is None else {"json": body}
    status, problem = await site.ask("POST", path, ADMIN, **options)
    assert (status, problem["code"]) == (422, "filter-required"), problem
    assert control.jobs[job.id].status == "failed"


@pytest.mark.parametrize("body", [{"status": "failed"}, {"status": "all"}, {"pipeline": "noop"}, {"q": "none such"}])
async def test_a_command_to_many_with_a_filter_is_taken(site: Site, body: dict[str, str]) -> None:
    assert (await site.ask("POST", "/v1/jobs/retry", ADMIN, json=body))[0] == 202


GONE: dict[str, bytes] = {
    "download": b"GET {file} HTTP/1.1\r\n",
    "raw upload": b"POST /v1/uploads?pipeline=noop HTTP/1.1\r\nContent-Length: 9999999\r\n",
    "chunked upload": b"POST /v1/uploads?pipeline=noop HTTP/1.1\r\nTransfer-Encoding: chunked\r\n",
    "form": b"POST /v1/uploads HTTP/1.1\r\nContent-Length: 9999999\r\n"
    b"Content-Type: multipart/form-data; boundary=b\r\n",
    "JSON": b"POST /v1/assets HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n",
    "resumable upload": b"PATCH {tus} HTTP/1.1\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\n"
    b"Content-Type: application/offset+octet-stream\r\nContent-Length: 5000\r\n",
    "events": b"GET /v1/live/sse?subscribe=all HTTP/1.1\r\n",
    "websocket": b"GET /v1/live?subscribe=all HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    "waiting": b"GET /v1/jobs?after={far} HTTP/1.1\r\n",
}
FIRST_BYTES = {
    "chunked upload": b"5\r\nbytes\r\n",
    "form": b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + b"x" * 300_000,
    "JSON": b'{"input": ',
    "resumable upload": b"y" * 100,
    "raw upload": b"x" * 300_000,
}


#: What goes on for a while: that it ends is no news.
ENDLESS = ("events", "websocket")


@pytest.mark.parametrize("kind", GONE)
async def test_a_client_that_goes_is_one_line_and_no_error(
    site: Site, control: ControlStandIn, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    head = await head_of(site, GONE[kind].decode())
    assert site.server.port is not None
    _, writer = await asyncio.open_connection("127.0.0.1", site.server.port)
    caplog.set_level(logging.INFO)
    caplog.clear()
    before = metric(site, "kinolog_http_requests_total")
    writer.write(f"{head}Host: a\r\nAuthorization: Bearer {ADMIN}\r\n\r\n".encode() + FIRST_BYTES.get(kind, b""))
    await eventually(lambda: requests_running(site))
    writer.transport.abort()
    await eventually(lambda: not requests_running(site), 60)  # "waiting" waits as long as the service lets it
    await eventually(lambda: metric(site, "kinolog_http_requests_total") > before)
    said = [record for record in caplog.records if record.name.startswith(("kinolog", "aiohttp.server", "asyncio"))]
    assert all(record.levelno <= logging.INFO and not record.exc_info for record in said), said
    lines = [record.getMessage() for record in said if "client" in record.getMessage()]
    assert lines == ([] if kind in ENDLESS else ["client disconnected"])


def requests_running(site: Site) -> bool:
    assert site.server.runner is not None and site.server.runner.server is not None
    return any(one._current_request is not None for one in site.server.runner.server.connections)


def metric(site: Site, name: str) -> float:
    samples = (sample for family in site.parts.metrics.registry.collect() for sample in family.samples)
    return sum(sample.value for sample in samples if sample.name == name)


async def head_of(site: Site, head: str) -> str:
    """With what it names made: a large file, a resumable upload, a cursor that nothing has reached."""
    if "{file}" in head:
        return head.replace("{file}", await published(site, b"x" * 50_000_000))
    if "{tus}" in head:
        headers = {"Authorization": f"Bearer {ADMIN}", "Tus-Resumable": "1.0.0", "Upload-Length": "5000"}
        async with site.session.post(site.server.make_url("/v1/uploads/tus"), headers=headers) as answer:
            return head.replace("{tus}", answer.headers["Location"])
    return head.replace("{far}", dump(WriteCursor(site.parts.position.log or "", {0: 10**9})))
