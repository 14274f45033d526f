"""Every route that takes a file's name x every kind of name x every role and owner: no byte of another owner leaks."""

import hashlib
import hmac
import json
import time
import unicodedata
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
from yarl import URL

from agents.executor.sources import Sources
from processors.errors import SourceMissing
from processors.storage.local_store import LocalStore
from processors.storage.object_store import open_store
from schemas.jobs import Input
from streams.ids import derived_id
from tests.bucket import BUCKET, environ, make_bucket, moto
from tests.conftest import eventually
from tests.integration.web.control_stand_in import ControlStandIn
from tests.integration.web.logs import Make, control, log, make
from tests.integration.web.served import ADMIN, Site, serve
from web.route_list import ROUTES

__all__ = ["control", "log", "make"]  # fixtures are found by their name in this module

WHO = {
    "anna, viewer": "anna-views",
    "anna, editor": "anna-edits",
    "bert, viewer": "bert-views",
    "bert, editor": "bert-edits",
    "admin": ADMIN,
    "the scheduler": None,
}
#: Whose signed calls the scheduler's are.
SCHEDULER = "bert"
SIGNING_KEY = "scheduler" * 4
PREFIXES = {"*": ["media/{owner}", "shared"], "anna": ["legacy/", "ümlaut"], "bert": ["legacies"]}
#: Where media lies that belongs to nobody but the admin, and who owns the rest; all of it holds "media of OWNER.".
NOBODY = "nobody"


class Named(NamedTuple):
    """A file by the name that a request gives it."""

    #: Field of an input: object or path.
    field: str
    name: str


class Lying(NamedTuple):
    """Files that lie in the store, and beside it."""

    #: Owner of each by its key.
    keys: dict[str, str]
    #: Owner of each by its path on the disk.
    paths: dict[str, str]

    def readable(self, owner: str) -> set[str]:
        """Owners whose media `owner` may read."""
        return {owner, "everybody"} if owner != "admin" else {*self.keys.values(), *self.paths.values()}


#: Method, path, options.
Request = tuple[str, str, dict[str, Any]]
#: Requests that name files, all of them between them.
Requests = Callable[[Sequence[Named]], Iterator[Request]]


def _assets(names: Sequence[Named]) -> Iterator[Request]:
    for named in names:
        yield "POST", "/v1/assets", {"json": {"input": {named.field: named.name}, "pipeline": "noop"}}


def _asset_list(names: Sequence[Named]) -> Iterator[Request]:
    yield "POST", "/v1/assets", {"json": [{"input": {one.field: one.name}, "pipeline": "noop"} for one in names]}


def _resolve(names: Sequence[Named]) -> Iterator[Request]:
    yield "POST", "/v1/cache-assets/resolve", {"json": {"ids": [named.name for named in names]}}


def _attachment(names: Sequence[Named]) -> Iterator[Request]:
    for named in names:
        body = {"attachment_id": f"a-{time.time_ns()}", "object": named.name}
        yield "POST", "/api/video-processing/upload", {"json": body}


def _attachment_id(names: Sequence[Named]) -> Iterator[Request]:
    """Below the folder that the setting names."""
    for named in names:
        yield "POST", "/api/video-processing/upload", {"json": {"attachment_id": named.name.removeprefix("shared/")}}


def _step(names: Sequence[Named]) -> Iterator[Request]:
    for named in names:
        body = json.dumps({"attachment_id": f"a-{time.time_ns()}", "object": named.name}).encode()
        stamp = str(int(time.time()))
        signature = hmac.digest(SIGNING_KEY.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hex()
        headers = {"X-Timestamp": stamp, "X-Signature": f"sha256={signature}", "Content-Type": "application/json"}
        yield "POST", "/api/video-processing/steps/compress", {"data": body, "headers": headers}


def _file(names: Sequence[Named]) -> Iterator[Request]:
    """As /media/<asset>/<path>; other folders by climbing there."""
    for named in names:
        below = named.name.removeprefix("assets/")
        yield "GET", f"/media/{quote(below if below != named.name else f'x/../../{named.name}')}", {}


def _signed_file(names: Sequence[Named]) -> Iterator[Request]:
    for named in names:
        yield "GET", f"/media/s/9999999999.none/{quote(named.name.removeprefix('assets/'))}", {}


def _signed_object(names: Sequence[Named]) -> Iterator[Request]:
    for named in names:
        yield "GET", f"/media/o/9999999999.none/{quote(named.name)}", {}


#: How each route takes the name of a file. Every route that takes one stands here.
TAKING: dict[str, tuple[Requests, ...]] = {
    "POST /v1/assets": (_assets, _asset_list),
    "POST /v1/cache-assets/resolve": (_resolve,),
    "POST /api/video-processing/upload": (_attachment, _attachment_id),
    "POST /api/video-processing/steps/{step}": (_step,),
    "GET /media/{asset_id}/{path:.+}": (_file,),
    "GET /media/s/{grant}/{asset_id}/{path:.+}": (_signed_file,),
    "GET /media/o/{grant}/{path:.+}": (_signed_object,),
}
#: Routes in which nothing names a file: ids and filters only, a file of the page, or bytes under a key of our own.
TAKING_NONE = {
    *("POST /v1/uploads", "POST /v1/uploads/presign", "OPTIONS /v1/uploads/tus", "POST /v1/uploads/tus"),
    *(f"{method} /v1/uploads/tus/{{upload_id}}" for method in ("HEAD", "PATCH", "POST", "DELETE")),
    *("GET /v1/assets", "GET /v1/assets/{asset_id}", "DELETE /v1/assets/{asset_id}"),
    "POST /v1/assets/{asset_id}/playback",
    *("GET /v1/jobs", "GET /v1/jobs/export", "GET /v1/jobs/{job_id}", "GET /v1/jobs/{job_id}/events"),
    *("POST /v1/jobs/{job_id}/cancel", "POST /v1/jobs/{job_id}/retry", "DELETE /v1/jobs/{job_id}"),
    *("POST /v1/jobs/clear", "POST /v1/jobs/retry", "POST /v1/jobs/cancel", "GET /v1/search"),
    *("GET /v1/jobs/counts", "GET /v1/jobs/failures", "GET /v1/stats/steps", "GET /v1/me"),
    *("GET /v1/pipelines", "GET /v1/stats/system"),
    *("GET /v1/audit", "GET /v1/dead-letters"),
    *("POST /v1/cache-assets", "GET /v1/cache-assets", "GET /v1/cache-assets/stats"),
    *("GET /v1/cache-assets/{asset_id}", "POST /v1/cache-assets/retry-failed", "POST /v1/cache-assets/cleanup"),
    *("POST /v1/store/gc", "GET /v1/stats", "GET /v1/queues", "GET /v1/executors"),
    *("POST /v1/queues/{step}/pause", "POST /v1/queues/{step}/resume", "PATCH /v1/queues/{step}"),
    *("POST /v1/tokens", "GET /v1/tokens", "DELETE /v1/tokens/{token_id}", "POST /v1/live/tickets"),
    *("GET /v1/keys", "POST /v1/keys", "DELETE /v1/keys/{key_id}"),
    *("GET /v1/live", "GET /v1/live/sse", "GET /healthz", "GET /readyz", "GET /metrics"),
    *("GET /openapi.json", "GET /asyncapi.json", "GET /docs", "GET /", "GET /favicon.ico", "GET /static/{path:.+}"),
    "GET /api/admin/media/jobs",
    *(f"{method} /api/v1/studio/processing-jobs{rest}" for method, rest in (("GET", ""), ("GET", "/{job_id}"))),
    *(f"POST /api/v1/studio/processing-jobs/{{job_id}}/{verb}" for verb in ("cancel", "retry")),
    *("DELETE /api/v1/studio/processing-jobs/{job_id}", "POST /api/v1/studio/processing-jobs/clear"),
    *("GET /api/video-processing/status/{job_id}", "DELETE /api/video-processing/status/{job_id}"),
    *("GET /api/video-processing/queue", "GET /api/jobs/{job_id}/status"),
}


def test_every_route_is_known_to_take_the_name_of_a_file_or_not() -> None:
    routes = {f"{route.method} {route.path}" for listed in ROUTES for route in listed.entries}
    assert routes == {*TAKING, *TAKING_NONE}, "a new route: does anything in its path, query or body name a file?"


def disguises(key: str) -> Mapping[str, str]:
    """Other spellings of a key, for who may read shared/ and media/<themselves>/."""
    folder, _, rest = key.partition("/")
    return {
        "plain": key,
        "leading slash": f"/{key}",
        "two leading slashes": f"//{key}",
        "doubled slash": f"{folder}//{rest}",
        "trailing slash": f"{key}/",
        "trailing dot": f"{key}/.",
        "dot first": f"./{key}",
        "dot within": f"{folder}/./{rest}",
        "climbing": f"shared/../{key}",
        "climbing from one's own": f"media/bert/../../{key}",
        "climbing behind dots": f"shared/.../../../{key}",
        "climbing, encoded": f"shared/%2e%2e/{key}",
        "climbing, encoded twice": f"shared/%252e%252e%252f{key}",
        "climbing, backslash": f"shared\\..\\{key}",
        "climbing, wide": f"shared/\uff0e\uff0e/{key}",
        "climbing, wide slash": f"shared\uff0f..\uff0f{key}",
        "backslash": key.replace("/", "\\"),
        "encoded": quote(key, safe=""),
        "encoded twice": quote(quote(key, safe=""), safe=""),
        "one letter encoded": f"%{ord(key[0]):02x}{key[1:]}",
        "upper case": key.upper(),
        "capital": key.capitalize(),
        "decomposed": unicodedata.normalize("NFD", key),
        "composed": unicodedata.normalize("NFC", key),
        "wide letters": "".join(chr(ord(sign) + 0xFEE0) if sign.isascii() and sign.isalpha() else sign for sign in key),
        "zero byte": f"{key}\0",
        "zero byte within": f"shared/\0/../../{key}",
        "line end": f"{key}\n",
        "space": f" {key}",
        "query": f"{key}?x=1",
        "file address": f"file:///{key}",
        "bucket address": f"s3://{BUCKET}/{key}",
    }


@pytest.fixture(params=["folder", "bucket"])
async def site(
    request: pytest.FixtureRequest, make: Make, control: ControlStandIn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> AsyncIterator[Site]:
    tokens = [
        {"token": f"{owner}-{verb}", "owner": owner, "role": role}
        for owner in ("anna", "bert")
        for verb, role in (("edits", "editor"), ("views", "viewer"))
    ]
    prefixes = {**PREFIXES, "*": [*PREFIXES["*"], f"{tmp_path}/paths/{{owner}}"]}
    settings = {
        "KINOLOG_AUTH__TOKENS": json.dumps(tokens),
        "KINOLOG_STORE__OWNER_PREFIXES": json.dumps(prefixes),
        "KINOLOG_STORE__INPUT_ROOTS": json.dumps([str(tmp_path)]),
        "KINOLOG_COMPAT__SIGNING_KEY": SIGNING_KEY,
        "KINOLOG_COMPAT__OWNER": SCHEDULER,
        "KINOLOG_COMPAT__STEP_PIPELINES": '{"compress": "noop"}',
        "KINOLOG_COMPAT__ATTACHMENT_OBJECT": "shared/{id}",
        "KINOLOG_DATA_DIR": str(tmp_path / "data"),
    }
    if request.param == "folder":
        async with serve(make(**settings)) as found:
            yield found
        return
    with moto() as endpoint:
        await make_bucket(endpoint)
        for name, value in environ(endpoint).items():
            monkeypatch.setenv(name, value)
        async with serve(make(**settings, KINOLOG_STORE__URL=f"s3://{BUCKET}/below")) as found:
            yield found


async def laid_out(site: Site, control: ControlStandIn, tmp_path: Path) -> Lying:
    """Media of anna, bert, everybody and nobody, each holding its owner's name, in the store and on the disk."""
    keys: dict[str, str] = {}
    for owner in ("anna", "bert"):
        _, body = await site.ask("POST", "/v1/uploads?pipeline=noop", f"{owner}-edits", data=_content(owner))
        asset_id = body["data"]["asset_id"]
        await site.ask("GET", f"/v1/assets/{asset_id}?after={body['cursor']}", f"{owner}-edits")
        keys |= {f"uploads/{asset_id}/source": owner, f"assets/{asset_id}/probe/1-a/file.mp4": owner}
        keys |= {f"direct/{derived_id('owner', owner)}/clip.mp4": owner, f"media/{owner}/clip.mp4": owner}
    keys |= {"legacy/clip.mp4": "anna", "ümlaut/clip.mp4": "anna", "shared/clip.mp4": "everybody"}
    keys |= dict.fromkeys(["attachments/4711", "media/annabel/clip.mp4", "media/clip.mp4", "clip.mp4"], NOBODY)
    keys |= {f"direct/{derived_id('owner', '')}/clip.mp4": NOBODY, "legacy-too/clip.mp4": NOBODY}
    for key, owner in keys.items():
        if not key.startswith("uploads/"):
            await site.parts.store.put(key, _chunks(owner), 1000)
    paths = {f"{tmp_path}/paths/{owner}/clip.mp4": owner for owner in ("anna", "bert", NOBODY)}
    for path, owner in paths.items():
        Path(path).parent.mkdir(parents=True)
        Path(path).write_bytes(_content(owner))
    (tmp_path / "paths" / "bert" / "link.mp4").symlink_to(tmp_path / "paths" / "anna" / "clip.mp4")
    return Lying(keys, paths)


def _content(owner: str) -> bytes:
    return f"media of {owner}.".encode()


async def _chunks(owner: str) -> AsyncIterator[bytes]:
    yield _content(owner)


async def test_no_name_whatever_its_spelling_gives_anybody_a_byte_that_is_not_theirs(
    site: Site, control: ControlStandIn, tmp_path: Path
) -> None:
    lying = await laid_out(site, control, tmp_path)
    keys, paths = _spelled(lying), _paths(lying, site, tmp_path)
    wrong: list[str] = []
    for requests in (requests for of_route in TAKING.values() for requests in of_route):
        names = [*keys, *paths] if requests in (_assets, _asset_list) else keys
        for who, token in WHO.items():
            if (requests is _step) is (who == "the scheduler"):
                readable = lying.readable(SCHEDULER if token is None else who.partition(",")[0])
                seen = await _bytes(site, control, requests(names), token, tmp_path)
                wrong += [
                    f"{requests.__name__}, {who}: what is {owner}'s by {request}"
                    for request, content in seen
                    for owner in {*lying.keys.values(), *lying.paths.values()} - readable
                    if _content(owner) in content
                ]
    assert wrong == []


def _spelled(lying: Lying) -> list[Named]:
    """Every key, and every spelling of one of each kind."""
    kinds = {key.partition("/")[0]: key for key, owner in lying.keys.items() if owner in ("anna", NOBODY)}
    spellings = {spelling for key in kinds.values() for spelling in disguises(key).values()}
    return [Named("object", name) for name in sorted({*lying.keys, *spellings})]


def _paths(lying: Lying, site: Site, tmp_path: Path) -> list[Named]:
    folder, store = f"{tmp_path}/paths", site.parts.store
    names = {*lying.paths, f"{folder}/bert/../anna/clip.mp4", f"{folder}/bert/link.mp4", f"{folder}//./anna/clip.mp4"}
    in_the_store = {str(store.root / key) for key in lying.keys} if isinstance(store, LocalStore) else set()
    return [Named("path", name) for name in sorted(names | in_the_store)]


async def test_everybody_reads_what_is_theirs(site: Site, control: ControlStandIn, tmp_path: Path) -> None:
    """The other test relies on it: these requests do bring bytes."""
    lying = await laid_out(site, control, tmp_path)
    lost: list[str] = []
    for who, token in WHO.items():
        readable = lying.readable(SCHEDULER if token is None else who.partition(",")[0])
        for requests, names in _routes_of(who, lying, readable):
            seen = b"".join([content for _, content in await _bytes(site, control, requests(names), token, tmp_path)])
            owners = {lying.keys.get(one.name) or lying.paths[one.name] for one in names}
            lost += [
                f"{requests.__name__}, {who}: nothing of {owner}" for owner in owners if _content(owner) not in seen
            ]
            assert seen.count(b"media of ") >= len(names), (requests.__name__, who)
    assert lost == []


def _routes_of(who: str, lying: Lying, readable: set[str]) -> Iterator[tuple[Requests, list[Named]]]:
    """What brings bytes to whom."""
    keys = [Named("object", key) for key, owner in lying.keys.items() if owner in readable]
    paths = [Named("path", path) for path, owner in lying.paths.items() if owner in readable]
    if who == "the scheduler":
        yield _step, keys
        return
    yield _file, [one for one in keys if one.name.startswith("assets/")]
    yield _resolve, [one for one in keys if not one.name.startswith(("assets/", "uploads/"))]
    if "viewer" not in who:
        yield _assets, [*keys, *paths]
        yield _asset_list, [*keys, *paths]
        yield _attachment, keys
    if who == "anna, editor":  # the id names the asset, too: the first one has it
        yield _attachment_id, [one for one in keys if one.name.startswith("shared/")]


async def _bytes(
    site: Site, control: ControlStandIn, requests: Iterator[Request], token: str | None, tmp_path: Path
) -> list[tuple[str, bytes]]:
    """All bytes that requests lead to: the answer, what the addresses in it give, what its jobs would read."""
    seen: list[tuple[str, bytes]] = []
    for method, path, options in requests:
        status, body = await site.ask(method, path, token, **options)
        assert status < 500, (path, options, body)
        name = f"{path} {options.get('json', '')}"[:300]
        if isinstance(body, bytes):
            seen.append((name, body))
        else:
            seen += [(name, await part) for part in _led_to(site, control, body, tmp_path)]
    return seen


def _led_to(site: Site, control: ControlStandIn, body: Any, tmp_path: Path) -> list[Any]:
    found = body.get("data", body)
    results = found if isinstance(found, list) else [found]
    jobs = [one.get("job_id") or one.get("queue_id") for one in results if isinstance(one, dict)]
    urls = [one["url"] for one in results if isinstance(one, dict) and one.get("url")]
    return [
        *(_fetched(site, url) for url in urls),
        *(_source_of(site, control, job_id, tmp_path) for job_id in jobs if job_id),
    ]


async def _fetched(site: Site, url: str) -> bytes:
    async with site.session.get(site.server.make_url(url) if url.startswith("/") else URL(url, encoded=True)) as answer:
        return await answer.read()


async def _source_of(site: Site, control: ControlStandIn, job_id: str, tmp_path: Path) -> bytes:
    await eventually(lambda: job_id in control.jobs)
    settings = site.parts.settings
    sources = Sources(open_store(settings.store_url), tuple(Path(root) for root in settings.store.input_roots))
    folder = tmp_path / "scratch" / job_id
    folder.mkdir(parents=True)
    try:
        path = await sources.resolve(control.jobs[job_id].input, folder)
    except SourceMissing:
        return b""
    return path.read_bytes()


async def test_a_job_of_before_the_rule_reads_what_it_named(site: Site, tmp_path: Path) -> None:
    """Who may name what is asked once, when it is submitted: what stands on the log is carried out."""
    await site.parts.store.put("attachments/4711", _chunks(NOBODY), 1000)
    folder = tmp_path / "scratch"
    folder.mkdir()
    path = await Sources(site.parts.store, ()).resolve(Input(object="attachments/4711"), folder)
    assert path.read_bytes() == _content(NOBODY)
