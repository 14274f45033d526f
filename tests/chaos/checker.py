"""What must hold after a chaos run, in plain words. Pure; imports nothing of kinolog.

Each rule yields sentences, one per violation, with the evidence in it.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

from tests.chaos.attempt_rules import ATTEMPT_RULES
from tests.chaos.evidence import Entry, Evidence, Row
from tests.chaos.owner_rules import OWNER_RULES, rows_of

Rule = Callable[[Evidence], Iterator[str]]

ENDED = ("completed", "failed", "cancelled")
PASSED = ("completed", "skipped")
#: Jobs in an asset's row, the newest; the others are only in the table of jobs.
LISTED_JOBS = 50
_ENDS = {f"media.job.{status}.v1": status for status in ENDED}
_COMPLETED = "media.step.completed.v1"
_STARTED = "media.step.started.v1"
_SUBMITTED = "media.job.submitted.v1"
_DELETED = "media.job.deleted.v1"
#: What a process may end with by itself: in doubt, fenced, a hole, hung; and killed by us.
_HONEST_ENDS = (0, 70, 75, 76, 77, -9, -15)


def check(evidence: Evidence) -> list[str]:
    """Every violation."""
    return [f"{rule.__name__.strip('_').replace('_', ' ')}: {told}" for rule in RULES for told in rule(evidence)]


# What was accepted


def accepted_jobs_exist(evidence: Evidence) -> Iterator[str]:
    """202 and 201 mean that the job exists, unless somebody deleted it."""
    of_asset = {row["asset_id"] for row in [*evidence.jobs.values(), *evidence.deleted.values()]}
    for line in evidence.asked("submitted"):
        job_id, asset_id = line["job_id"], line["asset_id"]
        known = job_id in evidence.jobs or job_id in evidence.deleted if job_id else asset_id in of_asset
        if not known:
            yield f"{job_id or asset_id} was accepted with {line['status']} and there is no row of it"


def nobody_was_left_without_an_answer(evidence: Evidence) -> Iterator[str]:
    """Every submission is answered, in the end, and with what it deserves."""
    cleared = bool(evidence.asked("clear"))
    for line in evidence.asked("refused"):
        if line.get("code") == "key-of-deleted-job" and cleared:
            continue  # accepted by a replica that died before it could say so, and cleared since
        yield f"a submission was answered with {json.dumps(line)}"
    for line in evidence.asked("answer"):
        if line["status"] not in (503, 507):
            yield f"{line['replica']} answered {line['path']} with {line['status']} {line['code']}"


def nothing_is_deleted_unasked(evidence: Evidence) -> Iterator[str]:
    """A job is gone only when its deletion, its asset's, or a clearing was asked for."""
    jobs = {line["job_id"] for line in evidence.asked("delete-job")}
    assets = {line["asset_id"] for line in evidence.asked("delete-asset")}
    if evidence.asked("clear"):
        return
    for job_id, mark in evidence.deleted.items():
        if job_id not in jobs and mark["asset_id"] not in assets:
            yield f"{job_id} is deleted, and nobody asked for that"


# Ends


def every_job_has_ended(evidence: Evidence) -> Iterator[str]:
    """Completed, failed or cancelled, and so are its steps."""
    for job_id, row in evidence.jobs.items():
        if row["status"] not in ENDED:
            yield f"{job_id} is still {row['status']}: {json.dumps(_steps(row))}"
        elif any(step not in (*ENDED, "skipped") for step in _steps(row).values()):
            yield f"{job_id} is {row['status']} with steps {json.dumps(_steps(row))}"


def each_run_ended_once(evidence: Evidence) -> Iterator[str]:
    """One terminal fact per run, and the last one says what the row says."""
    ends: dict[tuple[str, int], set[str]] = defaultdict(set)
    for fact in _facts(evidence):
        if fact.type in _ENDS:
            ends[fact.data["job_id"], fact.data["run"]].add(_ENDS[fact.type])
    for job_id, row in [*evidence.jobs.items(), *evidence.deleted.items()]:
        for run in range(1, row.get("run", 1) + 1):
            told = ends.pop((job_id, run), set())
            if len(told) != 1:
                yield f"run {run} of {job_id} ended {len(told)} times: {sorted(told)}"
            elif run == row.get("run", 1) and row.get("status") not in (None, *told):
                yield f"the facts say that {job_id} {told.pop()}, its row says {row['status']}"
    for (job_id, run), told in ends.items():
        yield f"run {run} of {job_id} is told to have {sorted(told)}, and there is no such run"


def each_step_completed_once(evidence: Evidence) -> Iterator[str]:
    """One published completion per completed step, none for any other; with the outputs that the row has."""
    told: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for fact in _facts(evidence):
        if fact.type == _COMPLETED:
            told[fact.data["job_id"], fact.data["step"]].append(fact)
    for job_id, row in evidence.jobs.items():
        for step in row["steps"]:
            found = told.pop((job_id, step["spec"]["name"]), [])
            yield from (f"{job_id} {problem}" for problem in _wrong_completions(step, found))
    for (job_id, name), found in told.items():
        if len(found) > 1 or job_id not in evidence.deleted:
            yield f"{job_id} {name} was told to be completed as {[fact.id for fact in found]}"


def _wrong_completions(step: Row, found: list[Entry]) -> Iterator[str]:
    name, status = step["spec"]["name"], step.get("status")
    if len(found) != (status == "completed"):
        yield f"{name} is {status}, completions told: {[fact.id for fact in found]}"
    elif found and found[0].data.get("outputs", {}) != (step.get("outputs") or {}):
        yield f"{name}: outputs of fact and row differ"


# Facts


def repeated_facts_are_the_same(evidence: Evidence) -> Iterator[str]:
    """Who has seen an id has seen all of it."""
    seen: dict[str, Entry] = {}
    for fact in evidence.of("media.events"):
        before = seen.setdefault(fact.id, fact)
        if before.data != fact.data:
            yield f"{fact.id} says {json.dumps(before.data)[:300]} at first and {json.dumps(fact.data)[:300]} later"


def histories_are_legal(evidence: Evidence) -> Iterator[str]:
    """Submitted first, runs one after the other, a step's start before its end, nothing after a deletion."""
    by_job: dict[str, list[Entry]] = defaultdict(list)
    for fact in _facts(evidence):
        if fact.data.get("job_id") and not fact.type.startswith("media.asset."):
            by_job[fact.data["job_id"]].append(fact)
    for job_id, history in by_job.items():
        for told in _illegal(history):
            yield f"{job_id}: {told}; its facts: {[fact.id.removeprefix(job_id) for fact in history]}"


def _illegal(history: list[Entry]) -> Iterator[str]:
    run, open_run, deleted, passed = 0, False, False, set[str]()
    attempts: dict[str, tuple[int, int]] = {}
    for fact in history:
        if deleted:
            yield f"{fact.type} after the deletion"
        if fact.type == _SUBMITTED:
            if open_run or fact.data["run"] != run + 1:
                yield f"run {fact.data['run']} began while run {run} was {'open' if open_run else 'over'}"
            run, open_run = fact.data["run"], True
        elif fact.type in _ENDS:
            if not open_run or fact.data["run"] != run:
                yield f"an end of run {fact.data['run']} while run {run} was {'open' if open_run else 'over'}"
            open_run = False
        elif fact.type == _DELETED:
            deleted = True
        else:
            yield from _illegal_step(fact, run, open_run, passed, attempts)


def _illegal_step(
    fact: Entry, run: int, open_run: bool, passed: set[str], attempts: dict[str, tuple[int, int]]
) -> Iterator[str]:
    step, place = fact.data["step"], (fact.data["run"], fact.data["attempt"])
    if not open_run or place[0] != run:
        yield f"{fact.type} of {step} in run {place[0]}, while run {run} was {'open' if open_run else 'over'}"
    if step in passed:
        yield f"{fact.type} of {step} after it had passed"
    if place < attempts.get(step, (0, 0)):
        yield f"{fact.type} of {step} attempt {place} after attempt {attempts[step]}"
    attempts[step] = place
    if fact.type in (_COMPLETED, "media.step.skipped.v1"):
        passed.add(step)


def assets_agree_with_their_facts(evidence: Evidence) -> Iterator[str]:
    """What is ready was said to be, once per completed run; what was deleted is not there, unless made again."""
    ready = {(fact.data["job_id"], fact.data["run"]) for fact in _facts(evidence) if "asset.ready" in fact.type}
    for job_id, row in evidence.jobs.items():
        if row["status"] == "completed" and (job_id, row.get("run", 1)) not in ready:
            yield f"{job_id} completed and nobody was told that {row['asset_id']} is ready"
    deleted = {fact.data["asset_id"] for fact in _facts(evidence) if "asset.deleted" in fact.type}
    for asset_id in deleted & evidence.assets.keys():
        if not evidence.assets[asset_id].get("jobs"):
            yield f"{asset_id} was told to be deleted and is still there, without a job"


# Tables


def the_tables_agree(evidence: Evidence) -> Iterator[str]:
    """Each job stands in its asset as it stands in its own row; one that was refused does not."""
    for job_id, row in evidence.jobs.items():
        jobs = evidence.assets.get(row["asset_id"], {}).get("jobs", {})
        known = jobs.get(job_id)
        if row.get("refused"):
            if known is not None:
                yield f"{job_id} was refused and is in its asset"
        elif known is None and len(jobs) >= LISTED_JOBS:
            continue  # an older one of many
        elif known is None or known["status"] != row["status"]:
            yield f"{job_id} is {row['status']}, and in its asset {known and known['status']}"


def assets_agree_with_their_jobs(evidence: Evidence) -> Iterator[str]:
    """An asset's jobs have rows, and its status follows from theirs."""
    completed = {
        row["asset_id"]
        for row in evidence.jobs.values()
        if not row.get("refused") and (row["status"] == "completed" or row.get("has_completed"))
    }
    for asset_id, asset in evidence.assets.items():
        for job_id in asset.get("jobs", {}).keys() - evidence.jobs.keys():
            yield f"{asset_id} has the job {job_id}, which has no row"
        if asset["status"] in ("READY", "CACHED") and not (asset.get("kept") or asset_id in completed):
            yield f"{asset_id} is {asset['status']} without a job that completed"
        if asset["status"] not in ("READY", "CACHED", "FAILED"):
            yield f"{asset_id} is {asset['status']}, and none of its jobs runs"


def every_row_is_explained_by_the_log(evidence: Evidence) -> Iterator[str]:
    """No row claims what nobody asked for or did."""
    asked: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in evidence.of("media.commands"):
        asked[entry.data.get("job_id") or entry.data.get("asset_id", ""), entry.type].append(entry)
    done = {(e.data.get("lease_id"), e.type): e for e in evidence.of("media.step-events") if e.data.get("lease_id")}
    for job_id, row in evidence.jobs.items():
        if not asked[job_id, "media.job.submit.v1"]:
            yield f"{job_id} was never submitted"
        if row["status"] == "cancelled" and not asked[job_id, "media.job.cancel.v1"]:
            yield f"{job_id} is cancelled, and nobody asked for that"
        retried = {entry.data["run"] for entry in asked[job_id, "media.job.retry.v1"]}
        if missing := set(range(1, row.get("run", 1))) - retried:
            yield f"{job_id} is in run {row['run']}, and nobody asked for a retry of {sorted(missing)}"
        for step in row["steps"]:
            yield from _unexplained(job_id, step, done)


def _unexplained(job_id: str, step: Row, done: dict[tuple[Any, str], Entry]) -> Iterator[str]:
    name, lease = step["spec"]["name"], step.get("lease", {})
    if step.get("status") == "completed":
        ending = done.get((lease.get("id"), "media.step.finished.v1"))
        if ending is None or ending.data.get("outputs", {}) != (step.get("outputs") or {}):
            yield f"{job_id} {name} is completed by {lease.get('id')}, and that lease did not say so"
    if step.get("status") == "failed" and not step.get("error"):
        yield f"{job_id} {name} failed without an error"


def the_program_finds_its_table_in_the_log(evidence: Evidence) -> Iterator[str]:
    """Its own fold of the log gives the same rows, all of them."""
    for partition in evidence.rebuilt:
        yield from partition["differing"]
        if partition["unchecked"] or partition["log_checksum"] != partition["table_checksum"]:
            yield f"partition {partition['partition']}: {json.dumps({**partition, 'differing': []})}"


def replicas_agree_with_the_table(evidence: Evidence) -> Iterator[str]:
    """Every replica lists every row, to an owner that owner's, nothing else, and as it is."""
    for name, lists in evidence.replicas.items():
        jobs, assets = rows_of(evidence.jobs, name), rows_of(evidence.assets, name)
        for kind, rows in (("jobs", jobs), ("assets", assets)):
            for row_id in rows.keys() ^ lists[kind].keys():
                yield f"{name}: {row_id} is {'missing' if row_id in rows else 'too much'} in its {kind}"
        for job_id in jobs.keys() & lists["jobs"].keys():
            expected, found = _essence(jobs[job_id]), _essence_of_view(lists["jobs"][job_id])
            if expected != found:
                yield f"{name} shows {job_id} as {json.dumps(found)}, its row says {json.dumps(expected)}"
        for asset_id in assets.keys() & lists["assets"].keys():
            if lists["assets"][asset_id]["status"] != assets[asset_id]["status"]:
                yield f"{name} shows {asset_id} as {lists['assets'][asset_id]['status']}"


def _essence(row: Row) -> list[Any]:
    steps = [
        [step["spec"]["name"], step.get("status", "waiting"), step.get("attempt", 0), step.get("outputs")]
        for step in row["steps"]
    ]
    return [row["asset_id"], row["status"], row.get("run", 1), row.get("error", {}).get("code"), steps]


def _essence_of_view(job: Row) -> list[Any]:
    steps = [[step["name"], step["status"], step["attempt"], step.get("outputs")] for step in job["steps"]]
    return [job["asset_id"], job["status"], job["run"], job.get("error", {}).get("code"), steps]


def live_frames_told_everything(evidence: Evidence) -> Iterator[str]:
    """Who followed a replica, with its cursor, knows every job that it may see as it is."""
    for name, told in evidence.dashboards.items():
        jobs = rows_of(evidence.jobs, name)
        for job_id in told.keys() ^ jobs.keys():
            yield f"{name}: {job_id} was {'told, and is not there' if job_id in told else 'never told'}"
        for job_id in told.keys() & jobs.keys():
            if _essence_of_view(told[job_id]) != _essence(jobs[job_id]):
                yield f"{name} told last that {job_id} is {told[job_id]['status']} {_essence_of_view(told[job_id])}"


# What is left


def only_garbage_was_buried(evidence: Evidence) -> Iterator[str]:
    """A dead letter is about garbage that we threw, a submission that was refused, or an event with a used id."""
    thrown = {(line["topic"], line["partition"], line["offset"]) for line in evidence.asked("garbage")}
    thrown |= _places_of_refused(evidence)
    for letter in evidence.of("media.dead-letters"):
        about = letter.data
        place = (about.get("topic"), about.get("partition"), about.get("offset"))
        # What stopped in the middle of throwing is not in the ledger; its key is.
        if "topic" in about and place not in thrown and about.get("message_key") != "chaos":
            yield f"a dead letter about {place} of {about['found_by']}: {json.dumps(about['error'])}"


def _places_of_refused(evidence: Evidence) -> set[tuple[str, int, int]]:
    """Where submissions lie that have the row of a refusal, are deleted, or whose id was used before."""
    used = {line["asset_id"] for line in evidence.asked("used-id")}
    return {
        (entry.topic, entry.partition, entry.offset)
        for entry in evidence.of("media.commands")
        if entry.type == "media.job.submit.v1"
        and (
            evidence.jobs.get(entry.data["job_id"], {}).get("refused")
            or entry.data["job_id"] in evidence.deleted
            or entry.data["asset_id"] in used
        )
    }


def files_stand_where_attempts_staged_them(evidence: Evidence) -> Iterator[str]:
    """Every artifact is of an attempt that was accepted; of a deleted asset none is left that was published."""
    leases = {entry.data["lease_id"] for entry in evidence.of("media.step-events") if entry.data.get("lease_id")}
    gone = {mark["asset_id"] for mark in evidence.deleted.values()} - evidence.assets.keys()
    published = _owning_leases(evidence)
    for key in evidence.objects:
        parts = key.split("/")
        if parts[0] != "assets":
            continue
        lease = parts[3].partition("-")[2] if len(parts) > 4 else ""
        if lease not in leases:
            yield f"{key} was staged by nobody"
        elif parts[1] in gone and lease in published:
            yield f"{key} belongs to a deleted asset"


def what_was_published_is_there(evidence: Evidence) -> Iterator[str]:
    """Every key in a row's outputs is one of the store."""
    there = set(evidence.objects)
    for job_id, row in evidence.jobs.items():
        for step in row["steps"]:
            for key in _keys(step.get("outputs"), f"assets/{row['asset_id']}/"):
                if key not in there:
                    yield f"{job_id} {step['spec']['name']} published {key}, which is not in the store"


def _owning_leases(evidence: Evidence) -> set[str]:
    """Leases whose outputs were published, as the facts tell: their keys hold them."""
    found: set[str] = set()
    for fact in _facts(evidence):
        if fact.type == _COMPLETED:
            for key in _keys(fact.data.get("outputs"), "assets/"):
                found.add(key.split("/")[3].partition("-")[2])
    return found


def _keys(value: Any, prefix: str) -> Iterator[str]:
    if isinstance(value, str) and value.startswith(prefix):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _keys(inner, prefix)
    elif isinstance(value, list):
        for inner in value:
            yield from _keys(inner, prefix)


def nothing_is_left_behind(evidence: Evidence) -> Iterator[str]:
    """No process, no temporary file."""
    yield from (f"the process {process} is still there" for process in evidence.processes)
    yield from (f"the file {path} was left" for path in evidence.leftovers)


def processes_ended_honestly(evidence: Evidence) -> Iterator[str]:
    """By our signals, or in a doubt that they name; at the end in time."""
    for name, ends in evidence.ends.items():
        for code in ends:
            if code is None:
                yield f"{name} had to be killed at the end"
            elif code not in _HONEST_ENDS and name != "redis":
                yield f"{name} ended with {code}"


def no_process_met_a_bug(evidence: Evidence) -> Iterator[str]:
    """No traceback of an error that nobody expected."""
    yield from evidence.complaints


RULES: tuple[Rule, ...] = (
    accepted_jobs_exist,
    nobody_was_left_without_an_answer,
    nothing_is_deleted_unasked,
    every_job_has_ended,
    each_run_ended_once,
    each_step_completed_once,
    repeated_facts_are_the_same,
    histories_are_legal,
    assets_agree_with_their_facts,
    the_tables_agree,
    assets_agree_with_their_jobs,
    every_row_is_explained_by_the_log,
    the_program_finds_its_table_in_the_log,
    replicas_agree_with_the_table,
    live_frames_told_everything,
    only_garbage_was_buried,
    files_stand_where_attempts_staged_them,
    what_was_published_is_there,
    nothing_is_left_behind,
    processes_ended_honestly,
    no_process_met_a_bug,
    *OWNER_RULES,
    *ATTEMPT_RULES,
)


def _facts(evidence: Evidence) -> list[Entry]:
    """Facts as a consumer sees that drops ids it has seen."""
    seen: dict[str, Entry] = {}
    for fact in evidence.of("media.events"):
        seen.setdefault(fact.id, fact)
    return list(seen.values())


def _steps(row: Row) -> dict[str, str]:
    return {step["spec"]["name"]: step.get("status", "waiting") for step in row["steps"]}
