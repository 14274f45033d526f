"""/readyz: not ready within ten seconds after control stops deciding, and for no other reason."""

import asyncio
import time
from typing import Any

from tests.conftest import eventually
from tests.integration.web.control_stand_in import ControlStandIn
from tests.integration.web.logs import control, log, make, site
from tests.integration.web.served import Site

__all__ = ["control", "log", "make", "site"]  # fixtures are found by their name in this module


async def readiness(site: Site) -> tuple[int, Any]:
    return await site.ask("GET", "/readyz", None)


async def is_ready(site: Site) -> bool:
    return (await readiness(site))[0] == 200


async def unready_after_s(site: Site) -> tuple[float, str]:
    """Seconds until it is not ready, and the reason."""
    began = time.monotonic()
    while True:
        status, body = await readiness(site)
        if status == 503:
            return time.monotonic() - began, body["detail"]
        assert time.monotonic() - began < 15, "it stays ready"
        await asyncio.sleep(0.1)


async def test_a_control_that_is_gone_makes_it_unready_within_ten_seconds_until_it_is_back(
    site: Site, control: ControlStandIn
) -> None:
    for _ in range(24):  # idle for longer than that
        status, body = await readiness(site)
        assert status == 200, body["detail"]
        await asyncio.sleep(0.5)
    control.reports = False
    elapsed_s, reason = await unready_after_s(site)
    assert elapsed_s > 7
    assert "control has not reported" in reason
    assert (await site.ask("GET", "/readyz?exclude=control", None))[0] == 200
    assert (await site.ask("GET", "/readyz?exclude=nothing", None))[0] == 400
    metrics = (await site.ask("GET", "/metrics", None))[1].decode()
    assert "kinolog_control_deciding 0.0" in metrics
    control.reports = True
    await eventually(lambda: is_ready(site), 5)


async def test_a_control_that_takes_no_command_makes_it_unready_until_it_does(
    site: Site, control: ControlStandIn
) -> None:
    control.takes.clear()
    status, body = await site.ask("POST", "/v1/assets", json={"input": {"object": "a.mp4"}, "pipeline": "noop"})
    assert status == 202
    elapsed_s, reason = await unready_after_s(site)
    assert elapsed_s > 7
    assert "control has applied nothing for" in reason
    assert "commands/" in reason
    control.takes.set()
    await eventually(lambda: is_ready(site), 10)
    assert (await site.ask("GET", f"/v1/jobs/{body['data']['job_id']}"))[0] == 200


async def test_dead_letters_are_counted(site: Site, control: ControlStandIn) -> None:
    await eventually(lambda: counted(site, "kinolog_dead_letters 0.0"), 10)
    await control.bury(b"anything")
    await eventually(lambda: counted(site, "kinolog_dead_letters 1.0"), 10)


async def counted(site: Site, line: str) -> bool:
    return line in (await site.ask("GET", "/metrics", None))[1].decode()
