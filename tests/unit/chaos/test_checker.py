"""The checker of chaos runs finds what it is there to find, and nothing in a run that went well."""

import ast
import copy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.chaos import attempt_rules, checker, evidence, owner_rules
from tests.chaos.evidence import Entry, Evidence

_CODE = {"asset_id": "a", "job_id": "j", "run": 1}
_KEY = "assets/a/probe/1-L1/x.json"


def _fact(kind: str, **more: Any) -> Entry:
    data = {**_CODE, **more}
    place = [data["run"], more.get("step"), more.get("attempt")]
    return Entry("media.events", 0, 0, f"j/{place}/{kind}", f"media.{kind}.v1", data)


def _event(kind: str, **more: Any) -> Entry:
    return Entry("media.step-events", 0, 0, kind, f"media.step.{kind}.v1", {**_CODE, **more})


def _good() -> Evidence:
    """One job of one step that completed."""
    step = {"spec": {"name": "probe"}, "status": "completed", "attempt": 1, "lease": {"id": "L1"}}
    step["outputs"] = {"file": _KEY}
    job = {"id": "j", "asset_id": "a", "status": "completed", "steps": [step]}
    view = {"id": "j", "asset_id": "a", "status": "completed", "run": 1}
    view["steps"] = [{"name": "probe", "status": "completed", "attempt": 1, "outputs": {"file": _KEY}}]
    asset = {"id": "a", "status": "READY", "jobs": {"j": {"status": "completed"}}}
    about = {"step": "probe", "attempt": 1}
    facts = [_fact("job.submitted"), _fact("step.started", **about)]
    facts += [_fact("step.completed", **about, outputs={"file": _KEY}), _fact("job.completed"), _fact("asset.ready")]
    return Evidence(
        ledger=[{"what": "submitted", "job_id": "j", "asset_id": "a", "status": 202}],
        log={
            "media.events": facts,
            "media.commands": [Entry("media.commands", 0, 0, "s", "media.job.submit.v1", dict(_CODE))],
            "media.step-events": [
                _event("accepted", lease_id="L1"),
                _event("finished", lease_id="L1", outputs={"file": _KEY}),
            ],
        },
        jobs={"j": job},
        assets={"a": asset},
        replicas={"web-1": {"jobs": {"j": view}, "assets": {"a": {"id": "a", "status": "READY"}}}},
        dashboards={"web-1": {"j": copy.deepcopy(view)}},
        objects=[_KEY],
        ends={"control-1": [-9, 75, 0]},
    )


def test_nothing_is_found_where_all_is_well_and_facts_are_repeated() -> None:
    fine = _good()
    fine.log["media.events"] += fine.log["media.events"][2:]
    assert checker.check(fine) == []


def _lose_the_job(run: Evidence) -> None:
    run.jobs.clear()


def _leave_it_active(run: Evidence) -> None:
    run.jobs["j"]["status"] = "active"


def _end_it_twice(run: Evidence) -> None:
    run.log["media.events"].append(_fact("job.failed"))


def _complete_a_step_twice(run: Evidence) -> None:
    again = _fact("step.completed", step="probe", attempt=2, outputs={"file": _KEY})
    run.log["media.events"].insert(3, again)


def _say_a_fact_differently(run: Evidence) -> None:
    run.log["media.events"].append(_fact("job.completed", owner="somebody"))


def _start_after_the_end(run: Evidence) -> None:
    run.log["media.events"].append(_fact("step.started", step="other", attempt=1))


def _forget_the_completion(run: Evidence) -> None:
    del run.log["media.events"][2]


def _publish_by_a_zombie(run: Evidence) -> None:
    run.jobs["j"]["steps"][0]["lease"]["id"] = "L2"


def _let_a_replica_lag(run: Evidence) -> None:
    run.replicas["web-1"]["jobs"]["j"]["status"] = "active"


def _leave_a_gap_in_the_live_frames(run: Evidence) -> None:
    run.dashboards["web-1"].clear()


def _bury_a_good_message(run: Evidence) -> None:
    letter = {"topic": "media.commands", "partition": 0, "offset": 7, "found_by": "control", "error": {}}
    run.log["media.dead-letters"] = [Entry("media.dead-letters", 0, 0, "d", "media.dead-letter.v1", letter)]


def _lose_a_file(run: Evidence) -> None:
    run.objects.clear()


def _leave_a_file_of_nobody(run: Evidence) -> None:
    run.objects.append("assets/a/probe/1-L9/x.json")


def _leave_a_process(run: Evidence) -> None:
    run.processes.append("7 ffmpeg")


def _leave_scratch(run: Evidence) -> None:
    run.leftovers.append("data/scratch/e/x")


def _end_with_a_surprise(run: Evidence) -> None:
    run.ends["control-1"].append(1)


def _cancel_unasked(run: Evidence) -> None:
    run.jobs["j"]["status"] = "cancelled"


def _contradict_the_asset(run: Evidence) -> None:
    run.assets["a"]["jobs"]["j"]["status"] = "active"


def _delete_unasked(run: Evidence) -> None:
    run.deleted["k"] = {"asset_id": "b"}


def _answer_with_a_bug(run: Evidence) -> None:
    run.ledger.append({"what": "answer", "replica": "web-1", "path": "/", "status": 500, "code": "internal-error"})


def _give_up(run: Evidence) -> None:
    run.ledger.append({"what": "refused", "status": None})


def _refuse_the_key_of_a_deleted_job(run: Evidence) -> None:
    run.ledger.append({"what": "refused", "status": 410, "code": "key-of-deleted-job"})


def _fold_differently(run: Evidence) -> None:
    sums = {"log_checksum": "a", "table_checksum": "b"}
    run.rebuilt.append({"partition": 0, "jobs": 1, "unchecked": 0, "differing": [], **sums})


@pytest.mark.parametrize(
    "spoil, rule",
    [
        (_lose_the_job, "accepted jobs exist"),
        (_leave_it_active, "every job has ended"),
        (_end_it_twice, "each run ended once"),
        (_complete_a_step_twice, "each step completed once"),
        (_say_a_fact_differently, "repeated facts are the same"),
        (_start_after_the_end, "histories are legal"),
        (_forget_the_completion, "each step completed once"),
        (_publish_by_a_zombie, "every row is explained by the log"),
        (_cancel_unasked, "every row is explained by the log"),
        (_fold_differently, "the program finds its table in the log"),
        (_let_a_replica_lag, "replicas agree with the table"),
        (_leave_a_gap_in_the_live_frames, "live frames told everything"),
        (_bury_a_good_message, "only garbage was buried"),
        (_lose_a_file, "what was published is there"),
        (_leave_a_file_of_nobody, "files stand where attempts staged them"),
        (_leave_a_process, "nothing is left behind"),
        (_leave_scratch, "nothing is left behind"),
        (_end_with_a_surprise, "processes ended honestly"),
        (_contradict_the_asset, "the tables agree"),
        (_delete_unasked, "nothing is deleted unasked"),
        (_answer_with_a_bug, "nobody was left without an answer"),
        (_give_up, "nobody was left without an answer"),
        (_refuse_the_key_of_a_deleted_job, "nobody was left without an answer"),
    ],
)
def test_each_spoiled_run_is_found_by_its_rule(spoil: Callable[[Evidence], None], rule: str) -> None:
    run = _good()
    spoil(run)
    assert rule in {violation.partition(":")[0] for violation in checker.check(run)}


def test_a_submission_may_have_been_cleared_before_its_answer_was_asked_for_again() -> None:
    run = _good()
    _refuse_the_key_of_a_deleted_job(run)
    run.ledger.append({"what": "clear"})
    assert not checker.check(run)


def test_the_checker_shares_no_code_with_the_program() -> None:
    for module in (checker, evidence, attempt_rules, owner_rules):
        tree = ast.parse(Path(str(module.__file__)).read_text())
        imports = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        imports += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
        foreign = {name for name in imports if name.partition(".")[0] not in sys.stdlib_module_names}
        rules = {"tests.chaos.attempt_rules", "tests.chaos.owner_rules"}
        assert foreign <= {"aiohttp", "aiokafka", "tests.chaos.evidence", *rules}
