"""A store whose volume is not mounted, under a running system and at its start: nothing is lost, nothing is blamed."""

import io
from pathlib import Path

from tests.conftest import eventually
from tests.e2e.system import Api, running, step_of

NO_STORE = "kinolog-owner.json"


class Volume:
    """The store's volume. Without it the folder that it is mounted on is there, and empty."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._away = folder, folder.with_name("away")

    def unmount(self) -> None:
        self._folder.rename(self._away)
        self._folder.mkdir()

    def mount(self) -> None:
        self._folder.rmdir()  # nothing was written to the placeholder
        self._away.rename(self._folder)

    def holds(self, key: str) -> bool:
        return (self._away / key).exists()


async def readiness(api: Api) -> tuple[int, str]:
    async with api.session.get("/readyz") as answer:
        return answer.status, await answer.text()


async def is_ready(api: Api) -> bool:
    return (await readiness(api))[0] == 200


async def refuses(api: Api) -> bool:
    status, text = await readiness(api)
    return status == 503 and NO_STORE in text


async def refused_upload(api: Api, clip: Path) -> tuple[int, str]:
    async with api.session.post("/v1/uploads", data=io.BytesIO(clip.read_bytes())) as answer:
        return answer.status, (await answer.json())["code"]


async def submitted(api: Api, key: str) -> str:
    status, body = await api.post("/v1/assets", {"input": {"object": key}, "pipeline": "video"})
    assert status == 202, body
    job_id: str = body["data"]["job_id"]
    return job_id


async def offers_nothing(api: Api) -> bool:
    [executor] = await api.get("/v1/executors")
    return not any(executor["slots"].values())


async def waits_for_an_executor(api: Api, job_id: str) -> bool:
    job = await api.job(job_id)
    assert job["status"] == "waiting", job
    return bool(step_of(job, "probe").get("no_executor"))


async def test_a_volume_that_is_not_mounted_costs_time_only(clip: Path, tmp_path: Path) -> None:
    volume = Volume(tmp_path / "data" / "store")
    with running(tmp_path / "data") as system:
        async with system.client() as api:
            deleted, kept = [await api.upload(clip, pipeline="video") for _ in range(2)]
            for job in (deleted, kept):
                assert (await api.ended(job["job_id"]))["status"] == "completed"
            source = (await api.job(kept["job_id"]))["input"]["object"]
            asset = await api.get(f"/v1/assets/{kept['asset_id']}")
            volume.unmount()
            await eventually(lambda: refuses(api), 30)
            await eventually(lambda: offers_nothing(api), 30)
            waiting = await submitted(api, source)
            await eventually(lambda: waits_for_an_executor(api, waiting), 30)
            assert await refused_upload(api, clip) == (503, "store-unavailable")
            async with api.session.delete(f"/v1/assets/{deleted['asset_id']}") as answer:
                assert answer.status in (200, 202, 204)
            async with api.session.get(asset["poster_url"]) as answer:
                assert answer.status == 503  # not 404: caches would keep that
            assert volume.holds(f"assets/{deleted['asset_id']}")
    with running(tmp_path / "data") as system:  # after the restart of its machine
        async with system.client() as api:
            await eventually(lambda: refuses(api), 30)
            assert await waits_for_an_executor(api, waiting)
            assert await refused_upload(api, clip) == (503, "store-unavailable")
            volume.mount()
            await eventually(lambda: is_ready(api), 30)
            assert (await api.ended(waiting))["status"] == "completed"
            await eventually(lambda: not (tmp_path / "data" / "store" / "assets" / deleted["asset_id"]).exists(), 30)
            asset = await api.get(f"/v1/assets/{kept['asset_id']}")
            async with api.session.get(asset["poster_url"]) as answer:
                assert answer.status == 200
