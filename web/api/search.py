"""/v1/search: search transcripts by words, by meaning, or by both."""

import asyncio
import re
import sqlite3
from collections.abc import Mapping, Sequence, Set
from functools import partial
from typing import Literal, NamedTuple, get_args

import msgspec
from aiohttp import web

from schemas.embed import Space
from schemas.jobs import Asset
from web.api.common import json_response
from web.auth.middleware import caller_of
from web.http.problems import Problem, unavailable
from web.http.routing import Routes
from web.readmodel import queries
from web.search.index import Hit
from web.search.merging import merged
from web.search.query_embedder import SpaceUnavailable
from web.search.ranking import fused
from web.search.text_query import held, highlighted, match_queries
from web.services import Services, services
from web.views.models import Found, FoundPassage

routes = Routes("Search")

Mode = Literal["text", "vector", "hybrid"]
_MODES: dict[str, Mode] = {mode: mode for mode in get_args(Mode)}

MAX_QUERY_CHARS = 400
_DEFAULT_LIMIT, _MAX_LIMIT = 20, 100
#: How much deeper than the answer each ranking goes that is fused.
_DEPTH, _LEAST_DEPTH = 3, 50
_PARAMETERS = frozenset({"q", "mode", "limit"})


class Asked(NamedTuple):
    """A search that was understood."""

    text: str
    mode: Mode
    limit: int
    #: Whose passages are visible; None: everybody's.
    owner: str | None

    @property
    def depth(self) -> int:
        """How long the rankings are that are fused."""
        return max(self.limit * _DEPTH, _LEAST_DEPTH)


class Ranked(NamedTuple):
    """What a search gave."""

    #: The best first.
    hits: Sequence[Hit]
    #: What was searched in the end: a hybrid search may have had words only.
    mode: Mode
    #: Why a part of it was left out.
    left_out: Sequence[str] = ()
    #: Numbers of the hits that were found by their words.
    worded: Set[int] = frozenset()


class SearchQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Query parameters of a search."""

    #: Text to search for, 1 to 400 characters.
    q: str
    #: By words, by meaning, or by both: text, vector, hybrid.
    mode: str = "hybrid"
    #: Maximum number of passages, 1 to 100.
    limit: int = 20


@routes.get("/v1/search", query=SearchQuery, responses={200: Found}, problems=(400, 503))
async def search(request: web.Request) -> web.Response:
    """Search transcripts; the best passages first."""
    asked = parse(request.query, caller_of(request).scope)
    parts = services(request)
    ranked = await _SEARCHES[asked.mode](parts, asked)
    rows = await parts.model.read(_rows, merged(ranked.hits, partial(_is_found_again, asked, ranked)), asked)
    return json_response(Found(data=rows, mode=ranked.mode, left_out=list(ranked.left_out) or msgspec.UNSET))


def parse(query: Mapping[str, str], owner: str | None) -> Asked:
    """The search that `query` asks for, of what belongs to `owner` (None: everybody). Raises Problem (400)."""
    if unknown := sorted(set(query) - _PARAMETERS):
        raise Problem(400, "unknown-parameter", f"unknown parameter {unknown[0][:50]!r}")
    text, mode = query.get("q", "").strip(), _MODES.get(query.get("mode", "hybrid"))
    if not 1 <= len(text) <= MAX_QUERY_CHARS:
        raise Problem(400, "invalid-query", f"q must have 1 to {MAX_QUERY_CHARS} characters")
    if mode is None:
        raise Problem(400, "invalid-mode", f"mode must be one of {', '.join(_MODES)}")
    limit = query.get("limit", str(_DEFAULT_LIMIT))
    if not re.fullmatch(r"[0-9]{1,6}", limit) or not 1 <= int(limit) <= _MAX_LIMIT:
        raise Problem(400, "invalid-limit", f"limit must be a number from 1 to {_MAX_LIMIT}")
    return Asked(text, mode, int(limit), owner)


async def _text(parts: Services, asked: Asked) -> Ranked:
    words = await _by_words(parts, asked)
    return Ranked(words, "text", worded={hit.n for hit in words})


async def _vector(parts: Services, asked: Asked) -> Ranked:
    rankings, troubles = await _by_meaning(parts, asked)
    if troubles and not rankings:
        raise unavailable("model-unavailable", f"{troubles[0]}; mode=text searches without a model", 10)
    return Ranked(_in_one(rankings), "vector", troubles)


async def _hybrid(parts: Services, asked: Asked) -> Ranked:
    words, (rankings, troubles) = await asyncio.gather(_by_words(parts, asked), _by_meaning(parts, asked))
    worded = {hit.n for hit in words}
    if not rankings:
        return Ranked(words, "text", troubles, worded)
    return Ranked(_in_one([words, *rankings], even_one=True), "hybrid", troubles, worded)


_SEARCHES = {"text": _text, "vector": _vector, "hybrid": _hybrid}


def _is_found_again(asked: Asked, ranked: Ranked, hit: Hit, part: Hit) -> bool:
    """Whether the part has all the words that the hit was found by. Meaning is that of the whole passage."""
    return hit.n in ranked.worded and held(hit.text, asked.text) == held(part.text, asked.text)


async def _by_words(parts: Services, asked: Asked) -> list[Hit]:
    """Passages with all the words; with any of them where there is none with all."""
    for query in match_queries(asked.text):
        if hits := await parts.index.find_words(query, asked.owner, asked.depth):
            return hits
    return []


async def _by_meaning(parts: Services, asked: Asked) -> tuple[list[list[Hit]], list[str]]:
    """A ranking of each space, and why others could not be searched. Spaces are never compared with each other."""
    spaces = parts.index.spaces()
    outcomes = await asyncio.gather(*(_in_space(parts, asked, space) for space in spaces), return_exceptions=True)
    rankings, troubles = [], []
    for outcome in outcomes:
        if isinstance(outcome, SpaceUnavailable):
            troubles.append(str(outcome))
        elif isinstance(outcome, BaseException):
            raise outcome
        else:
            rankings.append(outcome)
    return rankings, troubles


async def _in_space(parts: Services, asked: Asked, space: Space) -> list[Hit]:
    vector = await parts.query_vectors.vector(asked.text, space)
    return await parts.index.nearest(space.id, vector, asked.owner, asked.depth)


def _in_one(rankings: Sequence[Sequence[Hit]], *, even_one: bool = False) -> list[Hit]:
    """One ranking by place; one that is alone keeps its own scores."""
    if len(rankings) == 1 and not even_one:
        return list(rankings[0])
    hits = {hit.n: hit for ranking in rankings for hit in ranking}
    return [hits[n]._replace(score=score) for n, score in fused([[hit.n for hit in ranking] for ranking in rankings])]


def _rows(db: sqlite3.Connection, hits: Sequence[Hit], asked: Asked) -> list[FoundPassage]:
    """The best hits as they are shown; without those whose asset has gone meanwhile."""
    rows: list[FoundPassage] = []
    for hit in hits:
        if len(rows) == asked.limit:
            break
        if (asset := queries.asset(db, hit.asset_id)) is not None:
            rows.append(_row(asset, _job_of(db, asset), hit, asked.text))
    return rows


def _row(asset: Asset, job_id: str | None, hit: Hit, asked: str) -> FoundPassage:
    return FoundPassage(
        asset_id=asset.id,
        job_id=job_id,
        filename=asset.filename,
        start_ms=hit.start_ms,
        end_ms=hit.end_ms,
        text=hit.text,
        highlight=highlighted(hit.text, asked),
        score=round(hit.score, 6),
    )


def _job_of(db: sqlite3.Connection, asset: Asset) -> str | None:
    """The job that transcribed what is indexed."""
    wanted = asset.outputs.get("transcribe")
    for job in queries.jobs_of_asset(db, asset.id):
        if any(step.spec.name == "transcribe" and step.outputs == wanted for step in job.steps):
            return job.id
    return None
