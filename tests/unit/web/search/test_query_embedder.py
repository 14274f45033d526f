"""A query is embedded by the model of the space that it searches, or not at all."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pytest
from msgspec.structs import replace

from processors.models.backends import Backend, parse_backend
from processors.models.embeddings import Embedded, Kind
from schemas.embed import Space
from tests.conftest import eventually
from web.http.fair_semaphore import CALLER
from web.search.query_embedder import QueryVectors, SpaceUnavailable

SPACE = Space(model="small", revision="weights 1", pooling="mean", dim=2, chunker=1)


class FakeModel:
    """Says that its vectors are of `space`."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.backend: Backend = parse_backend(f"local:{space.model}")
        self.kinds: list[Kind] = []

    async def embed(self, texts: Sequence[str], kind: Kind) -> Embedded:
        self.kinds.append(kind)
        return Embedded(np.ones((len(texts), self.space.dim), np.float32), self.space)

    async def close(self) -> None:
        """Nothing is open."""


def vectors_by(*models: FakeModel) -> QueryVectors:
    return QueryVectors(cast(Any, {f"{n}": model for n, model in enumerate(models)}), 5)


async def test_only_the_model_of_the_space_embeds_the_query() -> None:
    right, other = FakeModel(SPACE), FakeModel(replace(SPACE, model="other"))
    assert (await vectors_by(other, right).vector("nation", SPACE)).shape == (2,)
    assert (right.kinds, other.kinds) == (["query"], [])


@pytest.mark.parametrize(
    "changed", [{"revision": "weights 2"}, {"pooling": "cls"}, {"dim": 3}, {"passage_prefix": "passage: "}]
)
async def test_a_model_of_the_same_name_that_makes_other_vectors_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(SpaceUnavailable, match="small"):
        await vectors_by(FakeModel(replace(SPACE, **changed))).vector("nation", SPACE)


async def test_passages_that_were_cut_differently_are_still_found() -> None:
    assert len(await vectors_by(FakeModel(replace(SPACE, chunker=2))).vector("nation", SPACE)) == 2


async def test_without_the_model_the_error_names_it() -> None:
    with pytest.raises(SpaceUnavailable, match="small"):
        await vectors_by().vector("nation", SPACE)


class BusyModel(FakeModel):
    """Embeds nothing until it is told to; each request takes its place."""

    def __init__(self) -> None:
        super().__init__(SPACE)
        self.texts: list[str] = []
        self.goes_on = asyncio.Event()

    async def embed(self, texts: Sequence[str], kind: Kind) -> Embedded:
        self.texts += texts
        await self.goes_on.wait()
        return await super().embed(texts, kind)


async def _ask(vectors: QueryVectors, caller: str, text: str) -> None:
    CALLER.set(caller)
    with contextlib.suppress(SpaceUnavailable):
        await vectors.vector(text, SPACE)


async def test_one_callers_searches_do_not_keep_anothers_from_the_model() -> None:
    model = BusyModel()
    vectors = vectors_by(model)
    asking = [asyncio.create_task(_ask(vectors, "anna", f"a{n}")) for n in range(12)]
    await asyncio.sleep(0)
    asking.append(asyncio.create_task(_ask(vectors, "bert", "b")))
    await eventually(lambda: "b" in model.texts)
    assert model.texts == ["a0", "a1", "b"]
    model.goes_on.set()
    await asyncio.gather(*asking)
    await vectors.close()


async def test_searches_that_gave_up_do_not_pile_up_at_a_model_that_hangs() -> None:
    model = BusyModel()
    vectors = QueryVectors(cast(Any, {"0": model}), 0.01)
    for n in range(20):
        await _ask(vectors, "anna", f"a{n}")
    assert len(model.texts) == 2
    await vectors.close()
