"""One set of checks for everything that asks for a job."""

from pathlib import Path
from typing import Any

import pytest

from schemas.jobs import Input, StepSpec
from schemas.uploads import UploadCompleted
from tables.pipelines import InvalidPipeline, load_pipelines, ordered
from tables.submissions import MAX_AHEAD_S, Refused, checked_input, checked_run_at, submission

PIPELINES = {"standard": (StepSpec(name="probe"),)}


def submitted(upload: UploadCompleted, **more: Any) -> Any:
    known = {"job_id": "job_1", "asset_id": "asset_1", "pipelines": PIPELINES, "default_pipeline": "standard"}
    return submission(upload, **{**known, "input_roots": (), "now": 1.0, **more})


def test_an_upload_without_a_pipeline_gets_the_default_one_resolved() -> None:
    command = submitted(UploadCompleted(input=Input(object="a.mp4"), passthrough="mine"))
    assert (command.pipeline, command.steps, command.passthrough) == ("standard", PIPELINES["standard"], "mine")


@pytest.mark.parametrize(
    "upload, code",
    [
        (UploadCompleted(input=Input(object="a"), pipeline="nope"), "unknown-pipeline"),
        (UploadCompleted(input=Input()), "invalid-input"),
        (UploadCompleted(input=Input(object="a", path="/b")), "invalid-input"),
        (UploadCompleted(input=Input(object="../../etc/passwd")), "invalid-input"),
        (UploadCompleted(input=Input(object="/etc/passwd")), "invalid-input"),
        (UploadCompleted(input=Input(object="")), "invalid-input"),
        (UploadCompleted(input=Input(path="/etc/passwd")), "invalid-input"),
        (UploadCompleted(input=Input(url="file:///etc/passwd")), "invalid-input"),
        (UploadCompleted(input=Input(url="http://user:secret@example.org/")), "invalid-input"),
        (UploadCompleted(input=Input(object="a"), passthrough="x" * 5000), "invalid-passthrough"),
    ],
)
def test_bad_submissions_are_refused_with_their_code(upload: UploadCompleted, code: str) -> None:
    with pytest.raises(Refused) as refused:
        submitted(upload)
    assert refused.value.code == code


@pytest.mark.parametrize(
    "key", ["a//b", "a/", "/a", "./a", ".a", "a/.b", "a/../b", "a\\b", "a\n", "a/" + "ä" * 200, "\ud800"]
)
def test_a_key_that_no_store_could_have_is_refused_when_it_is_submitted(key: str) -> None:
    with pytest.raises(Refused, match=r"input\.object"):
        submitted(UploadCompleted(input=Input(object=key)))


def test_ids_that_cannot_be_keys_are_refused() -> None:
    with pytest.raises(Refused, match="asset id"):
        submitted(UploadCompleted(input=Input(object="a")), asset_id="../x")


def test_a_path_is_taken_only_below_a_root_whatever_links_say(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside.mp4"
    root.mkdir()
    outside.write_bytes(b"")
    (root / "inside.mp4").write_bytes(b"")
    (root / "link.mp4").symlink_to(outside)
    roots = (str(root),)
    assert checked_input(Input(path=str(root / "inside.mp4")), roots).path == str(root / "inside.mp4")
    for bad in (outside, root / "link.mp4", root / ".." / "outside.mp4"):
        with pytest.raises(Refused):
            checked_input(Input(path=str(bad)), roots)


def test_steps_are_put_behind_those_they_come_after() -> None:
    steps = (StepSpec(name="transcode", after=("probe",)), StepSpec(name="probe"))
    assert [spec.name for spec in ordered("p", steps)] == ["probe", "transcode"]


@pytest.mark.parametrize(
    "text",
    [
        "name: x\nsteps: []",
        "name: x\nsteps: [{name: unheard-of}]",
        "name: x\nsteps: [{name: probe, after: [transcode]}]",
        "name: x\nsteps: [{name: probe, after: [transcode]}, {name: transcode, after: [probe]}]",
        "name: x\nsteps: [{name: probe}, {name: probe}]",
        "name: x\nsteps: [{name: probe}, {name: transcode, needs: [probe]}]",
        "name: x\nsteps: 3",
        "}{",
    ],
)
def test_a_pipeline_file_that_cannot_be_used_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "broken.yaml").write_text(text)
    with pytest.raises(InvalidPipeline):
        load_pipelines(tmp_path)


def test_an_address_is_downloaded_before_everything_else() -> None:
    pipelines = {
        "standard": (StepSpec(name="probe"), StepSpec(name="transcode", after=("probe",))),
        "cache": (StepSpec(name="download"),),
        "noop": (StepSpec(name="noop"),),
    }

    def after(pipeline: str) -> dict[str, tuple[str, ...]]:
        upload = UploadCompleted(input=Input(url="https://example.org/a.mp4#t=1"), pipeline=pipeline)
        command = submitted(upload, pipelines=pipelines)
        assert command.input == Input(url="https://example.org/a.mp4")
        return {spec.name: spec.after for spec in command.steps}

    assert after("standard") == {"download": (), "probe": ("download",), "transcode": ("probe",)}
    assert after("cache") == {"download": ()}
    assert after("noop") == {"noop": ()}


@pytest.mark.parametrize(
    "upload, code",
    [
        (UploadCompleted(input=Input(object="a"), owner="o" * 256), "invalid-owner"),
        (UploadCompleted(input=Input(object="a"), pipeline="p" * 10**6), "unknown-pipeline"),
        (UploadCompleted(input=Input(object="a"), priority="p" * 10**6), "invalid-priority"),
        (UploadCompleted(input=Input(object="ä" * 1000)), "invalid-input"),
        (UploadCompleted(input=Input(path="/srv/" + "a" * 5000)), "invalid-input"),
        (UploadCompleted(input=Input(url="http://[:]")), "invalid-input"),
        (UploadCompleted(input=Input(url="http://[::1%25eth0]/")), "invalid-input"),
    ],
)
def test_nothing_is_too_large_or_too_odd_to_be_refused(upload: UploadCompleted, code: str) -> None:
    with pytest.raises(Refused) as refused:
        submitted(upload, input_roots=("/srv",))
    assert refused.value.code == code
    assert len(str(refused.value)) < 500


def test_a_loop_of_links_is_refused(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").symlink_to(tmp_path / "film.mp4")
    with pytest.raises(Refused, match="loop of symbolic links"):
        checked_input(Input(path=str(tmp_path / "film.mp4")), (str(tmp_path),))


@pytest.mark.parametrize("text", ["tomorrow", "2026-01-31T12:00:00", "", "9" * 9999, "2026-13-01T00:00:00Z", "-1"])
def test_a_time_to_start_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(Refused) as refused:
        checked_run_at(text, 0.0)
    assert refused.value.code == "invalid-run-at" and len(str(refused.value)) < 500


def test_a_time_to_start_is_neither_past_nor_years_ahead() -> None:
    noon = 1_769_860_800.0
    assert checked_run_at("2026-01-31T12:00:00Z", noon - 1.0) == noon
    assert checked_run_at("2026-01-31T13:00:00+01:00", noon - 1.0) == noon
    assert checked_run_at("2026-01-31T12:00:00Z", noon + 60.0) is None, "a repeated request, or a clock that is behind"
    with pytest.raises(Refused, match="with a zone"):
        checked_run_at("2026-01-31T12:00:00", noon - 1.0)
    for now, text in ((noon + 301.0, "past"), (noon - MAX_AHEAD_S - 1.0, "366 days")):
        with pytest.raises(Refused, match=text):
            checked_run_at("2026-01-31T12:00:00Z", now)
    assert submitted(UploadCompleted(input=Input(object="a"))).run_at is None
