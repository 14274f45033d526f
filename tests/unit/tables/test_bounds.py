"""What enters a row is bounded, so that no row outgrows what the log takes."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.base import ErrorRecord
from schemas.commands import SubmitJob
from schemas.jobs import AssetJob, Input, Lease, MissingStep, Step, StepSpec
from schemas.step_events import AttemptAccepted, AttemptCompleted, Claim
from schemas.steps import step_kinds
from streams.ids import ID_PATTERN
from tables import bounds
from tables.assets import LISTED_JOBS
from tables.bounds import OutOfBounds, bounded_error, clipped, require_bounded
from tables.pipelines import InvalidPipeline, load_pipelines
from tables.rows import MAX_AT_BYTES, MAX_ROW_BYTES

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=400)
ABOUT = {"job_id": "j", "asset_id": "a", "run": 1, "step": "noop", "attempt": 1}


def size(value: object) -> int:
    return len(msgspec.json.encode(value))


def names(count: int) -> str:
    return "x" * (count - 2)


FULL_ERROR = ErrorRecord(
    code=names(bounds.MAX_CODE_BYTES),
    message=names(bounds.MAX_MESSAGE_BYTES),
    detail=names(bounds.MAX_DETAIL_BYTES),
    retriable=True,
    retry_after_s=1e300 / 3,
)
TIME = 1780000000.1234567


def test_the_bounds_of_its_parts_keep_a_jobs_row_below_the_bound_of_rows() -> None:
    spec = StepSpec(name="noop")
    lease = Lease(id=names(bounds.MAX_NAME_BYTES), executor_id=names(bounds.MAX_OWNER_BYTES), accepted_at=TIME)
    grown = Step(
        spec=spec,
        status="completed",
        run=10**6,
        attempt=10**6,
        failures=10**6,
        losses=10**6,
        asleep=10**6,
        requested_at=TIME,
        dispatches=10**6,
        lease=lease,
        due_at=TIME,
        started_at=TIME,
        finished_at=TIME,
        progress=1 / 3,
        error=FULL_ERROR,
        reason=names(bounds.MAX_NAME_BYTES),
    )
    step_bytes = size(grown) - size(spec) + bounds.MAX_OUTPUTS_BYTES
    job_bytes = size(FULL_ERROR) + 1024  # and its own times, counts and flags
    assert bounds.MAX_SUBMITTED_BYTES + bounds.MAX_STEPS * step_bytes + job_bytes + MAX_AT_BYTES <= MAX_ROW_BYTES


def test_the_bounds_of_its_parts_keep_an_assets_row_below_the_bound_of_rows() -> None:
    listed = AssetJob(
        status="completed",
        pipeline=names(bounds.MAX_NAME_BYTES),
        created_at=TIME,
        reason=names(bounds.MAX_CODE_BYTES),
    )
    jobs_bytes = LISTED_JOBS * (size(listed) + 110)
    outputs_bytes = bounds.MAX_STEPS * (bounds.MAX_OUTPUTS_BYTES + 200)
    missing = MissingStep(
        job_id="j" * 100, code=names(bounds.MAX_CODE_BYTES), message=names(bounds.MAX_WARNING_BYTES), at=TIME
    )
    missing_bytes = bounds.MAX_STEPS * (size(missing) + 110)
    parts_bytes = jobs_bytes + outputs_bytes + missing_bytes
    assert bounds.MAX_SUBMITTED_BYTES + parts_bytes + MAX_AT_BYTES <= MAX_ROW_BYTES


def test_there_are_no_more_kinds_of_steps_than_the_bounds_are_made_for() -> None:
    assert len(step_kinds()) <= bounds.MAX_STEPS
    assert all(len(name) <= 100 for name in step_kinds())


@given(ANY_TEXT, st.integers(80, 600))
def test_a_text_that_is_cut_fits_says_so_and_keeps_its_beginning_and_end(text: str, max_bytes: int) -> None:
    cut = clipped(text, max_bytes)
    assert size(cut) <= max_bytes
    if cut != text:
        assert size(text) > max_bytes
        head, _, rest = cut.partition(" […")
        number, _, tail = rest.partition(" characters cut…] ")
        assert text.startswith(head) and text.endswith(tail)
        assert len(head) + int(number) + len(tail) == len(text)


@pytest.mark.parametrize("char", ["x", "ü", "𝄞", "\x01", '"'])
def test_the_64_kib_that_a_tool_says_last_leave_room_for_others(char: str) -> None:
    error = bounded_error(ErrorRecord(code="tool-failed", message=char * 65536, detail="first " + char * 65536 + "!"))
    assert size(error) <= size(FULL_ERROR)
    assert error.detail is not None and error.detail.startswith("first ") and error.detail.endswith("!")
    assert "characters cut" in error.message and "characters cut" in error.detail


def test_an_error_that_fits_stays_as_it_is() -> None:
    error = ErrorRecord(code="tool-failed", message="The tool failed.", detail="x" * 3000)
    assert bounded_error(error) is error


def submit(**changes: object) -> SubmitJob:
    fields = {"job_id": "j", "asset_id": "a", "pipeline": "p", "steps": (StepSpec(name="noop"),), "submitted_at": 1.0}
    return SubmitJob(**fields | {"input": Input(object="k")} | changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "message",
    [
        submit(job_id="@1"),  # the key of a watermark
        submit(job_id="!j"),
        submit(job_id="x" * 101),
        submit(asset_id=""),
        submit(pipeline="p" * 300),
        AttemptAccepted(**ABOUT, lease_id="L" * 300, executor_id="e", requested_at=1.0, request_partition=0),  # type: ignore[arg-type]
        AttemptAccepted(**ABOUT, lease_id="L", executor_id="e" * 600, requested_at=1.0, request_partition=0),  # type: ignore[arg-type]
        AttemptCompleted(
            **ABOUT,  # type: ignore[arg-type]
            lease_id="L",
            claim=Claim(executor_id="\x01" * 100, requested_at=1.0, request_partition=0),
        ),
    ],
)
def test_ids_and_names_that_no_row_may_hold_are_refused(message: SubmitJob) -> None:
    with pytest.raises(OutOfBounds):
        require_bounded(message)


def test_ids_and_names_of_everyday_are_not() -> None:
    assert ID_PATTERN.fullmatch("job_1")
    require_bounded(submit())
    require_bounded(AttemptAccepted(**ABOUT, lease_id="L", executor_id="e", requested_at=1.0, request_partition=0))  # type: ignore[arg-type]
    require_bounded(AttemptCompleted(**ABOUT, lease_id="L" * 999))  # type: ignore[arg-type]  # comparison, and not kept


def test_a_pipeline_file_that_no_job_could_hold_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "large.yaml").write_text(f"name: large\nsteps: [{{name: noop, params: {{text: {'x' * 30_000}}}}}]\n")
    with pytest.raises(InvalidPipeline, match="large: 1 steps with 30"):
        load_pipelines(tmp_path)
