"""Submissions: validates REST requests and upload events, and builds the command that creates a job."""

import hashlib
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import msgspec
from msgspec.structs import replace

from processors.errors import InvalidUrl
from processors.fetch.address_filter import checked_url
from processors.storage.keys import InvalidKey, checked_key
from schemas.commands import SubmitJob
from schemas.jobs import PRIORITIES, Input, StepSpec
from schemas.steps import step_kinds
from schemas.uploads import UploadCompleted
from streams.ids import ID_PATTERN
from tables.pipelines import Pipelines

#: Longest passthrough text, characters.
MAX_PASSTHROUGH = 4096
#: Longest name of an owner, characters.
MAX_OWNER = 255
#: Longest path. Source: PATH_MAX of Linux.
_MAX_PATH_BYTES = 4096
#: Longest part of an invalid value that an error quotes, characters.
_QUOTED = 80
#: Hex digits of an event's digest.
_DIGEST_CHARS = 40
#: Longest file name that is kept, characters.
MAX_FILENAME = 255

#: How far ahead a job may be scheduled, seconds.
MAX_AHEAD_S = 366 * 86_400
#: How far past the time may be, seconds: clocks differ, and requests are repeated. The job starts at once.
MAX_LATE_S = 300.0

#: First step of a job whose input is a URL. Only video and audio can be processed.
_DOWNLOAD = StepSpec(name="download", params={"families": ["video", "audio"]}, weight=10)


class Refused(Exception):
    """A submission is invalid. `code` is stable; the text is for the client."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def submission(
    upload: UploadCompleted,
    *,
    job_id: str,
    asset_id: str,
    pipelines: Pipelines,
    default_pipeline: str,
    input_roots: Sequence[str],
    now: float,
    body_hash: str | None = None,
) -> SubmitJob:
    """The command for `upload`. Raises Refused: unknown-pipeline, invalid-input, -id, -passthrough, -priority, -run-at,
    -owner.

    The command always fits into a record.
    """
    pipeline = upload.pipeline or default_pipeline
    if pipeline not in pipelines:
        known = ", ".join(pipelines)
        raise Refused("unknown-pipeline", f"unknown pipeline {pipeline[:_QUOTED]!r}; known pipelines: {known}")
    if not ID_PATTERN.fullmatch(asset_id):
        raise Refused(
            "invalid-id", "an asset id has 1-100 letters, digits, '_', '.' or '-', and starts with a letter or digit"
        )
    if upload.passthrough is not None and len(upload.passthrough) > MAX_PASSTHROUGH:
        raise Refused("invalid-passthrough", f"passthrough is longer than {MAX_PASSTHROUGH} characters")
    if upload.owner is not None and len(upload.owner) > MAX_OWNER:
        raise Refused("invalid-owner", f"owner is longer than {MAX_OWNER} characters")
    if upload.priority not in PRIORITIES:
        raise Refused(
            "invalid-priority", f"priority is {upload.priority[:_QUOTED]!r}, but must be one of {', '.join(PRIORITIES)}"
        )
    return SubmitJob(
        job_id=job_id,
        asset_id=asset_id,
        pipeline=pipeline,
        steps=with_download(pipelines[pipeline]) if upload.input.url is not None else pipelines[pipeline],
        input=checked_input(upload.input, input_roots),
        submitted_at=now,
        priority=upload.priority,
        owner=upload.owner,
        filename=upload.filename[:MAX_FILENAME] if upload.filename else None,
        passthrough=upload.passthrough,
        run_at=checked_run_at(upload.run_at, now),
        body_hash=body_hash,
    )


def checked_run_at(text: str | None, now: float) -> float | None:
    """The time at which a job is to start, seconds since the epoch; None: at once. Raises Refused: invalid-run-at."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        at = moment.timestamp() if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        at = None
    if at is None:
        example = "an ISO 8601 time with a zone, e.g. 2026-01-31T12:00:00Z"
        raise Refused("invalid-run-at", f"run_at is {text[:_QUOTED]!r}, but must be {example}")
    if at > now + MAX_AHEAD_S:
        raise Refused("invalid-run-at", f"run_at is more than {MAX_AHEAD_S // 86_400} days ahead")
    if at < now - MAX_LATE_S:
        raise Refused("invalid-run-at", f"run_at is {text[:_QUOTED]!r}, which is in the past")
    return at if at > now else None


def event_hash(upload: UploadCompleted, position: str) -> str:
    """The `body_hash` of an upload event's job: digest of the event, and the position of its record."""
    return f"{hashlib.sha256(msgspec.json.encode(upload)).hexdigest()[:_DIGEST_CHARS]}@{position}"


def reused_event_id(first: str | None, second: str | None) -> str | None:
    """Why two upload events with one id are not the same event; None if they are, or are no upload events."""
    (digest, at, position), (other, _, other_position) = (first or "").partition("@"), (second or "").partition("@")
    if not at or not other_position or digest == other:
        return None
    return f"the event at {other_position} has the id of another event of its source, at {position}"


def checked_input(given: Input, input_roots: Sequence[str]) -> Input:
    """`given`, if it names exactly one source that kinolog may read. Raises Refused (invalid-input)."""
    if sum(source is not None for source in (given.object, given.url, given.path)) != 1:
        raise Refused("invalid-input", "exactly one of input.object, input.url and input.path is required")
    if given.url is not None:
        return Input(url=_checked_url(given.url))
    if given.object is not None:
        return Input(object=_checked_key(given.object))
    return Input(path=_checked_path(given.path or "", input_roots))


def with_download(steps: tuple[StepSpec, ...]) -> tuple[StepSpec, ...]:
    """`steps` with a download first, unless they have one already or none of them reads files."""
    reads = any(step_kinds()[spec.name].files for spec in steps)
    if not reads or any(spec.name == _DOWNLOAD.name for spec in steps):
        return steps
    later = (replace(spec, after=(_DOWNLOAD.name,)) if not spec.after else spec for spec in steps)
    return (_DOWNLOAD, *later)


def _checked_url(url: str) -> str:
    try:
        return str(checked_url(url))
    except InvalidUrl as error:
        raise Refused("invalid-input", f"input.url: {error}") from error


def _checked_key(key: str) -> str:
    try:
        return checked_key(key)
    except InvalidKey as error:
        rule = "a relative key without backslashes, empty parts, or parts that start with '.'"
        raise Refused("invalid-input", f"input.object must be {rule}: {error}") from error


def _checked_path(path: str, input_roots: Sequence[str]) -> str:
    if "\x00" in path or len(path.encode()) > _MAX_PATH_BYTES:
        raise Refused("invalid-input", f"input.path contains a zero byte or has more than {_MAX_PATH_BYTES} bytes")
    try:
        resolved = Path(path).resolve()
    except RuntimeError as error:
        raise Refused("invalid-input", "input.path contains a loop of symbolic links") from error
    if not any(resolved.is_relative_to(Path(root).resolve()) for root in input_roots):
        raise Refused("invalid-input", "input.path is not below a folder of KINOLOG_STORE__INPUT_ROOTS")
    return str(resolved)
