"""What cannot be made beside the ladder is a warning, in a running system: the film plays."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import pytest
import yaml

from schemas.facts import AssetReady
from streams.kafka.envelope import read
from tests.e2e.system import System, step_of
from tests.e2e.test_faults import whole_topic
from tests.e2e.test_sound import text_at

PIPELINES = Path(__file__).parents[2] / "deploy" / "pipelines"


@pytest.fixture
def broken(tmp_path: Path) -> Iterator[System]:
    """A system whose pipeline `standard` can make no pictures and no normalised audio."""
    folder = tmp_path / "pipelines"
    shutil.copytree(PIPELINES, folder)
    pipeline = yaml.safe_load((folder / "standard.yaml").read_text())
    impossible = {"thumbnails": {"count": "many"}, "audio": {"target_lufs": "loud"}}
    for step in pipeline["steps"]:
        step["params"] = impossible.get(step["name"], {})
    (folder / "standard.yaml").write_text(yaml.safe_dump(pipeline))
    running = System(tmp_path / "data", KINOLOG_PIPELINES_DIR=str(folder))
    yield running
    assert running.stop() == 0


async def test_a_film_without_pictures_and_captions_plays_and_says_what_it_lacks(broken: System, clip: Path) -> None:
    async with broken.client() as api:
        accepted = await api.upload(clip)
        job = await api.ended(accepted["job_id"], 120)
        asset = await api.get(f"/v1/assets/{accepted['asset_id']}")
        _, playback = await api.post(f"/v1/assets/{accepted['asset_id']}/playback", {})
    assert (job["status"], asset["status"], step_of(job, "transcode")["status"]) == ("completed", "READY", "completed")
    assert {warning["step"]: warning["code"] for warning in job["warnings"]} == {
        "thumbnails": "invalid-params",
        "audio": "invalid-params",
        "transcribe": "audio-failed",
        "captions": "audio-failed",
        "embed": "audio-failed",
    }
    assert sorted(asset["warnings"], key=str) == sorted(job["warnings"], key=str)
    assert "#EXT-X-STREAM-INF" in await text_at(urljoin(broken.url, playback["data"]["master_url"]))
    entries = [
        entry for record in await whole_topic(broken, "media.events") for entry in read(record.value, record.headers)
    ]
    ready = [entry.message for entry in entries if isinstance(entry.message, AssetReady)]  # type: ignore[union-attr]  # all facts are readable
    assert [len(fact.warnings) for fact in ready] == [len(job["warnings"])]


async def test_what_a_film_lacks_is_tried_again_by_a_retry_while_it_plays(broken: System, clip: Path) -> None:
    async with broken.client() as api:
        accepted = await api.upload(clip)
        job = await api.ended(accepted["job_id"], 120)
        status, body = await api.post(f"/v1/jobs/{job['id']}/retry", {})
        assert status == 202
        asset = await api.get(f"/v1/assets/{job['asset_id']}?after={body['cursor']}")
        assert asset["status"] == "READY"
        again = await api.wait(job["id"], lambda now: now["run"] == 2 and now["status"] == "completed", 120)
    assert (again["status"], again["warnings"]) == ("completed", job["warnings"])
    assert step_of(again, "transcode") == step_of(job, "transcode")
