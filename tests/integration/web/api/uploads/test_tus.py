"""Resumable uploads on the wire, as clients of other languages send them: tus 1.0.0 with its extensions."""

import base64
import hashlib
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import eventually
from tests.integration.web.control_stand_in import ControlStandIn
from tests.integration.web.logs import Make, control, log, make, site
from tests.integration.web.served import Site, serve

__all__ = ["control", "log", "make", "site"]  # fixtures are found by their name in this module

PATH = "/v1/uploads/tus"
VERSION = {"Tus-Resumable": "1.0.0"}
BYTES = {**VERSION, "Content-Type": "application/offset+octet-stream"}
NOOP = {"Upload-Metadata": f"pipeline {base64.b64encode(b'noop').decode()}"}


class Reply:
    """Status and headers of a response."""

    def __init__(self, status: int, headers: Any) -> None:
        self.status, self.headers = status, headers

    @property
    def offset(self) -> int:
        return int(self.headers["Upload-Offset"])


async def send(site: Site, method: str, path: str, token: str = "anna-edits", **headers: Any) -> Reply:
    """`data`: the body; other names are headers, `_` for `-`."""
    body = headers.pop("data", b"")
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    fixed = BYTES if body else VERSION
    async with site.session.request(
        method, site.server.make_url(path), data=body, headers={**fixed, "Authorization": f"Bearer {token}", **named}
    ) as answer:
        return Reply(answer.status, answer.headers)


async def created(site: Site, size_bytes: int, **headers: Any) -> str:
    reply = await send(site, "POST", PATH, Upload_Length=str(size_bytes), **NOOP, **headers)
    assert reply.status == 201
    return str(reply.headers["Location"])


async def job_bytes(site: Site, control: ControlStandIn, job_id: str) -> bytes:
    """What the job will work on."""
    await eventually(lambda: job_id in control.jobs)
    key = control.jobs[job_id].input.object
    assert key is not None
    return (Path(site.parts.settings.data_path) / "store" / key).read_bytes()


async def test_a_client_that_can_only_post_overrides_the_method(site: Site, control: ControlStandIn) -> None:
    """Browsers' old plugins, Java's HttpURLConnection and some proxies have no PATCH. The protocol: MUST."""
    path = await created(site, 10)
    first = await send(site, "POST", path, data=b"01234", Upload_Offset="0", X_HTTP_Method_Override="PATCH")
    assert (first.status, first.offset) == (204, 5)
    shown = await send(site, "POST", path, X_HTTP_Method_Override="HEAD")
    assert (shown.status, shown.offset) == (200, 5)
    last = await send(site, "POST", path, data=b"56789", Upload_Offset="5", X_HTTP_Method_Override="patch")
    assert (last.status, last.offset) == (204, 10)
    assert await job_bytes(site, control, last.headers["Kinolog-Job-Id"]) == b"0123456789"
    other = await created(site, 10)
    assert (await send(site, "POST", other, X_HTTP_Method_Override="DELETE")).status == 204
    assert (await send(site, "HEAD", other)).status == 404
    for override in ({}, {"X_HTTP_Method_Override": "PUT"}):
        refused = await send(site, "POST", other, **override)
        assert (refused.status, refused.headers["Allow"]) == (405, "HEAD,PATCH,DELETE")


def described(**fields: str) -> str:
    """An Upload-Metadata header."""
    return ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in fields.items())


async def test_a_resumable_upload_is_processed_with_the_priority_that_was_chosen(
    site: Site, control: ControlStandIn
) -> None:
    chosen = described(pipeline="noop", priority="high")
    whole = await send(site, "POST", PATH, data=b"0123456789", Upload_Length="10", Upload_Metadata=chosen)
    job_id = whole.headers["Kinolog-Job-Id"]
    await eventually(lambda: job_id in control.jobs)
    assert control.jobs[job_id].priority == "high"
    wrong = described(pipeline="noop", priority="urgent")
    assert (await send(site, "POST", PATH, Upload_Length="10", Upload_Metadata=wrong)).status == 422


@pytest.mark.parametrize("wrong", ["0", "4", "6"])
async def test_bytes_that_are_sent_again_are_kept_once(site: Site, control: ControlStandIn, wrong: str) -> None:
    path = await created(site, 10)
    assert (await send(site, "PATCH", path, data=b"01234", Upload_Offset="0")).offset == 5
    assert (await send(site, "PATCH", path, data=b"01234", Upload_Offset=wrong)).status == 409
    assert (await send(site, "HEAD", path)).offset == 5
    last = await send(site, "PATCH", path, data=b"56789", Upload_Offset="5")
    assert await job_bytes(site, control, last.headers["Kinolog-Job-Id"]) == b"0123456789"


async def test_errors_have_the_version_of_the_protocol_too(site: Site) -> None:
    path = await created(site, 10)
    errors = [
        await send(site, "HEAD", f"{PATH}/none"),
        await send(site, "PUT", path),
        await send(site, "PATCH", path, data=b"x", Upload_Offset="3"),
        await send(site, "PATCH", path, data=b"x", Upload_Offset="0", Tus_Resumable="0.2.2"),
        await send(site, "HEAD", path, token="nobody"),
        await send(site, "POST", PATH, Upload_Length="9" * 14),
    ]
    assert [error.status for error in errors] == [404, 405, 409, 412, 401, 413]
    assert {error.headers.get("Tus-Resumable") for error in errors} == {"1.0.0"}
    assert errors[3].headers["Tus-Version"] == "1.0.0"


async def test_the_first_bytes_come_with_the_creation(site: Site, control: ControlStandIn) -> None:
    part = await send(site, "POST", PATH, data=b"01234", Upload_Length="10", **NOOP)
    assert (part.status, part.offset) == (201, 5)
    last = await send(site, "PATCH", part.headers["Location"], data=b"56789", Upload_Offset="5")
    assert await job_bytes(site, control, last.headers["Kinolog-Job-Id"]) == b"0123456789"
    whole = await send(site, "POST", PATH, data=b"0123456789", Upload_Length="10", **NOOP)
    assert (whole.status, whole.offset) == (201, 10)
    assert await job_bytes(site, control, whole.headers["Kinolog-Job-Id"]) == b"0123456789"
    assert (await send(site, "POST", PATH, data=b"too many", Upload_Length="3", **NOOP)).status == 413


async def test_a_stream_whose_length_is_told_later(site: Site, control: ControlStandIn) -> None:
    reply = await send(site, "POST", PATH, Upload_Defer_Length="1", **NOOP)
    path = reply.headers["Location"]
    assert reply.status == 201
    assert (await send(site, "PATCH", path, data=b"01234", Upload_Offset="0")).offset == 5
    shown = await send(site, "HEAD", path)
    assert (shown.offset, shown.headers["Upload-Defer-Length"]) == (5, "1") and "Upload-Length" not in shown.headers
    assert (await send(site, "PATCH", path, data=b"x", Upload_Offset="5", Upload_Length="3")).status == 400
    last = await send(site, "PATCH", path, data=b"56789", Upload_Offset="5", Upload_Length="10")
    assert (last.status, last.offset) == (204, 10)
    assert await job_bytes(site, control, last.headers["Kinolog-Job-Id"]) == b"0123456789"
    for both in ({"Upload_Defer_Length": "1", "Upload_Length": "3"}, {"Upload_Defer_Length": "2"}):
        assert (await send(site, "POST", PATH, **both)).status == 400


async def test_the_end_of_a_stream_can_be_told_without_further_bytes(site: Site, control: ControlStandIn) -> None:
    path = (await send(site, "POST", PATH, Upload_Defer_Length="1", **NOOP)).headers["Location"]
    await send(site, "PATCH", path, data=b"01234", Upload_Offset="0")
    last = await send(site, "PATCH", path, Upload_Offset="5", Upload_Length="5", Content_Type=BYTES["Content-Type"])
    assert (last.status, last.offset) == (204, 5)
    assert await job_bytes(site, control, last.headers["Kinolog-Job-Id"]) == b"01234"


def digest(algorithm: str, content: bytes) -> str:
    return f"{algorithm} {base64.b64encode(hashlib.new(algorithm, content).digest()).decode()}"


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "md5"])
async def test_bytes_that_differ_from_their_checksum_are_not_kept(
    site: Site, control: ControlStandIn, algorithm: str
) -> None:
    path = await created(site, 10)
    right, wrong = digest(algorithm, b"01234"), digest(algorithm, b"01235")
    assert (await send(site, "PATCH", path, data=b"01234", Upload_Offset="0", Upload_Checksum=wrong)).status == 460
    assert (await send(site, "HEAD", path)).offset == 0
    kept = await send(site, "PATCH", path, data=b"01234", Upload_Offset="0", Upload_Checksum=right)
    assert (kept.status, kept.offset) == (204, 5)
    last = await send(
        site, "PATCH", path, data=b"56789", Upload_Offset="5", Upload_Checksum=digest(algorithm, b"56789")
    )
    assert await job_bytes(site, control, last.headers["Kinolog-Job-Id"]) == b"0123456789"


@pytest.mark.parametrize("checksum", ["crc32 AAAAAA==", "sha1", "sha1 !", "sha1 YQ==", "YQ=="])
async def test_a_checksum_that_cannot_be_verified_is_refused(site: Site, checksum: str) -> None:
    path = await created(site, 10)
    assert (await send(site, "PATCH", path, data=b"01234", Upload_Offset="0", Upload_Checksum=checksum)).status == 400
    assert (await send(site, "HEAD", path)).offset == 0


async def partial(site: Site, content: bytes, token: str = "anna-edits") -> str:
    reply = await send(
        site, "POST", PATH, token, data=content, Upload_Length=str(len(content)), Upload_Concat="partial"
    )
    assert (reply.status, "Kinolog-Job-Id" in reply.headers) == (201, False)
    return str(reply.headers["Location"])


async def test_parallel_parts_become_one_asset(site: Site, control: ControlStandIn) -> None:
    known = set(control.jobs)
    first, second = await partial(site, b"01234"), await partial(site, b"56789")
    assert (await send(site, "HEAD", first)).headers["Upload-Concat"] == "partial"
    concat = f"final;{site.server.make_url(first)} {second}"  # absolute and relative
    final = await send(site, "POST", PATH, Upload_Concat=concat, **NOOP)
    assert final.status == 201
    assert await job_bytes(site, control, final.headers["Kinolog-Job-Id"]) == b"0123456789"
    assert control.jobs.keys() - known == {final.headers["Kinolog-Job-Id"]}
    shown = await send(site, "HEAD", final.headers["Location"])
    assert (shown.offset, shown.headers["Upload-Length"]) == (10, "10")
    # The answer was lost: the same upload, not a second job.
    again = await send(site, "POST", PATH, Upload_Concat=concat, **NOOP)
    assert again.headers["Location"] == final.headers["Location"]
    assert list(tus_folders(site)) == []


def tus_folders(site: Site) -> list[str]:
    return [path.name for path in (site.parts.settings.data_path / "web" / "tus").iterdir()]


async def test_parts_that_cannot_be_joined_are_refused_and_stay(site: Site, control: ControlStandIn) -> None:
    known = set(control.jobs)
    whole, ordinary = await partial(site, b"01234"), await created(site, 5)
    unfinished = await send(site, "POST", PATH, Upload_Length="5", Upload_Concat="partial")
    berts = await partial(site, b"bert's", "bert-edits")
    for other, status in ((ordinary, 409), (unfinished.headers["Location"], 409), (berts, 404), (f"{PATH}/no", 404)):
        reply = await send(site, "POST", PATH, Upload_Concat=f"final;{whole} {other}", **NOOP)
        assert reply.status == status, other
    for wrong in ("final;", "final", "other;a", "final;/a/../b/%00"):
        assert (await send(site, "POST", PATH, Upload_Concat=wrong, **NOOP)).status == 400
    assert (await send(site, "HEAD", whole)).offset == 5
    assert set(control.jobs) == known


async def test_a_finished_upload_is_known_after_a_restart_and_on_other_replicas(
    make: Make, control: ControlStandIn
) -> None:
    """Its last answer was lost. A client that gets 404 sends everything again: a second job."""
    async with serve(make()) as first:
        path = await created(first, 10)
        last = await send(first, "PATCH", path, data=b"0123456789", Upload_Offset="0")
        assert last.status == 204
        assert (await send(first, "HEAD", path)).offset == 10
        # Another tab that sends the same upload asks for the offset then; at 404 it would give up.
        late = await send(first, "PATCH", path, data=b"56789", Upload_Offset="5")
        assert (late.status, late.headers["Tus-Resumable"]) == (409, "1.0.0")
        await eventually(lambda: last.headers["Kinolog-Job-Id"] in control.jobs)
        async with serve(make(KINOLOG_WEB__REPLICA="web-2", KINOLOG_WEB__TUS_DIR="/nowhere")) as other:

            async def is_known() -> bool:
                return (await send(other, "HEAD", path)).status == 200

            assert await eventually(is_known)
            shown = await send(other, "HEAD", path)
            assert (shown.offset, shown.headers["Upload-Length"]) == (10, "10")
            assert (await send(other, "HEAD", path, "bert-edits")).status == 404
    async with serve(make()) as restarted:
        assert (await send(restarted, "HEAD", path)).offset == 10


async def test_a_location_has_the_prefix_of_a_proxy(make: Make, control: ControlStandIn) -> None:
    async with serve(make(KINOLOG_WEB__PUBLIC_URL="https://media.example.com/kinolog")) as site:
        location = await created(site, 10)
        assert location.startswith("https://media.example.com/kinolog/v1/uploads/tus/tus_")


async def test_the_extensions_are_listed(site: Site) -> None:
    offered = (await send(site, "OPTIONS", PATH)).headers
    assert set(offered["Tus-Extension"].split(",")) == {
        *("creation", "creation-with-upload", "creation-defer-length", "termination", "expiration"),
        *("checksum", "concatenation"),
    }
    assert offered["Tus-Checksum-Algorithm"] == "sha1,sha256,md5"
