"""The checker finds each way in which callers could be wronged, and nothing in a run in which none was."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.chaos.checker import check
from tests.chaos.evidence import Entry, Evidence
from tests.chaos.owner_rules import OWNER_RULES

#: A job of bert's, one of cora's on an asset of its own, and one of cora's that was refused: the asset is bert's.
_JOBS = (
    ("job_1", "asset-event-1", "bert"),
    ("job_2", "owner_c.asset-hot-1", "cora"),
    ("job_3", "asset-event-1", "cora"),
)


def _submit(job_id: str, asset_id: str, owner: str, at: float = 100.0) -> Entry:
    data = {"job_id": job_id, "asset_id": asset_id, "owner": owner}
    return Entry("media.commands", 0, 0, job_id, "media.job.submit.v1", data, at)


def _command(kind: str, job_id: str) -> Entry:
    data = {"job_id": job_id, "asset_id": "asset-event-1"}
    return Entry("media.commands", 0, 1, kind, f"media.job.{kind}.v1", data, 101.0)


def _report(at: float, control: str = "control-1", partitions: tuple[int, ...] = (0,)) -> Entry:
    data = {"control": control, "partitions": partitions}
    return Entry("media.progress", 0, 0, "r", "media.control.reported.v1", data, at)


def _row(job_id: str, asset_id: str, owner: str, **more: Any) -> dict[str, Any]:
    return {"id": job_id, "asset_id": asset_id, "owner": owner, "status": "completed", "steps": [], **more}


def _asset(owner: str) -> dict[str, Any]:
    return {"owner": owner, "status": "READY"}


def _good() -> Evidence:
    """Everything that a rule looks at, as it should be."""
    refused: dict[str, Any] = {"refused": True, "status": "failed", "error": {"code": "asset-of-another-owner"}}
    about = {"job_id": "job_1", "asset_id": "asset-event-1"}
    return Evidence(
        ledger=[
            {"what": "own-row", "job_id": "job_1", "by": "bert-edits", "status": 200},
            {"what": "own-row", "job_id": "job_2", "by": "cora-edits", "status": None},
            {"what": "to-refuse", "job_id": "job_3", "asset_id": "asset-event-1", "owner": "cora"},
            {"what": "repeated", "job_id": "job_1", "made": "job_1", "status": 202, "code": None, "same": True}
            | {"at": 102.0},
            {"what": "probed", "by": "cora-views", "path": "/v1/jobs/job_1", "status": 404, **about},
            {"what": "probed", "by": "cora-views", "path": "/v1/jobs?asset_id=x", "status": 200, **about},
            {"what": "viewer-wrote", "by": "bert-views", "method": "DELETE", "path": "/", "status": 403, **about},
            {"what": "trespassed", "by": "cora-edits", "method": "DELETE", "path": "/", "status": 404, **about},
            {"what": "cancel", "status": None, **about},
        ],
        log={
            "media.commands": [*(_submit(*job) for job in _JOBS), _command("cancel", "job_1")],
            "media.progress": [_report(at) for at in (99.0, 100.0, 101.0, 102.0)],
        },
        jobs={
            "job_1": _row(*_JOBS[0]),
            "job_2": _row(*_JOBS[1]),
            "job_3": _row(*_JOBS[2], **refused),
        },
        assets={"asset-event-1": _asset("bert"), "owner_c.asset-hot-1": _asset("cora")},
        rows_since=dict.fromkeys(("job_1", "job_2", "job_3"), 101.0),
        sightings={
            ("bert-views", "job_1"): "/v1/jobs",
            ("cora-views", "asset-hot-1"): "a live frame",
            ("cora-views", "planted-by-cora"): "/v1/jobs",
            ("chaos", "planted-by-bert"): "a live frame",
        },
    )


def _found(run: Evidence) -> set[str]:
    return {f"{rule.__name__}" for rule in OWNER_RULES if list(rule(run))}


def test_nothing_is_found_where_everybody_got_what_was_theirs() -> None:
    assert _found(_good()) == set()


def test_time_in_which_no_control_lives_does_not_count() -> None:
    run = _good()
    run.rows_since["job_1"] = 160.0
    run.log["media.progress"] += [_report(104.0 + 30), _report(104.0 + 31), _report(160.0)]
    run.log["media.progress"] += [_report(at, "control-2", (1,)) for at in range(103, 160)]
    assert _found(run) == set()


def _decide_late(run: Evidence) -> None:
    run.rows_since["job_1"] = 106.5
    run.log["media.progress"] += [_report(at) for at in (103.0, 104.0, 105.0, 106.0, 107.0)]


def _never_decide(run: Evidence) -> None:
    del run.rows_since["job_1"]
    run.log["media.progress"] += [_report(100 + at) for at in range(3, 9)]


def _decide_late_in_two_lives(run: Evidence) -> None:
    run.rows_since["job_1"] = 150.0
    run.log["media.progress"] += [_report(103.0), *(_report(140.0 + at, "control-2") for at in range(5))]


def _lose_an_own_write(run: Evidence) -> None:
    run.ledger[0]["status"] = 404


def _refuse_without_a_reason(run: Evidence) -> None:
    run.jobs["job_3"]["error"] = {}


def _let_a_refused_one_run(run: Evidence) -> None:
    run.jobs["job_3"] = _row("job_3", "asset-event-3", "cora")
    run.assets["asset-event-3"] = _asset("cora")


def _forget_a_refused_one(run: Evidence) -> None:
    del run.jobs["job_3"]


def _run_on_an_asset_of_another(run: Evidence) -> None:
    run.jobs["job_2"]["asset_id"] = "asset-event-1"


def _make_another_job_of_a_key(run: Evidence) -> None:
    run.ledger[3]["made"] = "job_9"


def _take_another_body_for_a_key(run: Evidence) -> None:
    run.ledger[3]["same"] = False


def _call_a_key_deleted(run: Evidence) -> None:
    run.ledger[3] |= {"made": None, "status": 410, "code": "key-of-deleted-job"}


def _show_a_marker(run: Evidence) -> None:
    run.sightings["cora-views", "planted-by-bert"] = "a live frame"


def _show_a_job(run: Evidence) -> None:
    run.sightings["cora-views", "job_1"] = "/v1/jobs"


def _show_an_asset(run: Evidence) -> None:
    run.sightings["bert-views", "asset-hot-1"] = "/v1/assets"


def _show_a_job_of_nobody(run: Evidence) -> None:
    run.sightings["cora-views", "job_9"] = "a live frame"


def _answer_a_probe(run: Evidence) -> None:
    run.ledger[4]["status"] = 200


def _let_a_viewer_delete(run: Evidence) -> None:
    run.ledger[6]["status"] = 202


def _let_a_viewer_submit(run: Evidence) -> None:
    run.log["media.commands"].append(_submit("job_4", "owner_b.asset-viewer-1", "bert"))
    run.rows_since["job_4"] = 101.0


def _let_an_editor_trespass(run: Evidence) -> None:
    run.ledger[7]["status"] = 202


def _delete_on_the_log_unasked(run: Evidence) -> None:
    run.log["media.commands"].append(_command("delete", "job_2"))


@pytest.mark.parametrize(
    "spoil, rule",
    [
        (_decide_late, "submissions_are_decided_in_time"),
        (_never_decide, "submissions_are_decided_in_time"),
        (_decide_late_in_two_lives, "submissions_are_decided_in_time"),
        (_lose_an_own_write, "submitters_read_their_own_writes"),
        (_refuse_without_a_reason, "refused_submissions_say_why"),
        (_let_a_refused_one_run, "refused_submissions_say_why"),
        (_forget_a_refused_one, "refused_submissions_say_why"),
        (_run_on_an_asset_of_another, "an_id_has_one_owner"),
        (_make_another_job_of_a_key, "keys_name_one_job"),
        (_take_another_body_for_a_key, "keys_name_one_job"),
        (_call_a_key_deleted, "keys_name_one_job"),
        (_show_a_marker, "nobody_saw_what_is_anothers"),
        (_show_a_job, "nobody_saw_what_is_anothers"),
        (_show_an_asset, "nobody_saw_what_is_anothers"),
        (_show_a_job_of_nobody, "nobody_saw_what_is_anothers"),
        (_answer_a_probe, "nobody_finds_what_is_anothers"),
        (_let_a_viewer_delete, "viewers_change_nothing"),
        (_let_a_viewer_submit, "viewers_change_nothing"),
        (_let_an_editor_trespass, "editors_change_only_what_is_theirs"),
        (_delete_on_the_log_unasked, "commands_were_asked_for"),
    ],
)
def test_each_wrong_is_found_by_its_rule(spoil: Callable[[Evidence], None], rule: str) -> None:
    run = _good()
    spoil(run)
    assert _found(run) == {rule}


def test_a_key_names_its_job_for_any_body_until_that_is_decided() -> None:
    run = _good()
    run.ledger[3] |= {"same": False, "at": 100.5}
    assert not _found(run)
    run.ledger[3]["made"] = "job_9"
    assert _found(run) == {"keys_name_one_job"}


def test_every_rule_is_one_of_the_checker() -> None:
    run = _good()
    _show_a_job(run)
    assert "nobody saw what is anothers: cora-views saw job_1 in /v1/jobs" in check(run)


def test_an_owner_is_listed_exactly_its_own_jobs() -> None:
    run = _good()
    run.replicas = {"web-1 bert": {"jobs": {"job_1": _view("job_1"), "job_3": _view("job_3")}, "assets": {}}}
    told = [line for line in check(run) if line.startswith("replicas agree")]
    assert "replicas agree with the table: web-1 bert: job_3 is too much in its jobs" in told
    assert "replicas agree with the table: web-1 bert: asset-event-1 is missing in its assets" in told
    assert not any("job_1 is" in line or "job_2" in line for line in told)


def _view(job_id: str) -> dict[str, Any]:
    return {"id": job_id, "asset_id": "asset-event-1", "status": "completed", "run": 1, "steps": []}
