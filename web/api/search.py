"""/v1/search: search transcripts by words, by meaning, or by both."""

import asyncio
import math
import re
import sqlite3
from collections.abc import Mapping, Sequence, Set
from functools import cache, partial
from itertools import islice
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
from web.search.floor import similar_enough
from web.search.index import Hit
from web.search.merging import merged
from web.search.query_embedder import SpaceUnavailable
from web.search.ranking import fused
from web.search.text_query import highlighted, match_queries, matched_parts
from web.services import Services, services
from web.views.models import Found, FoundPassage, Match

routes = Routes("Search")

Mode = Literal["text", "vector", "hybrid"]
_MODES: dict[str, Mode] = {mode: mode for mode in get_args(Mode)}

MAX_QUERY_CHARS = 400
_DEFAULT_LIMIT, _MAX_LIMIT = 20, 100
#: Length of each ranking before fusion: a multiple of the limit, and its minimum.
_DEPTH, _MIN_DEPTH = 3, 50
#: Jobs of an asset that are checked for having made its transcript; it may have 10,000.
_MOST_JOBS = 50
_PARAMETERS = frozenset({"q", "mode", "limit"})


class SearchParams(NamedTuple):
    """A parsed search."""

    text: str
    mode: Mode
    limit: int
    #: Owner whose passages are searched; None: all owners.
    owner: str | None

    @property
    def depth(self) -> int:
        """Length of each ranking before fusion."""
        return max(self.limit * _DEPTH, _MIN_DEPTH)


class Ranked(NamedTuple):
    """Result of a search."""

    #: The best first.
    hits: Sequence[Hit]
    #: The mode that was used: a hybrid search may fall back to words.
    mode: Mode
    #: Why parts of the search were left out.
    left_out: Sequence[str] = ()
    #: Numbers of the hits that matched by words, and of those that did by meaning.
    word_hits: Set[int] = frozenset()
    meaning_hits: Set[int] = frozenset()


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
    params = parse(request.query, caller_of(request).scope)
    parts = services(request)
    ranked = await _SEARCHES[params.mode](parts, params)
    hits = merged(ranked.hits, partial(_has_same_words, params, ranked))
    rows = await parts.model.read(_rows, hits, params, ranked)
    return json_response(Found(data=rows, mode=ranked.mode, left_out=list(ranked.left_out) or msgspec.UNSET))


def parse(query: Mapping[str, str], owner: str | None) -> SearchParams:
    """Parse the query of a search among the passages of `owner` (None: all owners). Raises Problem (400)."""
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
    return SearchParams(text, mode, int(limit), owner)


async def _text(parts: Services, params: SearchParams) -> Ranked:
    words = await _by_words(parts, params)
    return Ranked(words, "text", word_hits={hit.n for hit in words})


async def _vector(parts: Services, params: SearchParams) -> Ranked:
    rankings, reasons = await _by_meaning(parts, params)
    if reasons and not rankings:
        raise unavailable("model-unavailable", f"{reasons[0]}; mode=text searches without a model", 10)
    return Ranked(_fuse(rankings), "vector", reasons, meaning_hits=_numbers(rankings))


async def _hybrid(parts: Services, params: SearchParams) -> Ranked:
    words, (rankings, reasons) = await asyncio.gather(_by_words(parts, params), _by_meaning(parts, params))
    word_hits = {hit.n for hit in words}
    if not rankings:
        return Ranked(words, "text", reasons, word_hits)
    return Ranked(_fuse([words, *rankings], always=True), "hybrid", reasons, word_hits, _numbers(rankings))


def _numbers(rankings: Sequence[Sequence[Hit]]) -> frozenset[int]:
    return frozenset(hit.n for ranking in rankings for hit in ranking)


_SEARCHES = {"text": _text, "vector": _vector, "hybrid": _hybrid}


def _has_same_words(params: SearchParams, ranked: Ranked, hit: Hit, part: Hit) -> bool:
    """Whether the part has all the words that the hit matched. Its meaning is that of the whole passage."""
    return hit.n in ranked.word_hits and matched_parts(hit.text, params.text) == matched_parts(part.text, params.text)


async def _by_words(parts: Services, params: SearchParams) -> list[Hit]:
    """Find passages with all the words; without any, passages with some of them."""
    for query in match_queries(params.text):
        if hits := await parts.index.find_words(query, params.owner, params.depth):
            return hits
    return []


async def _by_meaning(parts: Services, params: SearchParams) -> tuple[list[list[Hit]], list[str]]:
    """Rank passages in each embedding space; also why spaces could not be searched. Spaces are never compared."""
    spaces = parts.index.spaces()
    outcomes = await asyncio.gather(*(_in_space(parts, params, space) for space in spaces), return_exceptions=True)
    rankings, reasons = [], []
    for outcome in outcomes:
        if isinstance(outcome, SpaceUnavailable):
            reasons.append(str(outcome))
        elif isinstance(outcome, BaseException):
            raise outcome
        else:
            rankings.append(outcome)
    return rankings, reasons


async def _in_space(parts: Services, params: SearchParams, space: Space) -> list[Hit]:
    vector = await parts.query_vectors.vector(params.text, space)
    nearest = await parts.index.nearest(space.id, vector, params.owner, params.depth)
    return similar_enough(nearest, space, parts.settings.embed.min_similarity)


def _fuse(rankings: Sequence[Sequence[Hit]], *, always: bool = False) -> list[Hit]:
    """Fuse rankings by rank; a single one keeps its own scores unless `always`."""
    if len(rankings) == 1 and not always:
        return list(rankings[0])
    hits = {hit.n: hit for ranking in rankings for hit in ranking}
    return [hits[n]._replace(score=score) for n, score in fused([[hit.n for hit in ranking] for ranking in rankings])]


def _rows(db: sqlite3.Connection, hits: Sequence[Hit], params: SearchParams, ranked: Ranked) -> list[FoundPassage]:
    """Render the best hits, without those whose asset was deleted meanwhile."""
    rows: list[FoundPassage] = []
    job_of = cache(partial(_job_of, db))
    for hit in hits:
        if len(rows) == params.limit:
            break
        if (asset := queries.asset(db, hit.asset_id)) is not None:
            rows.append(_row(asset, job_of(asset.id), hit, params.text, _matched_by(ranked, hit)))
    return rows


def _matched_by(ranked: Ranked, hit: Hit) -> list[Match]:
    found: list[Match] = ["words"] if hit.n in ranked.word_hits else []
    return [*found, "meaning"] if hit.n in ranked.meaning_hits else found


def _row(asset: Asset, job_id: str | None, hit: Hit, query: str, matched_by: list[Match]) -> FoundPassage:
    return FoundPassage(
        asset_id=asset.id,
        job_id=job_id,
        filename=asset.filename,
        start_ms=hit.start_ms,
        end_ms=hit.end_ms,
        text=hit.text,
        highlight=highlighted(hit.text, query),
        score=round(hit.score, 6),
        matched_by=matched_by,
    )


def _job_of(db: sqlite3.Connection, asset_id: str) -> str | None:
    """Id of the job that made the indexed transcript; None when it is not among the newest before the transcript."""
    if (asset := queries.asset(db, asset_id)) is None:
        return None
    transcript, made_at = asset.outputs.get("transcribe"), asset.published_at.get("transcribe", math.inf)
    for job in islice(queries.jobs_of_asset(db, asset_id, created_until=made_at), _MOST_JOBS):
        if any(step.spec.name == "transcribe" and step.outputs == transcript for step in job.steps):
            return job.id
    return None
