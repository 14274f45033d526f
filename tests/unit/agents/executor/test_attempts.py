"""An attempt ends with exactly one message, and leaves nothing but what it published."""

import asyncio
import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agents.executor.attempts import Attempt, AttemptResources, Stop, conclude
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
from tests.unit.agents.executor.fakes import HEAVY, PLAIN, FakeProcessor, bench_below, request

FILELESS = StepKind(name="fileless", slots=1, files=False)


@pytest.fixture
def bench(tmp_path: Path) -> AttemptResources:
    return bench_below(tmp_path)


def attempt_of(kind: StepKind = PLAIN, **changes: Any) -> Attempt:
    requested = request(step=kind.name, **changes)
    return Attempt(requested, kind, lease_id="lease_1", event_id="e", partition=0)


async def write_poster(work: Work) -> None:
    (work.scratch / "on-the-way").write_text("x")
    (work.output / "poster.jpg").write_text("jpg")


def raises(error: BaseException) -> FakeProcessor:
    async def fail(work: Work) -> None:
        await write_poster(work)
        raise error

    return FakeProcessor(fail)


def leftovers(bench: AttemptResources) -> list[Path]:
    """Everything that stands in the scratch space and among the published assets."""
    assert isinstance(bench.store, LocalStore)
    return [*bench.scratch.root.rglob("*"), *(bench.store.root / "assets").rglob("*")]


async def ended(attempt: Attempt, processor: FakeProcessor, bench: AttemptResources) -> StepEvent:
    message = await conclude(attempt, processor, bench)
    assert attempt.ended
    assert (message.job_id, message.asset_id, message.run, message.attempt) == ("job_1", "asset_1", 1, 1)
    return message


async def test_outputs_are_published_and_pointed_at(bench: AttemptResources) -> None:
    message = await ended(attempt_of(), FakeProcessor(write_poster), bench)
    assert isinstance(message, AttemptCompleted)
    assert message.outputs == {"poster": "assets/asset_1/plain/1-lease_1/poster.jpg"}
    assert isinstance(bench.store, LocalStore)
    published = bench.store.local_path(message.outputs["poster"])
    assert published.read_text() == "jpg"
    assert not list(bench.scratch.root.iterdir())


async def test_a_processor_gets_its_source_and_empty_folders(bench: AttemptResources) -> None:
    seen: list[Any] = []

    async def look(work: Work) -> None:
        seen.extend([work.source.read_text(), list(work.scratch.iterdir()), list(work.output.iterdir()), work.cpus])

    message = await ended(attempt_of(), FakeProcessor(look), bench)
    assert isinstance(message, AttemptCompleted)
    assert seen == ["media", [], [], 1]


async def test_a_step_without_files_publishes_nothing_and_needs_no_source(bench: AttemptResources) -> None:
    async def nothing(work: Work) -> None:
        return

    missing = Input(object="uploads/none")
    message = await ended(attempt_of(FILELESS, input=missing), FakeProcessor(nothing), bench)
    assert isinstance(message, AttemptCompleted)
    assert leftovers(bench) == []


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
    bench: AttemptResources, error: BaseException, code: str, retriable: bool
) -> None:
    message = await ended(attempt_of(), raises(error), bench)
    assert isinstance(message, AttemptFailed)
    assert (message.error.code, message.error.retriable) == (code, retriable)
    assert leftovers(bench) == []


async def test_a_users_message_does_not_carry_our_traceback(bench: AttemptResources) -> None:
    message = await ended(attempt_of(), raises(KeyError("/secret/path")), bench)
    assert isinstance(message, AttemptFailed)
    assert "/secret/path" not in f"{message.error.message}{message.error.detail}"


async def test_nothing_to_do_is_skipped_with_its_reason(bench: AttemptResources) -> None:
    message = await ended(attempt_of(), raises(Skipped("no-audio-track")), bench)
    assert isinstance(message, AttemptSkipped)
    assert message.reason == "no-audio-track"
    assert leftovers(bench) == []


async def test_a_missing_source_fails_for_good_before_any_work(bench: AttemptResources) -> None:
    processor = FakeProcessor(write_poster)
    message = await ended(attempt_of(input=Input(object="uploads/none")), processor, bench)
    assert isinstance(message, AttemptFailed)
    assert (message.error.code, message.error.retriable) == ("source-missing", False)
    assert processor.works == []


async def test_a_tool_cannot_make_us_publish_a_link(bench: AttemptResources) -> None:
    async def link(work: Work) -> None:
        (work.output / "poster.jpg").write_text("x")
        (work.output / "secret").symlink_to("/etc/hostname")

    message = await ended(attempt_of(), FakeProcessor(link), bench)
    assert isinstance(message, AttemptFailed)
    assert message.error.code == "output-invalid"
    assert leftovers(bench) == []


@pytest.mark.parametrize("error, level", [(OutputInvalid, "ERROR"), (OutputIncomplete, "WARNING")])
async def test_a_result_that_our_own_check_rejects_is_reported_to_a_person(
    bench: AttemptResources, caplog: pytest.LogCaptureFixture, error: type[OutputInvalid], level: str
) -> None:
    await ended(attempt_of(), raises(error("Segment 3 of 360p does not begin with a keyframe.")), bench)
    [line] = [record for record in caplog.records if record.name == "agents.executor.attempts"]
    assert (line.levelname, line.message) == (level, "output rejected by its own check")
    expected = {"job_id": "job_1", "step": "plain", "reason": "Segment 3 of 360p does not begin with a keyframe."}
    assert expected.items() <= vars(line).items()


async def test_results_that_no_job_can_hold_fail_the_attempt(bench: AttemptResources) -> None:
    class Wordy:
        async def process(self, work: Work) -> msgspec.Struct:
            return msgspec.defstruct("Wordy", [("text", str)])(text="x" * 200_000)

    message = await conclude(attempt_of(), Wordy(), bench)
    assert isinstance(message, AttemptFailed)
    assert message.error.code == "outputs-too-large" and not message.error.retriable


@pytest.mark.parametrize("why, kind", [("cancelled", AttemptCancelled), ("released", AttemptReleased)])
async def test_stopped_work_says_why_and_leaves_nothing(
    bench: AttemptResources, why: Stop, kind: type[StepEvent]
) -> None:
    begun = asyncio.Event()

    async def endless(work: Work) -> None:
        await write_poster(work)
        begun.set()
        await asyncio.Event().wait()

    attempt = attempt_of()
    task = attempt.task = asyncio.create_task(ended(attempt, FakeProcessor(endless), bench))
    await begun.wait()
    attempt.stop(why)
    attempt.stop("released")
    assert isinstance(await task, kind)
    assert leftovers(bench) == []


async def test_an_attempt_that_is_stopped_before_it_begins_does_no_work(bench: AttemptResources) -> None:
    processor, attempt = FakeProcessor(write_poster), attempt_of()
    attempt.stop("cancelled")
    assert isinstance(await ended(attempt, processor, bench), AttemptCancelled)
    assert processor.works == []


async def test_heavy_work_has_all_cpus_and_only_one_at_a_time(bench: AttemptResources) -> None:
    running: list[str] = []
    most: list[int] = []

    async def work_hard(work: Work) -> None:
        assert work.cpus == 4
        running.append(work.prefix)
        most.append(len(running))
        await asyncio.sleep(0)
        running.remove(work.prefix)

    def heavy(number: int) -> Attempt:
        asked = request(step="heavy", job_id=f"job_{number}")
        turn = bench.budget.queue()
        return Attempt(asked, HEAVY, lease_id=f"lease_{number}", event_id="e", partition=0, turn=turn)

    attempts = [heavy(number) for number in range(4)]
    attempts[1].stop("cancelled")
    await asyncio.gather(*[conclude(attempt, FakeProcessor(work_hard), bench) for attempt in attempts])
    assert most == [1, 1, 1]
    await bench.budget.wait_free()


async def test_the_cpus_are_given_back_when_the_source_is_missing(bench: AttemptResources) -> None:
    turn = bench.budget.queue()
    asked = request(step="heavy", input=Input(object="none"))
    attempt = Attempt(asked, HEAVY, lease_id="l", event_id="e", partition=0, turn=turn)
    await conclude(attempt, FakeProcessor(write_poster), bench)
    await bench.budget.wait_free()


async def test_leftovers_of_a_killed_process_are_swept(bench: AttemptResources) -> None:
    stale = bench.scratch.root / "1-lease_0" / "output"
    stale.mkdir(parents=True)
    (stale / "half.mp4").write_text("x")
    await bench.scratch.sweep()
    await bench.scratch.sweep()
    assert leftovers(bench) == []


def test_what_is_heard_of_progress_goes_to_whoever_listens() -> None:
    heard: list[float] = []
    listen: Callable[[Attempt], None] = lambda attempt: heard.append(attempt.progress.value)  # noqa: E731
    attempt = Attempt(request(), PLAIN, lease_id="l", event_id="e", partition=0, heard=listen)
    attempt.report(0.5, {})
    attempt.report(0.25, {})
    assert heard == [0.5, 0.5]
