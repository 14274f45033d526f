"""Jobs whose first events topic retention has removed: they have a timeline and a past, and both say what is gone."""

import asyncio
from typing import Any

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from schemas.facts import JobCompleted, StepCompleted, StepStarted
from streams.kafka.envelope import iso_time
from streams.kafka.partitioner import partition_of
from streams.kafka.reader import open_reader
from streams.kafka.topics import names
from streams.settings import Settings
from tests.conftest import eventually
from tests.integration.web.control_stand_in import ControlStandIn
from tests.integration.web.logs import Make, control, log, make, site
from tests.integration.web.served import Site, serve

__all__ = ["control", "log", "make", "site"]  # fixtures are found by their name in this module

_ITEM = {"input": {"object": "media/clip.mp4"}, "pipeline": "noop"}


async def _submitted(site: Site) -> dict[str, Any]:
    _, body = await site.ask("POST", "/v1/assets", "anna-edits", json=_ITEM)
    await site.ask("GET", f"/v1/jobs/{body['data']['job_id']}?after={body['cursor']}", "anna-edits")
    await _events(site, body["data"], 1)
    return dict(body["data"])


async def _completed(control: ControlStandIn, job: dict[str, Any]) -> None:
    """Its row, and the facts of its end."""
    row = control.jobs[job["job_id"]]
    about: dict[str, Any] = {"job_id": row.id, "asset_id": row.asset_id, "pipeline": "noop", "run": 1, "owner": "anna"}
    step: dict[str, Any] = {**about, "step": "noop", "attempt": 1}
    await control.publish([StepStarted(**step), StepCompleted(**step), JobCompleted(**about)])
    await control.change(row.id, status="completed", finished_at=row.created_at + 1)


async def _events(site: Site, job: dict[str, Any], count: int) -> dict[str, Any]:
    found: dict[str, Any] = {}

    async def are_there() -> bool:
        status, body = await site.ask("GET", f"/v1/jobs/{job['job_id']}/events", "anna-edits")
        found.update(body)
        return status == 200 and len(body["data"]) == count

    await eventually(are_there, 30)
    return found


async def _remove_events(settings: Settings, asset_id: str, *, but: int = 0) -> None:
    """As topic retention does it, in the asset's partition."""
    part = TopicPartition(names(settings).events, partition_of(asset_id, settings.partitions))
    async with open_reader(settings.cluster, [part], reset="earliest") as reader:
        [end] = (await reader.end_offsets([part])).values()
    admin = AIOKafkaAdminClient(**settings.cluster.client_options())
    await admin.start()
    await admin.delete_records({part: RecordsToDelete(end - but)})
    await admin.close()


async def test_a_job_whose_first_events_are_gone_has_the_timeline_that_is_left(
    site: Site, make: Make, control: ControlStandIn
) -> None:
    job = await _submitted(site)
    await _completed(control, job)
    whole = await _events(site, job, 4)
    assert "incomplete" not in whole
    await _remove_events(make(), job["asset_id"], but=2)
    left = await _events(site, job, 2)
    assert [event["id"] for event in left["data"]] == [event["id"] for event in whole["data"][2:]]
    assert left["incomplete"] is True
    async with serve(make(KINOLOG_WEB__REPLICA="web-new")) as other:  # with an index of what is left
        assert await _events(other, job, 2) == left


async def test_a_job_all_of_whose_events_are_gone_has_an_empty_timeline_that_says_so(
    site: Site, make: Make, control: ControlStandIn
) -> None:
    job = await _submitted(site)
    await _remove_events(make(), job["asset_id"])
    assert await _events(site, job, 0) == {"data": [], "incomplete": True}
    later = await _submitted(site)  # behind the cut, in whichever partition
    assert "incomplete" not in await _events(site, later, 1)


async def test_the_past_of_a_job_whose_first_events_are_gone_is_known_from_the_first_that_is_left(
    site: Site, make: Make, control: ControlStandIn
) -> None:
    job = await _submitted(site)
    before = await _now()
    await _completed(control, job)
    await _events(site, job, 4)
    after = await _now()
    await _remove_events(make(), job["asset_id"], but=2)
    path = f"/v1/jobs/{job['job_id']}"
    status, past = await site.ask("GET", path, "anna-edits", params={"as_of": after})
    assert (status, past["data"]["status"]) == (200, "completed")
    assert [step["status"] for step in past["data"]["steps"]] == ["completed"]
    status, problem = await site.ask("GET", path, "anna-edits", params={"as_of": before})
    assert (status, problem["code"]) == (410, "history-too-old")
    await _remove_events(make(), job["asset_id"])  # its row has not changed since
    status, past = await site.ask("GET", path, "anna-edits", params={"as_of": after})
    assert (status, past["data"]["status"]) == (200, "completed")
    status, problem = await site.ask("GET", path, "anna-edits", params={"as_of": before})
    assert (status, problem["code"]) == (410, "history-too-old")
    assert (await site.ask("GET", path, "anna-edits", params={"as_of": "2020-01-01T00:00:00Z"}))[0] == 404


async def _now() -> str:
    """A moment; the log's clock counts milliseconds."""
    await asyncio.sleep(0.05)
    moment = iso_time()
    await asyncio.sleep(0.05)
    return moment
