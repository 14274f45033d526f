"""An attempt ends with exactly one message, and leaves nothing but what it published."""

import asyncio
import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agents.executor.attempts import Attempt, StopReason
from agents.executor.execution import AttemptResources, execute
from processors.contract import Work
from processors.errors import CorruptMedia, EndpointAsleep, OutputIncomplete, OutputInvalid, Skipped
from processors.storage.errors import StoreError
from processors.storage.local_store import LocalStore
from schemas.jobs import Input
from schemas.step_events import (
    AttemptCancelled,
    AttemptCompleted,
    AttemptFailed,
    AttemptReleased,
    AttemptSkipped,
    StepEvent,
)
from schemas.steps import StepKind
from tests.unit.agents.executor.fakes import HEAVY, PLAIN, FakeProcessor, attempt_for, request, resources_below

FILELESS = StepKind(name="fileless", slots=1, files=False)


@pytest.fixture
def resources(tmp_path: Path) -> AttemptResources:
    return resources_below(tmp_path)


def attempt_of(kind: StepKind = PLAIN, **changes: Any) -> Attempt:
    requested = request(step=kind.name, **changes)
    return attempt_for(requested, kind)


async def write_poster(work: Work) -> None:
    (work.scratch / "on-the-way").write_text("x")
    (work.output / "poster.jpg").write_text("jpg")


def raises(error: BaseException) -> FakeProcessor:
    async def fail(work: Work) -> None:
        await write_poster(work)
        raise error

    return FakeProcessor(fail)


def leftovers(resources: AttemptResources) -> list[Path]:
    """All files in the scratch space and among the published assets."""
    assert isinstance(resources.store, LocalStore)
    return [*resources.scratch.root.rglob("*"), *(resources.store.root / "assets").rglob("*")]


async def ended(attempt: Attempt, processor: FakeProcessor, resources: AttemptResources) -> StepEvent:
    message = await execute(attempt, processor, resources)
    assert attempt.state == "ended"
    assert (message.job_id, message.asset_id, message.run, message.attempt) == ("job_1", "asset_1", 1, 1)
    return message


async def test_outputs_are_published_and_pointed_at(resources: AttemptResources) -> None:
    message = await ended(attempt_of(), FakeProcessor(write_poster), resources)
    assert isinstance(message, AttemptCompleted)
    assert message.outputs == {"poster": "assets/asset_1/plain/1-lease_1/poster.jpg"}
    assert isinstance(resources.store, LocalStore)
    published = resources.store.local_path(message.outputs["poster"])
    assert published.read_text() == "jpg"
    assert not list(resources.scratch.root.iterdir())


async def test_a_processor_gets_its_source_and_empty_folders(resources: AttemptResources) -> None:
    seen: list[Any] = []

    async def look(work: Work) -> None:
        seen.extend([work.source.read_text(), list(work.scratch.iterdir()), list(work.output.iterdir()), work.cpus])

    message = await ended(attempt_of(), FakeProcessor(look), resources)
    assert isinstance(message, AttemptCompleted)
    assert seen == ["media", [], [], 1]


async def test_a_step_without_files_publishes_nothing_and_needs_no_source(resources: AttemptResources) -> None:
    async def nothing(work: Work) -> None:
        return

    missing = Input(object="uploads/none")
    message = await ended(attempt_of(FILELESS, input=missing), FakeProcessor(nothing), resources)
    assert isinstance(message, AttemptCompleted)
    assert leftovers(resources) == []


@pytest.mark.parametrize(
    "error, code, retriable",
    [
        (CorruptMedia("The file is damaged."), "corrupt-media", False),
        (EndpointAsleep("It is waking up."), "endpoint-asleep", True),
        (OSError(errno.ENOSPC, "No space left on device"), "out-of-capacity", True),
        (MemoryError(), "out-of-capacity", True),
        (StoreError("no connection"), "source-unavailable", True),
        (OSError(errno.EIO, "Input/output error"), "internal-error", True),
        (KeyError("oops"), "internal-error", True),
        (asyncio.CancelledError(), "internal-error", True),
    ],
)
async def test_every_error_becomes_data_and_leaves_nothing(
    resources: AttemptResources, error: BaseException, code: str, retriable: bool
) -> None:
    message = await ended(attempt_of(), raises(error), resources)
    assert isinstance(message, AttemptFailed)
    assert (message.error.code, message.error.retriable) == (code, retriable)
    assert leftovers(resources) == []


async def test_a_users_message_does_not_carry_our_traceback(resources: AttemptResources) -> None:
    message = await ended(attempt_of(), raises(KeyError("/secret/path")), resources)
    assert isinstance(message, AttemptFailed)
    assert "/secret/path" not in f"{message.error.message}{message.error.detail}"


async def test_nothing_to_do_is_skipped_with_its_reason(resources: AttemptResources) -> None:
    message = await ended(attempt_of(), raises(Skipped("no-audio-track")), resources)
    assert isinstance(message, AttemptSkipped)
    assert message.reason == "no-audio-track"
    assert leftovers(resources) == []


async def test_a_missing_source_fails_for_good_before_any_work(resources: AttemptResources) -> None:
    processor = FakeProcessor(write_poster)
    message = await ended(attempt_of(input=Input(object="uploads/none")), processor, resources)
    assert isinstance(message, AttemptFailed)
    assert (message.error.code, message.error.retriable) == ("source-missing", False)
    assert processor.works == []


async def test_a_tool_cannot_make_us_publish_a_link(resources: AttemptResources) -> None:
    async def link(work: Work) -> None:
        (work.output / "poster.jpg").write_text("x")
        (work.output / "secret").symlink_to("/etc/hostname")

    message = await ended(attempt_of(), FakeProcessor(link), resources)
    assert isinstance(message, AttemptFailed)
    assert message.error.code == "output-invalid"
    assert leftovers(resources) == []


@pytest.mark.parametrize("error, level", [(OutputInvalid, "ERROR"), (OutputIncomplete, "WARNING")])
async def test_a_result_that_our_own_check_rejects_is_reported_to_a_person(
    resources: AttemptResources, caplog: pytest.LogCaptureFixture, error: type[OutputInvalid], level: str
) -> None:
    await ended(attempt_of(), raises(error("Segment 3 of 360p does not begin with a keyframe.")), resources)
    [line] = [record for record in caplog.records if record.name == "agents.executor.failures"]
    assert (line.levelname, line.message) == (level, "output failed validation")
    expected = {"job_id": "job_1", "step": "plain", "reason": "Segment 3 of 360p does not begin with a keyframe."}
    assert expected.items() <= vars(line).items()


async def test_results_that_no_job_can_hold_fail_the_attempt(resources: AttemptResources) -> None:
    class Wordy:
        async def process(self, work: Work) -> msgspec.Struct:
            return msgspec.defstruct("Wordy", [("text", str)])(text="x" * 200_000)

    message = await execute(attempt_of(), Wordy(), resources)
    assert isinstance(message, AttemptFailed)
    assert message.error.code == "outputs-too-large" and not message.error.retriable


@pytest.mark.parametrize("why, kind", [("cancelled", AttemptCancelled), ("released", AttemptReleased)])
async def test_stopped_work_says_why_and_leaves_nothing(
    resources: AttemptResources, why: StopReason, kind: type[StepEvent]
) -> None:
    started = asyncio.Event()

    async def endless(work: Work) -> None:
        await write_poster(work)
        started.set()
        await asyncio.Event().wait()

    attempt = attempt_of()
    task = attempt.task = asyncio.create_task(ended(attempt, FakeProcessor(endless), resources))
    await started.wait()
    attempt.stop(why)
    attempt.stop("released")
    assert isinstance(await task, kind)
    assert leftovers(resources) == []


async def test_an_attempt_that_is_stopped_before_it_begins_does_no_work(resources: AttemptResources) -> None:
    processor, attempt = FakeProcessor(write_poster), attempt_of()
    attempt.stop("cancelled")
    assert isinstance(await ended(attempt, processor, resources), AttemptCancelled)
    assert processor.works == []


async def test_heavy_work_has_all_cpus_and_only_one_at_a_time(resources: AttemptResources) -> None:
    running: list[str] = []
    most: list[int] = []

    async def work_hard(work: Work) -> None:
        assert work.cpus == 4
        running.append(work.prefix)
        most.append(len(running))
        await asyncio.sleep(0)
        running.remove(work.prefix)

    def heavy(number: int) -> Attempt:
        requested = request(step="heavy", job_id=f"job_{number}")
        ticket = resources.budget.enqueue()
        return attempt_for(requested, HEAVY, f"lease_{number}", ticket)

    attempts = [heavy(number) for number in range(4)]
    attempts[1].stop("cancelled")
    await asyncio.gather(*[execute(attempt, FakeProcessor(work_hard), resources) for attempt in attempts])
    assert most == [1, 1, 1]
    assert not resources.budget.enqueue().is_waiting


async def test_the_cpus_are_given_back_when_the_source_is_missing(resources: AttemptResources) -> None:
    ticket = resources.budget.enqueue()
    requested = request(step="heavy", input=Input(object="none"))
    attempt = attempt_for(requested, HEAVY, ticket=ticket)
    await execute(attempt, FakeProcessor(write_poster), resources)
    assert not resources.budget.enqueue().is_waiting


async def test_leftovers_of_a_killed_process_are_swept(resources: AttemptResources) -> None:
    stale = resources.scratch.root / "1-lease_0" / "output"
    stale.mkdir(parents=True)
    (stale / "half.mp4").write_text("x")
    await resources.scratch.sweep()
    await resources.scratch.sweep()
    assert leftovers(resources) == []


def test_progress_is_passed_on_and_never_falls() -> None:
    values: list[float] = []
    listen: Callable[[Attempt], None] = lambda attempt: values.append(attempt.progress.value)  # noqa: E731
    attempt = attempt_for(request(), PLAIN)
    attempt.on_progress = listen
    attempt.report(0.5, {})
    attempt.report(0.25, {})
    assert values == [0.5, 0.5]
