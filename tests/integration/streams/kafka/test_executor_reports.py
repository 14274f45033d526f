"""A queue that no executor takes from is named: to operators by `doctor`, to everyone by the counts."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from schemas.executors import ExecutorReport, StepSlots
from schemas.steps import step_kinds
from streams.broker.process import Broker
from streams.doctor import cluster
from streams.kafka.admin import apply_topics
from streams.kafka.envelope import BATCH_HEADERS, batch, structured
from streams.kafka.executor_reports import executors_by_step, latest_reports
from streams.kafka.producer import Producer
from streams.kafka.topics import names
from streams.settings import Settings
from tests.conftest import MakeSettings, eventually


@pytest.fixture
async def settings(broker: Broker, make_settings: MakeSettings) -> Settings:
    found = make_settings(KINOLOG_KAFKA__BOOTSTRAP=broker.bootstrap, KINOLOG_TOPIC_PREFIX="groups.")
    await apply_topics(found, 60)
    return found


def report_of(name: str, steps: set[str]) -> bytes:
    report = ExecutorReport(
        executor_id=name,
        session_id=f"{name}-1",
        address=0,
        lane="default",
        version="1",
        seq=1,
        steps={step: StepSlots(slots=1) for step in steps},
    )
    return batch([structured(report, event_id=name, source="test", subject=name)])


@pytest.fixture
async def executors(settings: Settings) -> AsyncIterator[None]:
    """Reports of two executors: one has every step but noop, the other only probe."""
    producer = Producer(settings, "reports")
    await producer.start()

    async def report() -> None:
        while True:
            for name, steps in (("most", step_kinds().keys() - {"noop"}), ("probe", {"probe"})):
                await producer.deliver(names(settings).executors, 0, None, report_of(name, {*steps}), BATCH_HEADERS)
            await asyncio.sleep(0.5)

    reporting = asyncio.create_task(report())
    yield
    reporting.cancel()
    await producer.stop(5)


async def test_of_each_step_it_is_known_how_many_executors_have_it(settings: Settings, executors: None) -> None:
    expected = {step: {"noop": 0, "probe": 2}.get(step, 1) for step in step_kinds()}

    async def known() -> bool:
        return await executors_by_step(settings, settings.cluster) == expected

    await eventually(known, 30)


@pytest.mark.parametrize("days", [32, -32])
async def test_reports_are_found_whatever_this_machine_s_clock_says(
    settings: Settings, executors: None, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    right = time.time
    monkeypatch.setattr(time, "time", lambda: right() + days * 86_400)

    async def found() -> bool:
        reports = await latest_reports(settings, settings.cluster)
        return {dated.report.executor_id for dated in reports} == {"most", "probe"}

    await eventually(found, 30)


async def test_doctor_names_the_step_that_no_executor_takes(settings: Settings, executors: None) -> None:
    async def named() -> bool:
        found = await cluster.queues(settings)
        return found.level == "warning" and "No executor for noop:" in found.message

    await eventually(named, 30)


async def test_doctor_says_that_no_executor_runs(settings: Settings) -> None:
    async def reported() -> bool:
        found = await cluster.queues(settings)
        return found.level == "warning" and "No executor is running" in found.message

    await eventually(reported, 30)
