"""Downloads from servers as they are: signed URLs, broken resumption, odd headers, codings, walls. Each comes whole."""

import gzip
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import brotli
import pytest

from processors.errors import ProcessingError
from processors.fetch.address_filter import checked_url
from processors.fetch.fetcher import Fetched, Fetcher
from processors.fetch.limits import FetchLimits
from tests.integration.processors.fetch.origin import MEDIA, Names, Origin, Play, answer, listening, redirect

HALF = len(MEDIA) // 2
TAG = '"v1"'


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    async with listening() as found:
        yield found


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("processors.fetch.fetcher._PAUSE_S", 0.01)


def fetcher(origin: Origin, **limits: Any) -> Fetcher:
    allowed = (f"127.0.0.1:{origin.port}", f"other.example:{origin.port}")
    fixed: dict[str, Any] = {"allow_hosts": allowed, "tries": 3, "timeout_s": 60.0}
    return Fetcher(FetchLimits(**(fixed | limits)), Names(other_example=["127.0.0.1"]))


async def comes_whole(origin: Origin, path: str, folder: Path, **limits: Any) -> Fetched:
    fetched = await fetcher(origin, **limits).fetch(origin.url(path), folder / "x")
    assert fetched is not None
    assert (folder / "x").read_bytes() == MEDIA
    assert fetched.size_bytes == len(MEDIA)
    return fetched


#: What libraries rewrite, and signatures of stores and CDNs are over.
SIGNED = [
    "/a%2Fb/c.mp4",
    "/a%28b%29/%27c%27.mp4",
    "/a(b)/'c'.mp4",
    "/a%40b/c@d.mp4",
    "/a.mp4?sig=%2Fab%2B%3D%3d&x=%27%40%28",
    "/a.mp4?sig=a/b+c==&p=/x:y@z'()!*",
    "/%7Eme/~me/%2e%2E/a.mp4",
    "/a//b/./c.mp4?",
    "/a.mp4?a=1&&b=%C3%A4&c=%E4",
    "/a;v=1/b,c/d.mp4?[x]={y}|z",
    "/%61.mp4",
]


@pytest.mark.parametrize("path", SIGNED)
async def test_a_signed_url_is_sent_as_it_is_given(origin: Origin, tmp_path: Path, path: str) -> None:
    sent = path.removesuffix("?")
    origin.plays[sent] = answer()
    await comes_whole(origin, path, tmp_path)
    assert [asked for asked, _ in origin.asked] == [sent]
    assert str(checked_url(f"https://a.example{path}")) == f"https://a.example{sent}", "the cache knows it by its text"


async def test_what_is_not_ascii_is_encoded_once(origin: Origin, tmp_path: Path) -> None:
    origin.plays["/M%C3%BCller.mp4?q=%C3%A4"] = answer()
    await comes_whole(origin, "/Müller.mp4?q=ä", tmp_path)


LOCATIONS = {
    "/a film.mp4": "/a%20film.mp4",
    "  /b.mp4 ": "/b.mp4",
    "/M\xfcller.mp4": "/M%FCller.mp4",  # written in Latin-1
    "/M\xc3\xbcller.mp4": "/M%C3%BCller.mp4",  # in UTF-8
    "/c%2Fd.mp4?sig=%27(a)": "/c%2Fd.mp4?sig=%27(a)",
    "e.mp4?x=a b": "/down/e.mp4?x=a%20b",
}


@pytest.mark.parametrize("location", LOCATIONS)
async def test_a_redirect_is_followed_as_browsers_do(origin: Origin, tmp_path: Path, location: str) -> None:
    head = f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    origin.plays = {"/down/load": head.encode("latin-1"), LOCATIONS[location]: answer()}
    await comes_whole(origin, "/down/load", tmp_path)


def breaking(then: bytes) -> Play:
    """Half of the file; `then` when the rest is asked for; and the whole when that is."""
    times = 0

    async def play(writer: Any, headers: Mapping[str, str]) -> None:
        nonlocal times
        times += 1
        if times == 1:
            writer.write(answer(MEDIA[:HALF], length=len(MEDIA), ETag=TAG))
        elif "range" in headers:
            assert headers["range"] == f"bytes={HALF}-"
            writer.write(then)
        else:
            writer.write(answer(MEDIA, ETag='"v2"'))

    return play


def part(first: int, content: bytes, total: str = str(len(MEDIA)), etag: str = TAG) -> bytes:
    span = f"bytes {first}-{first + len(content) - 1}/{total}"
    return answer(content, "206 Partial Content", ETag=etag, Content_Range=span)


RESUMED = {
    "416": answer(b"", "416 Range Not Satisfiable", Content_Range=f"bytes */{HALF}"),
    "403": answer(b"", "403 Forbidden"),
    "412": answer(b"", "412 Precondition Failed"),
    "another version": part(HALF, MEDIA[HALF:], etag='"v2"'),
    "no version": answer(MEDIA[HALF:], "206 Partial Content", Content_Range=f"bytes {HALF}-{len(MEDIA) - 1}/*"),
    "the whole as a part": part(0, MEDIA),
    "another part": part(HALF + 1, MEDIA[HALF + 1 :]),
    "another size": part(HALF, MEDIA[HALF:], total="7"),
    "the whole": answer(MEDIA, ETag='"v2"'),
}


@pytest.mark.parametrize("kind", RESUMED)
async def test_a_part_that_the_server_does_not_continue_is_forgotten(origin: Origin, tmp_path: Path, kind: str) -> None:
    origin.plays["/a.mp4"] = breaking(RESUMED[kind])
    await comes_whole(origin, "/a.mp4", tmp_path)


async def test_a_connection_that_breaks_again_and_again_gets_everything_in_the_end(
    origin: Origin, tmp_path: Path
) -> None:
    """Ten pieces with three tries: each that brings more begins the count anew."""
    piece = len(MEDIA) // 10

    async def play(writer: Any, headers: Mapping[str, str]) -> None:
        start = int(headers.get("range", "bytes=0-")[6:-1])
        whole = part(start, MEDIA[start:]) if start else answer(MEDIA, ETag=TAG)
        head, _, body = whole.partition(b"\r\n\r\n")
        writer.write(head + b"\r\n\r\n" + body[:piece])

    origin.plays["/a.mp4"] = play
    await comes_whole(origin, "/a.mp4", tmp_path)
    assert len(origin.asked) >= 10
    assert all("range" in headers for _, headers in origin.asked[1:])


async def test_a_connection_that_breaks_without_more_is_given_up(origin: Origin, tmp_path: Path) -> None:
    origin.plays["/a.mp4"] = answer(MEDIA[:HALF], length=len(MEDIA))
    with pytest.raises(ProcessingError) as caught:
        await fetcher(origin).fetch(origin.url("/a.mp4"), tmp_path / "x")
    assert (caught.value.code, len(origin.asked)) == ("source-unavailable", 3)


async def test_large_and_many_headers_are_taken(origin: Origin, tmp_path: Path) -> None:
    """Content policies and reports of CDNs."""
    origin.plays["/long.mp4"] = answer(Content_Security_Policy="x" * 40_000)
    await comes_whole(origin, "/long.mp4", tmp_path)
    origin.plays["/many.mp4"] = answer(MEDIA, "200 OK", None, **{f"X-Debug-{number}": "y" for number in range(500)})
    await comes_whole(origin, "/many.mp4", tmp_path)


@pytest.mark.parametrize("coding", ["none", "utf-8", "binary", "aws-chunked", "UTF-8, identity", "", "8bit", "mp4"])
async def test_what_is_no_coding_is_plain(origin: Origin, tmp_path: Path, coding: str) -> None:
    origin.plays["/a.mp4"] = answer(Content_Encoding=coding)
    await comes_whole(origin, "/a.mp4", tmp_path)


CODED = {
    "gzip": gzip.compress(MEDIA),
    "x-gzip": gzip.compress(MEDIA),
    "GZIP": gzip.compress(MEDIA[:HALF]) + gzip.compress(MEDIA[HALF:]),
    "br": brotli.compress(MEDIA),
    "gzip, aws-chunked": gzip.compress(MEDIA),
    "gzip ": MEDIA,  # labelled so, and plain
}


@pytest.mark.parametrize("coding", CODED)
async def test_a_coding_is_undone(origin: Origin, tmp_path: Path, coding: str) -> None:
    origin.plays["/a.mp4"] = answer(CODED[coding], Content_Encoding=coding, ETag=TAG)
    await comes_whole(origin, "/a.mp4", tmp_path)


async def test_a_body_that_is_longer_than_announced_ends_where_it_was_announced(origin: Origin, tmp_path: Path) -> None:
    for close in (b"Connection: close\r\n", b""):
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n" % (len(MEDIA), close)
        origin.plays["/a.mp4"] = head + MEDIA + b"and a trailer that nobody announced\r\n"
        await comes_whole(origin, "/a.mp4", tmp_path)


async def test_a_part_that_was_not_asked_for_and_is_the_whole_is_taken(origin: Origin, tmp_path: Path) -> None:
    origin.plays["/a.mp4"] = part(0, MEDIA)
    await comes_whole(origin, "/a.mp4", tmp_path)
    origin.plays["/b.mp4"] = answer(MEDIA, "206 Partial Content")
    await comes_whole(origin, "/b.mp4", tmp_path)


async def test_a_wall_of_headers_is_passed_by_a_setting_for_its_host_only(origin: Origin, tmp_path: Path) -> None:
    async def walled(writer: Any, headers: Mapping[str, str]) -> None:
        is_browser = headers["user-agent"].startswith("Mozilla") and headers.get("referer") == "https://a.example/"
        writer.write(redirect(f"http://other.example:{origin.port}/b.mp4") if is_browser else answer(b"", "403 No"))

    origin.plays = {"/a.mp4": walled, "/b.mp4": answer()}
    with pytest.raises(ProcessingError):
        await fetcher(origin).fetch(origin.url("/a.mp4"), tmp_path / "x")
    headers = {"127.0.0.1": {"Referer": "https://a.example/", "User-Agent": "Mozilla/5.0"}}
    await comes_whole(origin, "/a.mp4", tmp_path, headers=headers)
    [(_, elsewhere)] = [asked for asked in origin.asked if asked[0] == "/b.mp4"]
    assert "referer" not in elsewhere and elsewhere["user-agent"] == "kinolog"


async def test_cookies_are_kept_within_a_download_and_not_beyond(origin: Origin, tmp_path: Path) -> None:
    async def walled(writer: Any, headers: Mapping[str, str]) -> None:
        passed = "seen=1" in headers.get("cookie", "")
        writer.write(answer() if passed else answer(b"", "302 Found", Location="/a.mp4", Set_Cookie="seen=1; Path=/"))

    origin.plays["/a.mp4"] = walled
    fetching = fetcher(origin)
    for _ in range(2):
        assert await fetching.fetch(origin.url("/a.mp4"), tmp_path / "x") is not None
    assert ["cookie" in headers for _, headers in origin.asked] == [False, True, False, True]


@pytest.mark.parametrize("name, value", [("Range", "bytes=0-1"), ("Host", "a"), ("X\r\nY", "a"), ("X", "a\r\nY: b")])
def test_a_header_that_would_break_downloads_is_no_setting(name: str, value: str) -> None:
    with pytest.raises(ValueError, match="KINOLOG_DOWNLOAD__HEADERS"):
        FetchLimits(headers={"a.example": {name: value}})
