"""GET /v1/search over a replica whose log is written by the test; models are endpoints."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import count, pairwise
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from agents.embed import make
from processors.contract import Work
from processors.storage.local_store import LocalStore
from processors.storage.owner_mark import Installation, mark
from processors.tools.limits import Limits
from processors.tools.runner import Runner
from processors.transcripts.passages import passages, speech_of
from schemas.jobs import Asset
from streams.cli.main import cli
from streams.process.ports import free_port
from streams.settings import Settings, load
from tests.conftest import eventually
from tests.fake_embeddings import FakeEmbeddings, fake_embeddings
from tests.integration.web.served import ENVIRON, Site, serve
from tests.transcripts import BAKING, JFK, transcript, transcript_json
from tests.unit.web.rows import a_job, a_step, an_asset, record, tombstone

Segments = Sequence[tuple[int, int, str]]


class Archive:
    """A web replica, and a store and a log that the test writes."""

    def __init__(self, site: Site, settings: Settings) -> None:
        self.site, self.settings = site, settings
        self._offsets = count()

    async def say(
        self, number: int, segments: Segments = JFK, *, owner: str | None = "anna", attempt: int = 1
    ) -> Asset:
        """Transcribe an asset, and write its rows."""
        asset = an_asset(number, owner=owner, filename=f"speech-{number}.mp4")
        prefix = f"assets/{asset.id}/transcribe/{attempt}-lease"
        await self._publish(prefix, {"transcript.json": transcript_json(segments)})
        outputs = {"transcript": f"{prefix}/transcript.json", "text": f"{prefix}/transcript.txt"}
        asset = replace(asset, outputs={"transcribe": outputs})
        steps = (a_step("transcribe", "completed", outputs=outputs),)
        job = a_job(number, "completed", steps, asset_id=asset.id, owner=owner)
        await self.site.parts.follower.take({"jobs": [record(job, next(self._offsets))], "assets": []})
        return await self.write(asset)

    async def embed(self, asset: Asset, settings: Settings | None = None) -> Asset:
        """Embed what was said, and write the row."""
        store, folder = self.site.parts.store, self.settings.data_path / "work" / asset.id
        folder.mkdir(parents=True)
        assert isinstance(store, LocalStore)
        root = store.root

        async def fetch(key: str) -> Path:
            return root / key

        prefix = f"assets/{asset.id}/embed/{len(asset.outputs)}-lease"
        inputs = {"transcribe": asset.outputs["transcribe"]}
        work = Work(source=folder, scratch=folder, output=folder, prefix=prefix, inputs=inputs, fetch=fetch)
        embedder = make(Runner(Limits()), settings or self.settings)
        outputs = await embedder.process(work)
        await store.publish_tree(folder, prefix)

        return await self.write(replace(asset, outputs={**asset.outputs, "embed": msgspec.to_builtins(outputs)}))

    async def write(self, asset: Asset) -> Asset:
        """The asset's row onto the log."""
        await self.site.parts.follower.take({"jobs": [], "assets": [record(asset, next(self._offsets))]})
        return asset

    async def delete(self, asset: Asset) -> None:
        """A tombstone onto the log."""
        await self.site.parts.follower.take({"jobs": [], "assets": [tombstone(asset.id, next(self._offsets))]})

    async def search(self, q: str, token: str = "admin-token", **params: str) -> tuple[int, Any]:
        return await self.site.ask("GET", "/v1/search", token, params={"q": q, **params})

    async def found(self, q: str, token: str = "admin-token", **params: str) -> list[str]:
        """Ids of the assets that are found, the best first."""
        status, body = await self.search(q, token, **params)
        assert status == 200, body
        return [hit["asset_id"] for hit in body["data"]]

    async def _publish(self, prefix: str, files: dict[str, bytes]) -> None:
        folder = self.settings.data_path / "made"
        folder.mkdir(parents=True)
        for name, content in files.items():
            (folder / name).write_bytes(content)
        await self.site.parts.store.publish_tree(folder, prefix)


@pytest.fixture
async def endpoint() -> AsyncIterator[FakeEmbeddings]:
    async with fake_embeddings() as running:
        yield running


@pytest.fixture
def settings(tmp_path: Path, endpoint: FakeEmbeddings) -> Settings:
    """No broker: nobody is at its port."""
    own = {"KINOLOG_DATA_DIR": str(tmp_path), "KINOLOG_KAFKA__BOOTSTRAP": f"127.0.0.1:{free_port()}"}
    timeouts = {"KINOLOG_EMBED__TIMEOUT_S": "5", "KINOLOG_EMBED__QUERY_TIMEOUT_S": "1"}
    return load({**ENVIRON, **own, **timeouts, "KINOLOG_EMBED__BACKENDS": endpoint.url})


@asynccontextmanager
async def opened(settings: Settings, *, fresh: bool = True) -> AsyncIterator[Archive]:
    async with serve(settings, ready=False) as site:
        await mark(site.parts.store, Installation(cluster_id="a cluster", topic_prefix="media."))
        if fresh:
            await site.parts.model.rebuild("a cluster", settings.partitions)
        site.parts.position.restart("a mark", [0] * settings.partitions, rebuilding=False)
        site.parts.position.caught_up.set()
        yield Archive(site, settings)


@pytest.fixture
async def archive(settings: Settings) -> AsyncIterator[Archive]:
    async with opened(settings) as found:
        yield found


async def test_words_and_a_paraphrase_find_the_same_passage_with_its_range(archive: Archive) -> None:
    speech, _ = await archive.embed(await archive.say(1)), await archive.embed(await archive.say(2, BAKING))
    await soon(lambda: _as_many(archive, 2, mode="vector"))
    for q, mode in (("country", "text"), ("serving one's nation", "vector"), ("serving one's nation", "hybrid")):
        status, body = await archive.search(q, mode=mode)
        best = body["data"][0]
        assert (status, body["mode"], best["asset_id"]) == (200, mode, speech.id)
        assert (best["start_ms"], best["end_ms"], best["filename"], best["job_id"]) == (
            320,
            10_600,
            "speech-1.mp4",
            "job_000001",
        )
    _, body = await archive.search("country", mode="text")
    assert "ask not what your <mark>country</mark> can do for you" in body["data"][0]["highlight"]
    assert len(body["data"]) == 1


@pytest.mark.parametrize("mode", ["text", "vector", "hybrid"])
async def test_what_two_passages_have_in_common_is_found_once(archive: Archive, mode: str) -> None:
    said = [(n * 3000, n * 3000 + 2900, f" Sentence number {n} is about the weather of the day.") for n in range(60)]
    first, second, *_ = passages(speech_of(transcript(said)))
    common = ({*first.segments} & {*second.segments}).pop()
    start_ms, end_ms, text = said[common]
    said[common] = (start_ms, end_ms, text.replace("weather", "country"))  # as long: it is cut in the same way
    await archive.embed(await archive.say(1, said))
    await soon(lambda: archive.found("country", mode="vector"))
    _, body = await archive.search("country", mode=mode)
    assert sum("<mark>country</mark>" in hit["highlight"] for hit in body["data"]) == 1
    assert body["data"][0]["start_ms"] <= start_ms < body["data"][0]["end_ms"]
    in_time = sorted(body["data"], key=lambda hit: hit["start_ms"])
    assert all(one["end_ms"] <= other["start_ms"] for one, other in pairwise(in_time))


async def test_a_word_that_nobody_said_finds_nothing(settings: Settings, endpoint: FakeEmbeddings) -> None:
    floors = {"KINOLOG_EMBED__MIN_SIMILARITY": json.dumps({endpoint.url: 0.5})}
    own = {"KINOLOG_DATA_DIR": settings.data_dir, "KINOLOG_KAFKA__BOOTSTRAP": settings.bootstrap}
    async with opened(load({**ENVIRON, **own, **floors, "KINOLOG_EMBED__BACKENDS": endpoint.url})) as archive:
        speech, _ = await archive.embed(await archive.say(1)), await archive.embed(await archive.say(2, BAKING))
        await soon(lambda: archive.found("bread", mode="vector"))
        for mode in ("text", "vector", "hybrid"):
            assert await archive.found("zebra", mode=mode) == []
        assert await archive.found("nation", mode="vector") == [speech.id]
        for q, expected in (("nation", ["meaning"]), ("country", ["words", "meaning"]), ("ask", ["words"])):
            _, body = await archive.search(q)
            assert [hit["matched_by"] for hit in body["data"]] == [expected], q


async def test_with_the_included_model_a_word_that_nobody_said_finds_nothing(tmp_path: Path) -> None:
    own = {"KINOLOG_DATA_DIR": str(tmp_path), "KINOLOG_KAFKA__BOOTSTRAP": f"127.0.0.1:{free_port()}"}
    async with opened(load({**ENVIRON, **own})) as archive:
        speech, baking = await archive.embed(await archive.say(1)), await archive.embed(await archive.say(2, BAKING))
        await soon(lambda: archive.found("homemade loaf", mode="vector"))
        assert await archive.found("homemade loaf", mode="vector") == [baking.id]
        assert await archive.found("citizens should serve their nation", mode="vector") == [speech.id]
        for word in ("zebra", "giraffe", "submarine", "bitcoin"):
            assert await archive.found(word) == [], word


async def test_what_is_transcribed_is_found_within_two_seconds(archive: Archive) -> None:
    for number in range(1, 6):
        began = time.monotonic()
        await archive.say(number, [(0, 1000, f" Number nr{number} is called.")])
        await soon(partial(archive.found, f"nr{number}"), 2)
        assert time.monotonic() - began < 2


async def test_speech_is_markup_to_nobody(archive: Archive) -> None:
    await archive.say(1, [(0, 1000, " <script>alert(1)</script> & country")])
    await soon(lambda: archive.found("country"))
    _, body = await archive.search("country", mode="text")
    assert body["data"][0]["highlight"] == "&lt;script&gt;alert(1)&lt;/script&gt; &amp; <mark>country</mark>"


async def test_owners_find_their_own_and_admins_find_all(archive: Archive) -> None:
    for number, owner in ((1, "anna"), (2, "bert"), (3, None)):
        await archive.embed(await archive.say(number, owner=owner))
    await soon(lambda: _as_many(archive, 3, mode="vector"))
    for mode in ("text", "vector", "hybrid"):
        assert await archive.found("country", "anna-views", mode=mode) == ["asset_000001"]
        assert await archive.found("country", "bert-edits", mode=mode) == ["asset_000002"]
        assert len(await archive.found("country", mode=mode)) == 3


async def test_text_is_searched_before_and_without_embeddings(archive: Archive) -> None:
    asset = await archive.say(1)
    await soon(lambda: archive.found("country"))
    assert await archive.found("country", mode="hybrid") == [asset.id]
    assert await archive.found("nation", mode="vector") == []


async def test_deleted_and_superseded_speech_is_not_found(archive: Archive) -> None:
    first, second = await archive.embed(await archive.say(1)), await archive.embed(await archive.say(2))
    await soon(lambda: _as_many(archive, 2, mode="vector"))
    await archive.delete(second)
    await soon(lambda: _as_many(archive, 1))
    assert await archive.found("country", mode="vector") == [first.id]
    await archive.say(1, BAKING, attempt=2)  # its embedding is of the old transcript now
    await soon(lambda: archive.found("bread", mode="text"))
    assert await archive.found("country", mode="text") == []
    assert await archive.found("country", mode="vector") == []


async def test_without_the_model_meaning_is_a_clear_problem_and_both_fall_back_to_words(
    archive: Archive, endpoint: FakeEmbeddings
) -> None:
    asset = await archive.embed(await archive.say(1))
    await soon(lambda: archive.found("country", mode="vector"))
    endpoint.stuck = True
    status, body = await archive.search("country", mode="vector")
    assert (status, body["code"]) == (503, "model-unavailable")
    status, body = await archive.search("country", mode="hybrid")
    assert (status, body["mode"], [hit["asset_id"] for hit in body["data"]]) == (200, "text", [asset.id])
    assert len(body["left_out"]) == 1


async def test_each_space_is_asked_with_its_own_model_and_places_are_fused(
    settings: Settings, endpoint: FakeEmbeddings
) -> None:
    async with fake_embeddings() as other:
        both = {"KINOLOG_EMBED__BACKENDS": f"{endpoint.url},{other.url}"}
        own = {"KINOLOG_DATA_DIR": settings.data_dir, "KINOLOG_KAFKA__BOOTSTRAP": settings.bootstrap}
        async with opened(load({**ENVIRON, **own, **both})) as archive:
            first = await archive.embed(await archive.say(1))
            only_other = load({**ENVIRON, **own, "KINOLOG_EMBED__BACKENDS": other.url})
            second = await archive.embed(await archive.say(2), only_other)
            await soon(lambda: _as_many(archive, 2, mode="vector"))
            endpoint.asked.clear()
            other.asked.clear()
            assert set(await archive.found("nation", mode="vector")) == {first.id, second.id}
            assert endpoint.asked == other.asked == [["nation"]]
            other.stuck = True
    async with opened(settings, fresh=False) as archive:  # the other model is not set here
        status, body = await archive.search("nation", mode="vector")
        assert (status, [hit["asset_id"] for hit in body["data"]], len(body["left_out"])) == (200, [first.id], 1)


@pytest.mark.parametrize("lost", ["web-1.search", "*.f32"])
async def test_a_lost_index_is_built_again_from_the_log_and_the_store(settings: Settings, lost: str) -> None:
    async with opened(settings) as archive:
        asset = await archive.embed(await archive.say(1))
        await soon(lambda: archive.found("country", mode="vector"))
    for path in list((settings.data_path / "web").rglob(lost)):
        path.unlink()
    async with opened(settings, fresh=False) as archive:
        await soon(lambda: archive.found("country", mode="vector"))
        assert await archive.found("country", mode="text") == [asset.id]


async def test_what_went_while_nobody_looked_leaves_the_index(settings: Settings) -> None:
    async with opened(settings) as archive:
        await archive.say(1)
        await soon(lambda: archive.found("country"))
    async with opened(settings) as archive:  # a log without it
        await soon(lambda: _as_many(archive, 0))


async def test_a_broken_artifact_hides_only_itself(archive: Archive) -> None:
    broken, _ = await archive.say(1), await archive.say(2)
    store = archive.site.parts.store
    assert isinstance(store, LocalStore)
    root = store.root
    asset = await archive.say(3)
    (root / asset.outputs["transcribe"]["transcript"]).write_bytes(b"{")
    await archive.write(replace(asset, outputs={"transcribe": {**asset.outputs["transcribe"], "transcript": "gone"}}))
    await soon(lambda: _as_many(archive, 2))
    assert broken.id in await archive.found("country")


@pytest.mark.parametrize(
    "params, code",
    [
        ({"q": "x", "mode": "magic"}, "invalid-mode"),
        ({"q": "x", "limit": "0"}, "invalid-limit"),
        ({"q": "x", "limit": "101"}, "invalid-limit"),
        ({"q": "x", "limit": "many"}, "invalid-limit"),
        ({"q": " "}, "invalid-query"),
        ({"q": "x" * 401}, "invalid-query"),
        ({}, "invalid-query"),
        ({"q": "x", "colour": "red"}, "unknown-parameter"),
    ],
)
async def test_a_search_that_cannot_be_understood_is_refused(
    archive: Archive, params: dict[str, str], code: str
) -> None:
    status, body = await archive.site.ask("GET", "/v1/search", params=params)
    assert (status, body["code"]) == (400, code)


async def test_nobody_searches_without_a_token(archive: Archive) -> None:
    assert (await archive.site.ask("GET", "/v1/search", None, params={"q": "x"}))[0] == 401


async def test_the_command_line_finds_and_prints_speech(archive: Archive) -> None:
    asset = await archive.say(1)
    store = archive.site.parts.store
    assert isinstance(store, LocalStore)
    root = store.root
    (root / asset.outputs["transcribe"]["text"]).write_text("And so, my fellow Americans\n")
    await soon(lambda: archive.found("country"))
    reached = ["--url", str(archive.site.server.make_url("/")), "--token", "admin-token"]

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(cli, [*arguments, *reached])

    found = await asyncio.to_thread(run, "search", "country")
    assert found.exit_code == 0
    assert "0:00:00-0:00:10  speech-1.mp4  job_000001" in found.output
    printed = await asyncio.to_thread(run, "transcript", "job_000001")
    assert (printed.exit_code, printed.output) == (0, "And so, my fellow Americans\n")
    missing = await asyncio.to_thread(run, "transcript", "job_000001", "--format", "vtt")
    assert (missing.exit_code, "no transcript" in missing.stderr) == (1, True)


def soon(look: Callable[[], Coroutine[Any, Any, Any]], within_s: float = 10.0) -> Coroutine[Any, Any, Any]:
    """`eventually` of what has to be awaited."""
    return eventually(cast(Any, look), within_s)


async def _as_many(archive: Archive, number: int, **params: str) -> bool:
    return len(await archive.found("country", **params)) == number
