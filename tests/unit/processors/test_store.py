"""What is pushed to another store is there, whole, under its path."""

from pathlib import Path
from typing import Any

import pytest

from processors.contract import Work
from processors.errors import InvalidParams, SourceMissing
from processors.storage.errors import ObjectNotFound
from processors.storage.object_store import ObjectStore, open_store
from processors.store import StorePush

UNIT = "assets/asset_1/transcode/1-lease"
INPUTS: dict[str, Any] = {"transcode": {"master": f"{UNIT}/master.m3u8", "n": 1}, "probe": {"demuxer": "mov"}}


def work(folder: Path, **params: Any) -> Work:
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    prefix = "assets/asset_1/store/1-lease"
    return Work(source=scratch, scratch=scratch, output=scratch, prefix=prefix, params=params, inputs=INPUTS)


def store_of(folder: Path) -> ObjectStore:
    for name in ("master.m3u8", "hls/1.m4s"):
        path = folder / "store" / UNIT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return open_store((folder / "store").as_uri())


@pytest.mark.parametrize("delete_local", [False, True])
async def test_a_steps_files_stand_in_the_other_store(tmp_path: Path, delete_local: bool) -> None:
    store, to = store_of(tmp_path), (tmp_path / "other").as_uri()
    asked = work(tmp_path, to=to, steps=["transcode"], path="out/{asset_id}/{step}", delete_local=delete_local)
    outputs = await StorePush(store).process(asked)
    [stored] = outputs.stored
    assert (stored.path, stored.objects, stored.size_bytes) == ("out/asset_1/transcode", 2, 20)
    assert (tmp_path / "other/out/asset_1/transcode/hls/1.m4s").read_text() == "hls/1.m4s"
    if delete_local:
        with pytest.raises(ObjectNotFound):
            await store.head(f"{UNIT}/master.m3u8")
    # As after a death between the last removal and the answer.
    assert await StorePush(store).process(asked) == outputs


async def test_a_single_file_stands_where_it_shall(tmp_path: Path) -> None:
    store, to = store_of(tmp_path), (tmp_path / "other").as_uri()
    segment = {"object": "transcode/hls/1.m4s", "path": "first/{asset_id}.m4s"}
    asked = work(tmp_path, to=to, objects=[segment], delete_local=True)
    outputs = await StorePush(store).process(asked)
    assert [(one.step, one.path, one.objects) for one in outputs.stored] == [("transcode", "first/asset_1.m4s", 1)]
    assert (tmp_path / "other/first/asset_1.m4s").read_text() == "hls/1.m4s"
    assert [one.key for one in await store.list(UNIT)] == [f"{UNIT}/master.m3u8"]
    assert await StorePush(store).process(asked) == outputs


async def test_what_is_nowhere_is_said_to_be_missing(tmp_path: Path) -> None:
    store, to = store_of(tmp_path), (tmp_path / "other").as_uri()
    await store.delete_prefix(UNIT)
    missing = {"object": "transcode/none.mp4", "path": "none.mp4"}
    for params in ({"objects": [missing]}, {"steps": ["transcode"]}):
        with pytest.raises(SourceMissing):
            await StorePush(store).process(work(tmp_path, to=to, **params))


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"to": "nonsense://x"},
        {"to": "file:///tmp/x", "path": "{nope}"},
        {"to": "file:///tmp/x", "objects": [{"object": "thumbnails/poster.jpg", "path": "p.jpg"}]},
        {"to": "file:///tmp/x", "objects": [{"object": "transcode", "path": "p.jpg"}]},
    ],
)
async def test_parameters_that_do_not_fit_are_refused(tmp_path: Path, params: dict[str, Any]) -> None:
    with pytest.raises(InvalidParams):
        await StorePush(store_of(tmp_path)).process(work(tmp_path, **params))
