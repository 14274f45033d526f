"""What must hold between callers after a chaos run: submissions get rows, owners are apart, viewers change nothing.

Pure; imports nothing of kinolog. Each rule yields sentences, as in checker.py.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from tests.chaos.evidence import Entry, Evidence, Row

_SUBMIT = "media.job.submit.v1"
#: Most time that control may take from a submission to its row, counted while it reports that it decides.
_DECIDED_S = 5.0
#: Control reports every second: between reports further apart it was dead, stopped, or without a broker.
_REPORTED_S = 2.5
#: What control may refuse a submission with. Source: docs/guarantees.md.
_REFUSALS = ("asset-of-another-owner", "too-many-jobs", "invalid-pipeline", "row-too-large")
#: No answer, or not now.
_UNDECIDED = (None, 429, 503, 507)
#: Markers are written by callers.py; ids of jobs by kinolog.
_MARKER, _JOB_ID = re.compile(r"planted-by-([a-z]+)"), re.compile(r"job[_-].+")
_COMMANDS = {
    "media.job.cancel.v1": "cancel",
    "media.job.retry.v1": "retry",
    "media.job.delete.v1": "delete-job",
    "media.asset.delete.v1": "delete-asset",
    "media.queue.pause.v1": "pause",
}


def submissions_are_decided_in_time(evidence: Evidence) -> Iterator[str]:
    """A row within 5 s of the submission's record; time in which nobody decides its partition does not count."""
    for job_id, waited_s in decision_times_s(evidence).items():
        if waited_s > _DECIDED_S:
            row = "its" if job_id in evidence.rows_since else "no"
            yield f"{job_id} had {row} row after {waited_s:.1f} s of living control"


def decision_times_s(evidence: Evidence) -> dict[str, float]:
    """By job id, the time from its submission to its row in which a control was alive."""
    alive, found = _times_alive(evidence), dict[str, float]()
    for command in _submits(evidence):
        end = evidence.rows_since.get(command.data["job_id"], float("inf"))
        spans = alive[command.partition]
        waited_s = sum(max(0.0, min(last, end) - max(first, command.at)) for first, last in spans)
        found[command.data["job_id"]] = max(waited_s, found.get(command.data["job_id"], 0.0))
    return found


def _times_alive(evidence: Evidence) -> dict[int, list[tuple[float, float]]]:
    """When a control reported that it decides a partition, by partition."""
    reported: dict[tuple[str, int], list[float]] = defaultdict(list)
    for entry in evidence.of("media.progress"):
        if entry.type == "media.control.reported.v1":
            for partition in entry.data["partitions"]:
                reported[entry.data["control"], partition].append(entry.at)
    alive: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for (_, partition), times in reported.items():
        pairs = zip(sorted(times), sorted(times)[1:], strict=False)
        alive[partition] += [(first, last) for first, last in pairs if last - first <= _REPORTED_S]
    return alive


def submitters_read_their_own_writes(evidence: Evidence) -> Iterator[str]:
    """Who reads a job with the cursor of its submission finds it, unless somebody deleted it."""
    for line in evidence.asked("own-row"):
        if line["status"] not in (200, *_UNDECIDED) and not _may_be_deleted(evidence, line["job_id"]):
            yield f"{line['job_id']} was read by {line['by']} after its submission: {line['status']}"


def refused_submissions_say_why(evidence: Evidence) -> Iterator[str]:
    """A row without steps has failed with a code of a refusal, and what was to be refused has such a row."""
    for job_id, row in evidence.jobs.items():
        code = row.get("error", {}).get("code")
        if row.get("refused") and (row["status"] != "failed" or code not in _REFUSALS):
            yield f"{job_id} was refused, and its row says {row['status']} {code}"
    for line in evidence.asked("to-refuse"):
        row = evidence.jobs.get(line["job_id"], {})
        if not row.get("refused") and line["job_id"] not in evidence.deleted:
            yield f"{line['job_id']} should have been refused: {row.get('status', 'it has no row')}"


def an_id_has_one_owner(evidence: Evidence) -> Iterator[str]:
    """All jobs of an asset that were not refused are of the asset's owner."""
    for job_id, row in evidence.jobs.items():
        asset = evidence.assets.get(row["asset_id"])
        if asset is not None and not row.get("refused") and row.get("owner") not in (None, asset.get("owner")):
            yield f"{job_id} of {row.get('owner')} runs on {row['asset_id']} of {asset.get('owner')}"


def keys_name_one_job(evidence: Evidence) -> Iterator[str]:
    """A key used again gives its job, or says that it was deleted, refused, or had another body, once it is decided."""
    for line in evidence.asked("repeated"):
        if line["status"] in _UNDECIDED:
            continue
        if line["status"] == 202:
            was_undecided = evidence.rows_since.get(line["job_id"], float("inf")) >= line["at"]
            right = line["made"] == line["job_id"] and (line["same"] or was_undecided)
        elif line["status"] == 410:
            right = _may_be_deleted(evidence, line["job_id"])
        elif line["code"] == "submission-refused":
            right = _may_be_deleted(evidence, line["job_id"]) or bool(
                evidence.jobs.get(line["job_id"], {}).get("refused")
            )
        elif line["code"] in ("not-found", "asset-of-another-owner"):
            # Its asset was deleted, or is another owner's: a refused contest; admins, who name an owner, learn which.
            right = _may_be_deleted(evidence, line["job_id"])
        else:
            right = line["code"] == "idempotency-key-reused" and not line["same"]
        if not right:
            yield f"the key of {line['job_id']} was used again: {line['status']} {line['code']} {line['made']}"


def nobody_saw_what_is_anothers(evidence: Evidence) -> Iterator[str]:
    """No response and no live frame of a viewer has a marker, job or asset of somebody else."""
    owners_of_job, owners_of_asset = _owners(evidence)
    for (caller, found), where in evidence.sightings.items():
        owner = _owner_of(caller)
        planted = _MARKER.fullmatch(found)
        if owner is None:
            continue
        if planted:
            own = planted[1] == owner
        elif _JOB_ID.fullmatch(found):
            own = owner in owners_of_job.get(found, ())
        else:
            own = owner in owners_of_asset.get(found, ())
        if not own:
            yield f"{caller} saw {found} in {where}"


def nobody_finds_what_is_anothers(evidence: Evidence) -> Iterator[str]:
    """What is another's is not found; lists of it are empty."""
    owners_of_job, owners_of_asset = _owners(evidence)
    for line in evidence.asked("probed"):
        is_job = line["job_id"] in line["path"]
        owners = owners_of_job.get(line["job_id"], ()) if is_job else owners_of_asset.get(line["asset_id"], ())
        own = _owner_of(line["by"]) in owners
        found = (200, 404) if "?" in line["path"] else (404,)
        if line["status"] not in (*found, *_UNDECIDED) and not own:
            yield f"{line['by']} got {line['status']} for {line['path']}"


def viewers_change_nothing(evidence: Evidence) -> Iterator[str]:
    """A viewer's write is forbidden, and nothing of it is on the log."""
    for line in evidence.asked("viewer-wrote"):
        if line["status"] not in (403, *_UNDECIDED):
            yield f"{line['by']} got {line['status']} for {line['method']} {line['path']}"
    for command in _submits(evidence):
        if "asset-viewer-" in command.data["asset_id"]:
            yield f"a viewer submitted {command.data['job_id']}"


def editors_change_only_what_is_theirs(evidence: Evidence) -> Iterator[str]:
    """What is another's is not found by who would change it."""
    owners_of_job, _ = _owners(evidence)
    for line in evidence.asked("trespassed"):
        own = _owner_of(line["by"]) in owners_of_job.get(line["job_id"], ())
        if line["status"] not in (404, *_UNDECIDED) and not own:
            yield f"{line['by']} got {line['status']} for {line['method']} {line['path']}"


def commands_were_asked_for(evidence: Evidence) -> Iterator[str]:
    """Each cancel, retry, deletion and pause on the log is one that somebody asked for who may."""
    asked = {(line["what"], line.get("job_id")) for line in evidence.ledger}
    asked |= {(line["what"], line.get("asset_id")) for line in evidence.asked("delete-asset")}
    cleared = bool(evidence.asked("clear"))
    for command in evidence.of("media.commands"):
        what, about = _COMMANDS.get(command.type), command.data.get("job_id") or command.data.get("asset_id")
        if what is None or not (about is None or isinstance(about, str)):
            continue  # or it is garbage
        if (what, about) not in asked and not (what == "delete-job" and cleared):
            yield f"{command.type} of {about or command.data.get('step')} at {command.partition}/{command.offset}"


def _may_be_deleted(evidence: Evidence, job_id: str) -> bool:
    """Whether anybody asked for a deletion that might be the job's."""
    if evidence.asked("clear"):
        return True
    asset_ids = {line["asset_id"] for line in evidence.asked("delete-asset")}
    job_ids = {line["job_id"] for line in evidence.asked("delete-job")}
    return job_id in job_ids or any(
        command.data["asset_id"] in asset_ids for command in _submits(evidence) if command.data["job_id"] == job_id
    )


def _submits(evidence: Evidence) -> list[Entry]:
    return [entry for entry in evidence.of("media.commands") if entry.type == _SUBMIT and _is_whole(entry.data)]


def _is_whole(data: dict[str, Any]) -> bool:
    return isinstance(data.get("job_id"), str) and isinstance(data.get("asset_id"), str)


def _owners(evidence: Evidence) -> tuple[dict[str, set[str | None]], dict[str, set[str | None]]]:
    """Who submitted each job, and who submitted a job of each asset; also by the id that an owner chose."""
    jobs: dict[str, set[str | None]] = defaultdict(set)
    assets: dict[str, set[str | None]] = defaultdict(set)
    for entry in _submits(evidence):
        owner, asset_id = entry.data.get("owner"), entry.data["asset_id"]
        jobs[entry.data["job_id"]].add(owner)
        for name in (asset_id, asset_id.rpartition(".")[2]):
            assets[name].add(owner)
    return jobs, assets


def _owner_of(caller: str) -> str | None:
    """The owner in a caller's token, "bert-views"; None: the operator's."""
    return caller.partition("-")[0] if "-" in caller else None


def rows_of(rows: dict[str, Row], name: str) -> dict[str, Row]:
    """The rows that the reader of that name is shown: "web-1" all, "web-1 bert" those of bert."""
    owner = name.partition(" ")[2]
    return {row_id: row for row_id, row in rows.items() if not owner or row.get("owner") == owner}


OWNER_RULES = (
    submissions_are_decided_in_time,
    submitters_read_their_own_writes,
    refused_submissions_say_why,
    an_id_has_one_owner,
    keys_name_one_job,
    nobody_saw_what_is_anothers,
    nobody_finds_what_is_anothers,
    viewers_change_nothing,
    editors_change_only_what_is_theirs,
    commands_were_asked_for,
)
