"""What is pushed to another store is there, whole, under its path."""

from pathlib import Path
from typing import Any

import pytest

from processors.errors import InvalidParams
from processors.store import NotStored, Store
from processors.store_push import StorePush
from processors.work import Work

UNIT = "assets/asset_1/transcode/1-lease"
INPUTS: dict[str, Any] = {"transcode": {"master": f"{UNIT}/master.m3u8", "n": 1}, "probe": {"demuxer": "mov"}}


def work(folder: Path, **params: Any) -> Work:
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    prefix = "assets/asset_1/store/1-lease"
    return Work(source=scratch, scratch=scratch, output=scratch, prefix=prefix, params=params, inputs=INPUTS)


def store_of(folder: Path) -> Store:
    for name in ("master.m3u8", "hls/1.m4s"):
        path = folder / "store" / UNIT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return Store((folder / "store").as_uri())


@pytest.mark.parametrize("delete_local", [False, True])
async def test_a_steps_files_stand_in_the_other_store(tmp_path: Path, delete_local: bool) -> None:
    store, to = store_of(tmp_path), (tmp_path / "other").as_uri()
    asked = work(tmp_path, to=to, steps=["transcode"], path="out/{asset_id}/{step}", delete_local=delete_local)
    outputs = await StorePush(store).process(asked)
    [stored] = outputs.stored
    assert (stored.path, stored.objects, stored.size_bytes) == ("out/asset_1/transcode", 2, 20)
    assert (tmp_path / "other/out/asset_1/transcode/hls/1.m4s").read_text() == "hls/1.m4s"
    if delete_local:
        with pytest.raises(NotStored):
            await store.head(f"{UNIT}/master.m3u8")
    else:
        assert await StorePush(store).process(asked) == outputs


@pytest.mark.parametrize("params", [{}, {"to": "nonsense://x"}, {"to": "file:///tmp/x", "path": "{nope}"}])
async def test_parameters_that_do_not_fit_are_refused(tmp_path: Path, params: dict[str, Any]) -> None:
    with pytest.raises(InvalidParams):
        await StorePush(store_of(tmp_path)).process(work(tmp_path, **params))
