"""Downloads against servers that mean harm, or are only broken: each is refused with its code, none gets inside."""

import asyncio
import gzip
import hashlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import brotli
import pytest

from processors.errors import ProcessingError
from processors.fetch.address_filter import is_public
from processors.fetch.fetcher import Fetcher
from processors.fetch.limits import FetchLimits
from processors.fetch.responses import Validators, retry_after_s
from tests.integration.processors.fetch.origin import (
    MEDIA,
    MP4_HEAD,
    Forbidden,
    Names,
    Origin,
    Play,
    answer,
    listening,
    redirect,
)

#: Written {port}: the forbidden listener's.
HOSTILE = [
    # loopback and this host, however it is written
    ("http://127.0.0.1:{port}/", "address-forbidden"),
    ("http://127.1:{port}/", "invalid-url"),
    ("http://127.0.1:{port}/", "invalid-url"),
    ("http://127.255.255.254:{port}/", "address-forbidden"),
    ("http://0.0.0.0:{port}/", "address-forbidden"),
    ("http://0:{port}/", "invalid-url"),
    ("http://localhost:{port}/", "address-forbidden"),
    ("http://LOCALHOST:{port}/", "address-forbidden"),
    ("http://localhost.:{port}/", "address-forbidden"),
    ("http://2130706433:{port}/", "invalid-url"),
    ("http://0x7f000001:{port}/", "address-forbidden"),
    ("http://0x7f.0.0.1:{port}/", "address-forbidden"),
    ("http://0x7f.1:{port}/", "address-forbidden"),
    ("http://0177.0.0.1:{port}/", "invalid-url"),
    ("http://017700000001:{port}/", "invalid-url"),
    ("http://127.0.0.1%00:{port}/", "invalid-url"),
    ("http://①②⑦.⓪.⓪.①:{port}/", "address-forbidden"),
    ("http://127。0。0。1:{port}/", "address-forbidden"),
    ("http://[::1]:{port}/", "address-forbidden"),
    ("http://[::]:{port}/", "address-forbidden"),
    ("http://[0:0:0:0:0:0:0:1]:{port}/", "address-forbidden"),
    ("http://[::ffff:127.0.0.1]:{port}/", "address-forbidden"),
    ("http://[::ffff:7f00:1]:{port}/", "address-forbidden"),
    ("http://[::127.0.0.1]:{port}/", "address-forbidden"),
    ("http://[64:ff9b::127.0.0.1]:{port}/", "address-forbidden"),
    ("http://[64:ff9b:1::7f00:1]:{port}/", "address-forbidden"),
    ("http://[2002:7f00:1::]:{port}/", "address-forbidden"),
    ("http://[2001:0:7f00:1::]:{port}/", "address-forbidden"),
    ("http://[fe80::1]:{port}/", "address-forbidden"),
    ("http://[fe80::1%25lo]:{port}/", "invalid-url"),
    ("http://[fec0::1]:{port}/", "address-forbidden"),
    ("http://[fc00::1]:{port}/", "address-forbidden"),
    ("http://[ff02::1]:{port}/", "address-forbidden"),
    # networks that are not out there
    ("http://10.0.0.1:{port}/", "address-forbidden"),
    ("http://172.16.0.1:{port}/", "address-forbidden"),
    ("http://192.168.0.1:{port}/", "address-forbidden"),
    ("http://100.64.0.1:{port}/", "address-forbidden"),
    ("http://169.254.169.254:{port}/latest/meta-data/", "address-forbidden"),
    ("http://[fd00:ec2::254]:{port}/", "address-forbidden"),
    ("http://192.0.0.192:{port}/", "address-forbidden"),
    ("http://192.88.99.1:{port}/", "address-forbidden"),
    ("http://198.18.0.1:{port}/", "address-forbidden"),
    ("http://224.0.0.1:{port}/", "address-forbidden"),
    ("http://240.0.0.1:{port}/", "address-forbidden"),
    ("http://255.255.255.255:{port}/", "address-forbidden"),
    # names that lead inside
    ("http://inside.example:{port}/", "address-forbidden"),
    ("http://inside6.example:{port}/", "address-forbidden"),
    ("http://both.example:{port}/", "address-forbidden"),
    ("http://metadata.example:{port}/", "address-forbidden"),
    ("http://rebinding.example:{port}/", "address-forbidden"),
    # what is no address to ask
    ("ftp://127.0.0.1:{port}/a.mp4", "invalid-url"),
    ("file:///etc/passwd", "invalid-url"),
    ("gopher://127.0.0.1:{port}/_x", "invalid-url"),
    ("javascript:alert(1)", "invalid-url"),
    ("//127.0.0.1:{port}/", "invalid-url"),
    ("127.0.0.1:{port}", "invalid-url"),
    ("", "invalid-url"),
    ("http://", "invalid-url"),
    ("http:///a.mp4", "invalid-url"),
    ("http://user:secret@127.0.0.1:{port}/", "invalid-url"),
    ("http://user@127.0.0.1:{port}/", "invalid-url"),
    ("http://@127.0.0.1:{port}/", "invalid-url"),
    ("http://example.com@127.0.0.1:{port}/", "invalid-url"),
    ("http://127.0.0.1:{port}\\@example.com/", "invalid-url"),
    ("http://example.com\\@127.0.0.1:{port}/", "invalid-url"),
    ("http://127.0.0.1:{port}/\r\nX: y", "invalid-url"),
    ("http://127.0.0.1:{port} /", "invalid-url"),
    ("http://127.0.0.1:99999/", "invalid-url"),
    ("http://127.0.0.1:22/", "invalid-url"),
    ("http://127.0.0.1:6379/", "invalid-url"),
    ("http://" + "a" * 9000 + "/", "invalid-url"),
    ("http://" + "a" * 300 + ".example:{port}/", "invalid-url"),
]

#: Where a server that may be asked sends us.
LEADS = [
    ("http://127.0.0.1:{port}/", "address-forbidden"),
    ("//127.0.0.1:{port}/", "address-forbidden"),
    ("http://[::1]:{port}/", "address-forbidden"),
    ("http://localhost:{port}/", "address-forbidden"),
    ("http://169.254.169.254:{port}/latest/", "address-forbidden"),
    ("http://0x7f.1:{port}/", "address-forbidden"),
    ("http://rebinding.example:{port}/", "address-forbidden"),
    ("http://user:secret@127.0.0.1:{port}/", "invalid-url"),
    ("file:///etc/passwd", "invalid-url"),
    ("ftp://127.0.0.1:{port}/", "invalid-url"),
    ("http://[::1", "invalid-url"),
    ("/circle", "too-many-redirects"),
    ("", "source-misbehaved"),
]


async def _slowly(writer: asyncio.StreamWriter, _headers: Mapping[str, str]) -> None:
    writer.write(answer(MP4_HEAD, length=10_000))
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.05)


async def _slow_headers(writer: asyncio.StreamWriter, _headers: Mapping[str, str]) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.05)


async def _silently(writer: asyncio.StreamWriter, _headers: Mapping[str, str]) -> None:
    await asyncio.sleep(30)


async def _endlessly(writer: asyncio.StreamWriter, _headers: Mapping[str, str]) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + MP4_HEAD)
    while True:
        writer.write(b"x" * 65536)
        await writer.drain()


async def _endless_chunks(writer: asyncio.StreamWriter, _headers: Mapping[str, str]) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n18\r\n" + MP4_HEAD + b"\r\n")
    while True:
        writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        await writer.drain()


#: Answers of a server that may be asked.
ANSWERS: dict[str, tuple[bytes | Play, str]] = {
    "endless body": (_endlessly, "media-too-large"),
    "endless chunks": (_endless_chunks, "media-too-large"),
    "announced too large": (answer(MP4_HEAD, length=10**12), "media-too-large"),
    "length that is cut off": (answer(MEDIA, length=len(MEDIA) + 10), "source-unavailable"),
    "negative length": (answer(MEDIA, length=-5), "source-misbehaved"),
    "two lengths": (answer(MEDIA, Content_Length="3"), "source-misbehaved"),
    "length and chunks": (answer(MEDIA, Transfer_Encoding="chunked"), "source-misbehaved"),
    "gzip bomb": (answer(gzip.compress(MP4_HEAD + bytes(10**8)), Content_Encoding="gzip"), "media-too-large"),
    "brotli bomb": (answer(brotli.compress(MP4_HEAD + bytes(10**7)), Content_Encoding="br"), "media-too-large"),
    "damaged gzip": (answer(gzip.compress(MEDIA)[:50] + b"x" * 99, Content_Encoding="gzip"), "source-misbehaved"),
    "gzip that ends early": (answer(gzip.compress(MEDIA)[:-9], Content_Encoding="gzip"), "source-unavailable"),
    "damaged brotli": (answer(b"\xff" * 99, Content_Encoding="br"), "source-misbehaved"),
    "unknown encoding": (answer(MEDIA, Content_Encoding="zstd"), "source-misbehaved"),
    "gzip that is not said": (answer(gzip.compress(MEDIA)), "unsupported-media"),
    "slow drip": (_slowly, "source-too-slow"),
    "slow drip of headers": (_slow_headers, "source-too-slow"),
    "silence": (_silently, "source-too-slow"),
    "wrong type": (answer(b"<html>sign in</html>" * 300, Content_Type="video/mp4"), "unsupported-media"),
    "a playlist": (answer(b"#EXTM3U\nfile:///etc/passwd\n", Content_Type="video/mp4"), "unsupported-media"),
    "an svg": (answer(b"<svg onload='x()'/>", Content_Type="image/svg+xml"), "unsupported-media"),
    "empty": (answer(b""), "empty-media"),
    "no content": (answer(b"", "204 No Content"), "source-refused"),
    "a part that nobody asked for": (
        answer(MEDIA, "206 Partial Content", Content_Range=f"bytes 0-{len(MEDIA) - 1}/{len(MEDIA) + 1}"),
        "source-unavailable",
    ),
    "header bomb of many": (b"HTTP/1.1 200 OK\r\n" + b"X: yyyyyyyy\r\n" * 5_000 + b"\r\n", "source-misbehaved"),
    "not modified, unasked": (answer(b"", "304 Not Modified"), "source-refused"),
    "gone": (answer(b"", "410 Gone"), "source-missing"),
    "missing": (answer(b"", "404 Not Found"), "source-missing"),
    "sign in": (answer(b"", "401 Unauthorized", WWW_Authenticate="Basic"), "source-refused"),
    "forbidden": (answer(b"", "403 Forbidden"), "source-refused"),
    "broken": (answer(b"", "500 Internal Server Error"), "source-unavailable"),
    "busy": (answer(b"", "503 Service Unavailable", Retry_After="7"), "source-unavailable"),
    "too many": (answer(b"", "429 Too Many Requests", Retry_After="7"), "source-unavailable"),
    "no http": (b"SSH-2.0-OpenSSH_9.2\r\n", "source-misbehaved"),
    "header bomb": (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n", "source-misbehaved"),
    "header without end": (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100, "source-unavailable"),
    "hangs up": (b"", "source-unavailable"),
}  # fmt: skip

NAMES = {
    "localhost": ["127.0.0.1"],
    "localhost_": ["127.0.0.1"],
    "inside_example": ["127.0.0.1"],
    "inside6_example": ["::1"],
    "both_example": ["10.0.0.1+::1+127.0.0.1"],
    "metadata_example": ["169.254.169.254"],
    # Public when somebody checks, inside when somebody connects.
    "rebinding_example": ["127.0.0.1"],
}


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    async with listening() as found:
        yield found


@pytest.fixture
async def forbidden() -> AsyncIterator[Forbidden]:
    async with Forbidden().listening() as found:
        yield found


def fetcher(origin: Origin | None, forbidden: Forbidden | None = None, **limits: float) -> Fetcher:
    given: dict[str, object] = {
        "max_bytes": 10**6,
        "stall_s": 0.2,
        "connect_timeout_s": 0.2,
        "timeout_s": 600.0,
    }
    given |= {"tries": 1, **limits}
    return Fetcher(
        FetchLimits(
            allow_hosts=(f"127.0.0.1:{origin.port}",) if origin is not None else (),
            ports=(80, 443, *((forbidden.port,) if forbidden is not None else ())),
            **given,  # type: ignore[arg-type]
        ),
        Names(**NAMES),
    )


async def refusal(fetching: Fetcher, url: str, path: Path) -> ProcessingError:
    async with asyncio.timeout(10):  # whatever the limits are that should have ended it
        with pytest.raises(ProcessingError) as caught:
            await fetching.fetch(url, path)
    return caught.value


@pytest.mark.parametrize("template, code", HOSTILE, ids=[template[:50] for template, _ in HOSTILE])
async def test_an_address_that_leads_inside_is_refused_unreached(
    forbidden: Forbidden, tmp_path: Path, template: str, code: str
) -> None:
    refused = await refusal(fetcher(None, forbidden), template.replace("{port}", str(forbidden.port)), tmp_path / "x")
    assert refused.code == code
    assert forbidden.reached == 0


@pytest.mark.parametrize("template, code", LEADS)
async def test_a_redirect_that_leads_inside_is_not_followed(
    origin: Origin, forbidden: Forbidden, tmp_path: Path, template: str, code: str
) -> None:
    origin.plays = {
        "/a": redirect("/b", "301 Moved Permanently"),
        "/b": redirect(template.replace("{port}", str(forbidden.port)), "307 Temporary Redirect"),
        "/circle": redirect("/circle"),
    }
    refused = await refusal(fetcher(origin, forbidden), origin.url("/a"), tmp_path / "x")
    assert refused.code == code
    assert forbidden.reached == 0


@pytest.mark.parametrize("name", ANSWERS)
async def test_an_answer_that_breaks_the_rules_is_refused(origin: Origin, tmp_path: Path, name: str) -> None:
    play, code = ANSWERS[name]
    origin.plays["/a.mp4"] = play
    refused = await refusal(fetcher(origin), origin.url("/a.mp4"), tmp_path / "x")
    assert refused.code == code
    assert refused.retriable == (refused.code in ("source-unavailable", "source-too-slow"))
    if "Retry-After" in str(play):
        assert refused.record().retry_after_s == 7


async def test_a_name_that_changes_its_mind_is_judged_where_it_is_connected_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def passes(address: str) -> bool:
        return address == "127.0.0.2" or is_public(address)

    monkeypatch.setattr("processors.fetch.address_filter.is_public", passes)
    # A server out there that hangs up, and loopback when the name is asked for again.
    names, inside = Names(rebinding_example=["127.0.0.2", "127.0.0.1"]), Forbidden()
    async with (
        await asyncio.start_server(_hang_up, "127.0.0.2", 0) as outside,
        await asyncio.start_server(inside.serve, "127.0.0.1", port := outside.sockets[0].getsockname()[1]),
    ):
        limits = FetchLimits(ports=(port,), tries=3, timeout_s=10)
        refused = await refusal(Fetcher(limits, names), f"http://rebinding.example:{port}/", tmp_path / "x")
    assert (refused.code, inside.reached) == ("address-forbidden", 0)


async def _hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def test_a_file_comes_whole_with_its_digest_and_its_kind(origin: Origin, tmp_path: Path) -> None:
    origin.plays["/a"] = redirect("/b.mp4")
    origin.plays["/b.mp4"] = answer(ETag='"v1"', Last_Modified="Wed, 21 Oct 2015 07:28:00 GMT")
    fetched = await fetcher(origin).fetch(origin.url("/a"), tmp_path / "x")
    assert fetched is not None
    assert (tmp_path / "x").read_bytes() == MEDIA
    assert (fetched.size_bytes, fetched.sha256) == (len(MEDIA), hashlib.sha256(MEDIA).hexdigest())
    assert (fetched.kind.suffix, fetched.validators.etag) == (".mp4", '"v1"')
    assert origin.asked[-1][1]["accept-encoding"] == "identity"
    assert not {"authorization", "cookie", "referer"} & origin.asked[-1][1].keys()


async def test_a_download_that_never_ends_has_its_time_and_no_more(origin: Origin, tmp_path: Path) -> None:
    origin.plays["/a.mp4"] = _slowly
    limited = fetcher(origin, timeout_s=0.3, min_bytes_per_s=0)
    assert (await refusal(limited, origin.url("/a.mp4"), tmp_path / "x")).code == "source-too-slow"


async def test_a_continuation_that_is_too_short_is_not_taken_for_the_whole(origin: Origin, tmp_path: Path) -> None:
    async def halves(writer: asyncio.StreamWriter, headers: Mapping[str, str]) -> None:
        start = int(headers.get("range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        if not start:
            writer.write(answer(MEDIA[:50_000], length=len(MEDIA), ETag='"v1"'))
            await writer.drain()
            await asyncio.sleep(0.1)  # the client has read it when the connection breaks
        else:
            span = f"bytes {start}-{len(MEDIA) - 1}/{len(MEDIA)}"
            writer.write(answer(b"short", "206 Partial Content", ETag='"v1"', Content_Range=span))

    origin.plays["/a.mp4"] = halves
    refused = await refusal(fetcher(origin, tries=2), origin.url("/a.mp4"), tmp_path / "x")
    assert refused.code == "source-unavailable"
    assert origin.asked[-1][1]["range"] == "bytes=50000-"


async def test_what_has_not_changed_is_not_sent_again(origin: Origin, tmp_path: Path) -> None:
    origin.plays["/a"] = answer(b"", "304 Not Modified")
    assert await fetcher(origin).fetch(origin.url("/a"), tmp_path / "x", known=Validators('"v1"')) is None
    assert origin.asked[0][1]["if-none-match"] == '"v1"'


class Parts:
    """Breaks off in the middle; then gives the rest to whoever may have it, and all to others."""

    def __init__(self, *etags: str) -> None:
        self.etags = list(etags)

    async def __call__(self, writer: asyncio.StreamWriter, headers: Mapping[str, str]) -> None:
        etag = self.etags.pop(0)
        if self.etags:
            writer.write(answer(MEDIA[:50_000], length=len(MEDIA), ETag=etag))
            await writer.drain()
            await asyncio.sleep(0.1)  # the client has read it when the connection breaks
        elif headers.get("if-range") == etag:
            start = int(headers["range"].removeprefix("bytes=").removesuffix("-"))
            span = f"bytes {start}-{len(MEDIA) - 1}/{len(MEDIA)}"
            writer.write(answer(MEDIA[start:], "206 Partial Content", ETag=etag, Content_Range=span))
        else:
            writer.write(answer(ETag=etag))


@pytest.mark.parametrize(
    "etags, resumed", [(('"v1"', '"v1"'), True), (('"v1"', '"v2"'), False), (('W/"v1"', 'W/"v1"'), False)]
)
async def test_a_broken_download_goes_on_where_it_broke_when_the_version_is_the_same(
    origin: Origin, tmp_path: Path, etags: tuple[str, str], resumed: bool
) -> None:
    origin.plays["/a"] = Parts(*etags)
    fetched = await fetcher(origin, tries=3).fetch(origin.url("/a"), tmp_path / "x")
    assert fetched is not None
    assert fetched.sha256 == hashlib.sha256(MEDIA).hexdigest()
    assert (tmp_path / "x").read_bytes() == MEDIA
    assert ("range" in origin.asked[1][1]) == (not etags[0].startswith("W/"))
    assert len(origin.asked) == 2


def test_a_retry_after_is_seconds_or_a_date() -> None:
    assert retry_after_s({"Retry-After": "7"}, 0) == 7
    assert retry_after_s({"Retry-After": "Thu, 01 Jan 1970 00:01:00 GMT"}, 20) == 40
    assert retry_after_s({"Retry-After": "soon"}, 0) is None
    assert retry_after_s({}, 0) is None
