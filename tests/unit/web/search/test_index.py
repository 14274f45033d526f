"""The search index: indexed passages are found by their owners, and a lost file is recreated."""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from schemas.embed import Passage, Space
from web.search.index import Embedded, Entry, SearchIndex
from web.search.vector_file import Floats

SMALL = Space(model="small", pooling="mean", dim=4, chunker=1)
OTHER = Space(model="other", pooling="mean", dim=4, chunker=1)


@pytest.fixture
async def index(tmp_path: Path) -> AsyncIterator[SearchIndex]:
    found = SearchIndex(tmp_path / "web-1.search")
    yield found
    found.close()


def said(*texts: str) -> list[Passage]:
    return [Passage(start_ms=n * 1000, end_ms=n * 1000 + 900, text=text, segments=(n,)) for n, text in enumerate(texts)]


def one_hot(*places: int) -> Floats:
    return np.eye(4, dtype=np.float32)[list(places)]


def entry(asset_id: str, texts: Sequence[str], *, owner: str | None = "anna", source: str = "v1") -> Entry:
    return Entry(asset_id, owner, source, said(*texts))


def embedded(asset_id: str, places: Sequence[int], *, space: Space = SMALL, owner: str | None = "anna") -> Entry:
    texts = [f"about {place}" for place in places]
    return Entry(asset_id, owner, "v1", said(*texts), Embedded(space, one_hot(*places)))


async def texts_of(index: SearchIndex, query: str, owner: str | None = None) -> list[str]:
    return [hit.text for hit in await index.find_words(query, owner, 10)]


async def assets_near(index: SearchIndex, place: int, space: Space = SMALL, owner: str | None = None) -> list[str]:
    return [hit.asset_id for hit in await index.nearest(space.id, one_hot(place)[0], owner, 1)]


async def test_words_are_found_with_their_range(index: SearchIndex) -> None:
    await index.put(entry("asset_1", ["ask not", "what your country can do for you"]))
    [hit] = await index.find_words('"country"', None, 10)
    assert (hit.asset_id, hit.start_ms, hit.end_ms, hit.text) == (
        "asset_1",
        1000,
        1900,
        "what your country can do for you",
    )


async def test_a_word_of_unspaced_text_is_found_and_returned_unchanged(index: SearchIndex) -> None:
    await index.put(entry("asset_1", ["今日は良い天気です"]))
    assert await texts_of(index, '"天 気"') == ["今日は良い天気です"]


async def test_owners_find_only_their_own(index: SearchIndex) -> None:
    for asset_id, owner in (("a", "anna"), ("b", "bert"), ("n", None)):
        await index.put(Entry(asset_id, owner, "v1", said(f"country of {owner}"), Embedded(SMALL, one_hot(1))))
    assert await texts_of(index, '"country"', "anna") == ["country of anna"]
    assert len(await texts_of(index, '"country"')) == 3
    assert [hit.asset_id for hit in await index.nearest(SMALL.id, one_hot(1)[0], "bert", 10)] == ["b"]
    assert await index.nearest(SMALL.id, one_hot(1)[0], "nobody", 10) == []


async def test_the_nearest_vector_is_found_in_its_own_space_only(index: SearchIndex) -> None:
    await index.put(embedded("asset_1", [0, 1]))
    await index.put(embedded("asset_2", [2, 3], space=OTHER))
    assert {space.model for space in index.spaces()} == {"small", "other"}
    assert await assets_near(index, 1) == ["asset_1"]
    found = await index.nearest(SMALL.id, one_hot(3)[0], None, 10)
    assert {hit.asset_id for hit in found} == {"asset_1"}
    assert max(hit.score for hit in found) == 0


async def test_another_source_replaces_the_entry(index: SearchIndex) -> None:
    await index.put(embedded("asset_1", [0, 1]))
    await index.put(entry("asset_1", ["new words"], source="v2"))
    assert await index.source("asset_1") == "v2"
    assert await texts_of(index, '"about"') == []
    assert await texts_of(index, '"new"') == ["new words"]
    assert await assets_near(index, 0) == []
    assert index.spaces() == []


async def test_the_slots_of_a_removed_asset_are_used_again(index: SearchIndex, tmp_path: Path) -> None:
    for n in range(50):
        await index.put(embedded(f"asset_{n}", [0, 1, 2, 3]))
        await index.remove([f"asset_{n - 1}"])
    assert await index.sources() == {"asset_49": "v1"}
    assert await assets_near(index, 2) == ["asset_49"]
    assert index._spaces[SMALL.id].vectors._size <= 8


async def test_the_index_survives_a_restart(index: SearchIndex, tmp_path: Path) -> None:
    await index.put(embedded("asset_1", [0, 1]))
    await index.put(embedded("asset_2", [2, 3], owner="bert"))
    index.close()
    with closing(SearchIndex(tmp_path / "web-1.search")) as again:
        assert not again.emptied.is_set()
        assert await again.sources() == {"asset_1": "v1", "asset_2": "v1"}
        assert await assets_near(again, 3) == ["asset_2"]
        assert await assets_near(again, 3, owner="anna") == ["asset_1"]


@pytest.mark.parametrize("damage", ["index", "vectors", "garbage"])
async def test_a_lost_file_is_recreated(index: SearchIndex, tmp_path: Path, damage: str) -> None:
    await index.put(embedded("asset_1", [0, 1]))
    index.close()
    if damage == "vectors":
        next(tmp_path.rglob("*.f32")).unlink()
    elif damage == "index":
        (tmp_path / "web-1.search").unlink()
    else:
        (tmp_path / "web-1.search").write_bytes(b"no database" * 1000)
    with closing(SearchIndex(tmp_path / "web-1.search")) as again:
        assert again.emptied.is_set()
        assert await again.sources() == {}
        await again.put(embedded("asset_1", [2]))
        assert await assets_near(again, 2) == ["asset_1"]


async def test_a_file_that_is_deleted_while_it_is_used_is_noticed(index: SearchIndex, tmp_path: Path) -> None:
    await index.put(embedded("asset_1", [0, 1]))
    index.emptied.clear()
    (tmp_path / "web-1.search").unlink()
    assert await texts_of(index, '"about"') == []
    assert index.emptied.is_set()
    await index.put(embedded("asset_1", [0, 1]))
    assert len(await texts_of(index, '"about"')) == 2


async def test_no_word_or_vector_of_a_removed_asset_is_left_in_the_files(index: SearchIndex, tmp_path: Path) -> None:
    for n in range(40):
        await index.put(
            Entry(f"asset_{n}", "anna", "v1", said(f"ship planted{n:03} sails"), Embedded(SMALL, one_hot(1)))
        )
    await index.put(entry("asset_2", ["it was transcribed again"], source="v2"))
    await index.remove(f"asset_{n}" for n in range(0, 40, 2))
    await erased(index)
    content = b"".join(file.read_bytes() for file in tmp_path.glob("web-1.search*") if file.is_file())
    assert {int(n) for n in re.findall(rb"planted(\d{3})", content)} == set(range(1, 40, 2))
    assert len(await texts_of(index, '"ship"')) == 10
    assert await texts_of(index, '"planted004"') == []
    vectors = np.fromfile(tmp_path / "web-1.vectors" / f"{SMALL.id}.f32", np.float32).reshape(-1, 4)
    assert np.count_nonzero(vectors.any(axis=1)) == 20


async def erased(index: SearchIndex) -> None:
    """Everything that was removed before is erased."""
    assert index.needs_erasure.is_set()
    while not await index.erase():
        pass


async def test_passages_that_come_while_words_are_merged_are_found(index: SearchIndex) -> None:
    for n in range(200):
        await index.put(entry(f"asset_{n}", [" ".join(f"word{n * k % 997}" for k in range(200))]))
    await index.remove(f"asset_{n}" for n in range(100))
    n = 0
    while not await index.erase():
        n += 1
        await index.put(entry(f"late_{n}", ["a late word"]))
    assert n
    assert len(await texts_of(index, '"late"')) == min(n, 10)
    assert await texts_of(index, '"word1"') != []


async def test_a_new_asset_is_not_found_by_the_words_of_a_removed_one_whose_number_it_gets(index: SearchIndex) -> None:
    await index.put(entry("asset_1", ["zarquon sails"]))
    [before] = await index.find_words('"zarquon"', None, 10)
    await index.remove(["asset_1"])
    await index.put(entry("asset_2", ["something else"]))
    [after] = await index.find_words('"something"', None, 10)
    assert after.n == before.n, "SQLite gives a free number again: otherwise this proves nothing"
    assert await texts_of(index, '"zarquon"') == []
