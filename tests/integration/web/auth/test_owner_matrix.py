"""Every route x every place that takes a text x every kind of key x every role: of another owner's things nobody sees a
byte, nor that they exist. The response is the one for a key of nothing.
"""

import json
import re
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from tests.conftest import eventually
from tests.integration.web.auth.owned_things import CONTENT, SETTINGS, Key, annas_things
from tests.integration.web.auth.route_requests import Request, Variation, plain_request, variations
from tests.integration.web.control_stand_in import ControlStandIn
from tests.integration.web.logs import Make, control, log, make
from tests.integration.web.served import ADMIN, Site, serve
from web.http.routing import Route
from web.route_list import ROUTES

__all__ = ["control", "log", "make"]  # fixtures are found by their name in this module

ALL_ROUTES = [route for listed in ROUTES for route in listed.entries]
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
#: What differs between any two responses, and where it stands.
_VARYING = (
    (r"\b(asset|job|tus|upload|tok|chain)_[0-9a-f]{24}", "<id>"),
    (r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "<time>"),
    (r'"(cursor|next_cursor|nextCursor|ticket|token|request_id|requestId)":\s*"[^"]*"', "<varying>"),
    (r"/media/s/\d+\.[\w-]+", "<signed>"),
    (r'"score":\s*[0-9.]+', "<value>"),
    (r',\s*"(queue_position|eta_s)":\s*[0-9.]+', ""),  # also missing, while the queue was not reported
)


@pytest.fixture
async def site(make: Make, control: ControlStandIn) -> AsyncIterator[Site]:
    async with serve(make(**SETTINGS, KINOLOG_AUTH__FAILURES="100000")) as found:
        yield found


async def test_nobody_can_tell_what_is_anothers_from_what_does_not_exist(site: Site, control: ControlStandIn) -> None:
    """First what only reads, then what writes, then again what reads: it shows whether the two were treated alike."""
    keys = await annas_things(site, control)
    own = await _own_grant(site, control)
    spellings, told = _spellings(keys), list[str]()
    for who in (None, "bert-views", "bert-edits"):
        for reads, is_first in ((True, True), (False, True), (True, False)):
            for route, variation, kind in _matrix(keys, own, reads=reads):
                if variation.name.startswith("query q ") and not is_first:
                    continue  # it finds bert's own requests, which named the keys
                name = f"{route.method} {route.path}, {variation.name}, anna's {kind}, {who}"
                first = await _shown(site, control, variation.request(keys[kind].annas), who)
                second = await _shown(site, control, variation.request(keys[kind].twin), who)
                told += [f"{name} shows {leak}" for leak in _leaks(first, keys, kind)] if is_first else []
                first, second = _normal(first, spellings), _normal(second, spellings)
                if first != second:
                    told.append(f"{name}: {_difference(first, second)}")
    assert not told, f"{len(told)} differences\n" + "\n".join(told[:60])


async def test_nothing_of_annas_is_in_a_response_that_no_key_is_needed_for(site: Site, control: ControlStandIn) -> None:
    keys = await annas_things(site, control)
    told: list[str] = []
    for route in ALL_ROUTES:
        if not variations(route, {}):
            for who in (None, "bert-views", "bert-edits"):
                shown = await _shown(site, control, plain_request(route), who)
                told += [f"{route.method} {route.path}, {who} shows {leak}" for leak in _leaks(shown, keys, "owner")]
    assert told == []


async def test_no_response_changes_with_what_another_owner_does(site: Site, control: ControlStandIn) -> None:
    """Counts, too: of jobs, bytes, cache lookups. /metrics alone is of the whole replica, for its operator."""
    before = await _keyless_reads(site, control)
    keys = await annas_things(site, control)
    used = {"ids": [keys["cached asset"].annas, keys["transcribed asset"].annas]}
    assert (await site.ask("POST", "/v1/cache-assets/resolve", "anna-views", json=used))[0] == 200
    after = await _keyless_reads(site, control)
    told = [f"{name}: {_difference(text, after[name])}" for name, text in before.items() if text != after[name]]
    assert not told, "\n".join(told)


async def _keyless_reads(site: Site, control: ControlStandIn) -> dict[str, str]:
    reads = [
        route for route in ALL_ROUTES if route.method == "GET" and "{" not in route.path and route.path != "/metrics"
    ]
    return {
        f"{route.path} as {who}": _normal(await _shown(site, control, plain_request(route), who), [])
        for route in reads
        for who in (None, "bert-views", "bert-edits")
    }


async def test_each_kind_of_key_is_of_use_to_its_owner(site: Site, control: ControlStandIn) -> None:
    """The other test relies on it: what bert is not told of is there."""
    keys = await annas_things(site, control)
    spellings = _spellings(keys)
    useless = set(keys) - {"closed file", "token", "remote address", "idempotency key"}
    for _, variation, kind in (one for reads in (True, False) for one in _matrix(keys, {}, reads=reads)):
        if kind in useless:
            first = await _shown(site, control, variation.request(keys[kind].annas), "anna-edits")
            second = await _shown(site, control, variation.request(keys[kind].twin), "anna-edits")
            useless -= {kind} if _normal(first, spellings) != _normal(second, spellings) else set()
    assert useless == set()


def _matrix(keys: dict[str, Key], values: dict[str, str], *, reads: bool) -> Iterator[tuple[Route, Variation, str]]:
    for route in ALL_ROUTES:
        for variation in variations(route, values) if (route.method in _READING) is reads else ():
            for kind in keys:
                yield route, variation, kind


async def _own_grant(site: Site, control: ControlStandIn) -> dict[str, str]:
    """A signed URL of bert's own, which must open nothing else."""
    body = {"input": {"object": "shared/clip.mp4"}, "pipeline": "noop"}
    _, answer = await site.ask("POST", "/v1/assets", "bert-edits", json=body)
    asset_id = answer["data"]["asset_id"]
    await eventually(lambda: answer["data"]["job_id"] in control.jobs)
    _, signed = await site.ask("POST", f"/v1/assets/{asset_id}/playback", "bert-edits", json={})
    return {"grant": signed["data"]["base_url"].split("/")[3]}


def _leaks(shown: str, keys: dict[str, Key], kind: str) -> list[str]:
    """What is anna's in a response to a request that did not name it."""
    markers = {other: key.annas for other, key in keys.items() if len(key.annas) > 6 and other != "speech"}
    found = [f"anna's {other}" for other, text in markers.items() if text in shown and text not in keys[kind].annas]
    return found + (["bytes of a file"] if CONTENT.decode() in shown else [])


async def _shown(site: Site, control: ControlStandIn, request: Request, token: str | None) -> str:
    """Status and body of the response; what it promised is visible."""
    if request.path.partition("?")[0] in ("/v1/live", "/v1/live/sse"):
        status, body = await site.first_frame(request.path, token, request.options["headers"])
        return f"{status} {body}"
    status, answer = await site.ask(request.method, request.path, token, **request.options)
    if isinstance(answer, dict) and status < 300 and request.method != "GET":
        await _settled(site, control, answer)
    text = answer.decode(errors="replace") if isinstance(answer, bytes) else json.dumps(answer, ensure_ascii=False)
    return f"{status} {text}"


def _spellings(keys: dict[str, Key]) -> list[str]:
    """Every key and every twin, as responses may spell them, the longest first."""
    names = {one for key in keys.values() for one in key if len(one) > 3}
    spelled = {spelling for one in names for spelling in (one, quote(one, safe=""), quote(one), quote_plus(one))}
    parts = {one.rpartition("/")[2] for one in names if one.startswith("http")}
    return sorted(spelled | {one.casefold() for one in spelled} | parts, key=len, reverse=True)


def _normal(shown: str, spellings: list[str]) -> str:
    """The response without what differs between any two; every key and every twin is the same."""
    for text in spellings:
        shown = shown.replace(text, "<key>")
    for pattern, name in _VARYING:
        shown = re.sub(pattern, name, shown)
    return shown


def _difference(first: str, second: str) -> str:
    alike = next((n for n, (one, other) in enumerate(zip(first, second, strict=False)) if one != other), 0)
    start = max(alike - 60, 0)
    return f"\n    {first[start : start + 200]}\n    {second[start : start + 200]}"


async def _settled(site: Site, control: ControlStandIn, answer: dict[str, Any]) -> None:
    """Wait until what the response promised is visible."""
    found = answer.get("data", answer)
    for one in found if isinstance(found, list) else [found]:
        job_id = one.get("job_id") or one.get("queue_id") or one.get("queueId") if isinstance(one, dict) else None
        if job_id:
            await eventually(partial(_is_decided, control, job_id), 60)
            await site.ask("GET", f"/v1/jobs/{job_id}", ADMIN)


def _is_decided(control: ControlStandIn, job_id: str) -> bool:
    return job_id in control.jobs or job_id in control.deleted
