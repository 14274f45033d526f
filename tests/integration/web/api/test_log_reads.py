"""Requests that read the log: one caller's do not delay another's, and those of clients that have left end."""

import asyncio
from typing import Any

import pytest

from tests.conftest import eventually
from tests.integration.web.logs import control, log, make, site
from tests.integration.web.served import ADMIN, Site
from web.http.fair_semaphore import FairSemaphore
from web.timelines.event_log import EventLog, JobHistory

__all__ = ["control", "log", "make", "site"]  # fixtures are found by their name in this module


class SlowReads:
    """Reads of one asset's jobs that do not end by themselves."""

    def __init__(self) -> None:
        self.asset_id = ""
        self.running = 0

    async def hold(self) -> None:
        self.running += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.running -= 1


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> SlowReads:
    """Timelines of `slow.asset_id` take for ever; all others are real."""
    reads, real = SlowReads(), EventLog.of_job

    async def of_job(self: EventLog, asset_id: str, *rest: Any) -> JobHistory:
        if asset_id == reads.asset_id:
            await reads.hold()
        return await real(self, asset_id, *rest)

    monkeypatch.setattr(EventLog, "of_job", of_job)
    return reads


async def submitted(site: Site, token: str) -> dict[str, Any]:
    """A job that waits."""
    status, body = await site.ask(
        "POST", "/v1/assets", token, json={"input": {"url": "https://example.com/a.mp4"}, "pipeline": "noop"}
    )
    assert status == 202, body
    data: dict[str, Any] = body["data"]
    assert (await site.ask("GET", f"/v1/jobs/{data['job_id']}", token))[0] == 200
    return data


async def test_one_viewers_twelve_timelines_do_not_delay_another_ones(site: Site, slow: SlowReads) -> None:
    annas, berts = await submitted(site, "anna-edits"), await submitted(site, "bert-edits")
    slow.asset_id = annas["asset_id"]
    tokens = ["anna-edits", "anna-views"] * 6  # the turn is the owner's
    path = f"/v1/jobs/{annas['job_id']}/events"
    asking = [asyncio.create_task(site.ask("GET", path, token)) for token in tokens]
    await eventually(lambda: slow.running == 2, 30)
    assert (await site.ask("GET", f"/v1/jobs/{berts['job_id']}/events", "bert-edits"))[0] == 200
    assert slow.running == 2
    for task in asking:
        task.cancel()  # as a browser does when the page is closed
    await asyncio.gather(*asking, return_exceptions=True)
    await eventually(lambda: slow.running == 0, 30)
    slow.asset_id = ""
    assert (await site.ask("GET", path, "anna-edits"))[0] == 200


async def test_requests_take_the_turn_of_their_tokens_owner(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    callers: list[str] = []
    real = FairSemaphore.acquire

    async def acquire(self: FairSemaphore, caller: str) -> None:
        callers.append(caller)
        await real(self, caller)

    monkeypatch.setattr(FairSemaphore, "acquire", acquire)
    turns = {"anna-edits": "owner:anna", "anna-views": "owner:anna", ADMIN: "token:operator", None: "address:127.0.0.1"}
    for token, expected in turns.items():
        assert (await site.ask("GET", "/v1/jobs" if token else "/metrics", token))[0] == 200
        assert set(callers) - {""} == {expected}  # "" is the process's own work
        callers.clear()


async def test_more_waiting_requests_than_a_page_needs_are_refused(site: Site, slow: SlowReads) -> None:
    annas = await submitted(site, "anna-edits")
    slow.asset_id = annas["asset_id"]
    path = f"/v1/jobs/{annas['job_id']}/events"
    asking = [asyncio.create_task(site.ask("GET", path, "anna-edits")) for _ in range(50)]
    done, _ = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED, timeout=60)
    status, body = done.pop().result()
    assert (status, body["code"]) == (429, "too-many-waiting-requests")
    for task in asking:
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    await eventually(lambda: slow.running == 0, 30)
