"""What the pictures of the page show: a service of a small film school on a busy afternoon."""

import subprocess
import time
from pathlib import Path
from typing import Any

from tests.integration.web.fake_kinolog import FakeKinolog, Json, iso, job, ready_job, step
from tests.integration.web.page.recordings import publish
from tests.integration.web.page.test_asset import hit
from tests.integration.web.page.test_job import event
from tests.integration.web.page.test_navigation import executor
from tests.integration.web.page.test_views import queue

CRASH: Json = {"code": "tool-failed", "message": "ffmpeg ended with signal 11 at 0:14:32.", "retriable": True}
TEXT: Json = {"code": "unsupported-media", "message": "'minutes.mp4' is a text file, not media.", "retriable": False}
#: The job whose attempts are shown, and the recording.
RETRIED, RECORDING = "job_000005", "asset_000002"


def fill(kinolog: FakeKinolog) -> None:
    """Puts something into every view, and nothing else."""
    kinolog.jobs.clear()
    publish(kinolog, 2, "keynote.mp4")
    publish(kinolog, 6, "speech-1961.mp4")
    kinolog.jobs |= {row["id"]: row for row in _jobs()}
    kinolog.events[RETRIED] = _events()
    kinolog.found = {
        "data": [
            hit(2, "keynote.mp4", ["words", "meaning"]),
            hit(6, "speech-1961.mp4", ["words"], 900),
            hit(7, "interview.mp4", ["meaning"], 61_000),
        ],
        "mode": "hybrid",
    }
    kinolog.executors = [_executor("default-0", "active"), _executor("gpu-0", "silent")]
    kinolog.known |= _lists()


def draw(folder: Path) -> None:
    """A poster, and the pictures of the storyboard, in the place of those of the tests."""
    for size, into in (("640x360", ["poster.jpg"]), ("160x90", ["-vf", "tile=2x1", "sprite-001.jpg"])):
        source = ["-f", "lavfi", "-i", f"mandelbrot=size={size}:start_scale=0.2:maxiter=300:rate=1"]
        command = ["ffmpeg", "-nostdin", "-y", "-v", "error", *source, *into[:-1], "-frames:v", "1", into[-1]]
        subprocess.run(command, cwd=folder, check=True, timeout=60)


def _at(seconds_ago: float) -> str:
    return iso(time.time() - seconds_ago)


def _jobs() -> list[Json]:
    done = {"started_at": _at(48), "finished_at": _at(44)}
    active = [
        step("probe", "completed", 100, **done),
        step("transcode", "active", 62, eta_s=30.0),
        step("thumbnails", "completed", 100, **done),
        step("audio", "completed", 100, **done),
        step("transcribe", "active", 35),
        *(step(name) for name in ("captions", "embed")),
    ]
    times = {"created_at": _at(48), "started_at": _at(48)}
    retried = [
        step("probe", "completed", 100, started_at=_at(259), finished_at=_at(257)),
        step("transcode", "active", 41, attempt=3, eta_s=70.0),
        step("thumbnails", "completed", 100, started_at=_at(255), finished_at=_at(240)),
    ]
    waiting = [step("probe", "completed", 100, **done), step("transcode", paused=True, queue_position=2)]
    failed = {"filename": "minutes.mp4", "error": TEXT, "created_at": _at(700), "owner": "anna"}
    return [
        job(8, filename="rehearsal.mp4", created_at=_at(20), owner="anna"),
        job(7, "active", active, filename="interview.mp4", progress=54.0, owner="bert", **times),
        job(5, "active", retried, filename="feature.mov", progress=47.0, created_at=_at(260), started_at=_at(259)),
        job(4, "active", waiting, filename="trailer.mkv", progress=3.0, created_at=_at(300), started_at=_at(299)),
        ready_job(3, filename="lecture-12.webm", created_at=_at(500), owner="anna"),
        job(1, "failed", [step("probe", "failed", error=TEXT)], **failed),
    ]


def _events() -> list[Json]:
    def tried(number: int, seconds_ago: float, took_s: float) -> list[Json]:
        about = {"step": "transcode", "attempt": number}
        ended = {"elapsed_s": took_s, "error": CRASH, "retry_at": _at(seconds_ago - took_s - 10)}
        return [
            event(seconds_ago, "step.started", **about),
            event(seconds_ago - took_s, "step.retried", **about, **ended),
        ]

    found = [
        event(260, "job.submitted"),
        event(259, "step.started", step="probe", attempt=1),
        event(257, "step.completed", step="probe", attempt=1, elapsed_s=2),
        *tried(1, 256, 70),
        event(255, "step.started", step="thumbnails", attempt=1),
        event(240, "step.completed", step="thumbnails", attempt=1, elapsed_s=15),
        *tried(2, 176, 66),
        event(90, "step.started", step="transcode", attempt=3),
    ]
    return sorted(found, key=lambda one: str(one["time"]))


def _executor(name: str, status: str) -> Json:
    lane = name.partition("-")[0]
    runs = [("job_000007", "transcode", 1), ("job_000005", "transcode", 3), ("job_000007", "transcribe", 1)]
    attempts = [{"job_id": job_id, "step": of, "attempt": number} for job_id, of, number in runs]
    if status == "silent":
        return executor(name, status, lane=lane, reported_at=_at(23), slots={"embed": 1}, active={}, attempts=[])
    slots = {"probe": 4, "transcode": 2, "thumbnails": 2, "transcribe": 1}
    active = {"transcode": 2, "transcribe": 1}
    return executor(name, status, lane=lane, reported_at=_at(1), slots=slots, active=active, attempts=attempts)


def _lists() -> dict[str, Any]:
    disk = {"keeps": ["log", "media", "uploads"], "size_bytes": 2 * 10**12, "free_bytes": 7 * 10**11}
    return {
        "/v1/stats/system": {
            "control": {"behind_records": 0, "behind_s": 0.0, "troubles": []},
            "disks": [disk | {"reserve_bytes": 2**30, "below_reserve": False}],
        },
        "/v1/queues": _queues(),
        "/v1/stats/steps": [
            _hour("probe", 9, 0.3, 0.9),
            _hour("transcode", 4, 41.0, 96.0),
            _hour("embed", 3, 0.6, 1.4),
        ],
        "/v1/jobs/failures": [
            {"code": "unsupported-media", "jobs": 1, "message": TEXT["message"], "job_id": "job_000001"},
        ],
        "/v1/tokens": [_token(1, "editor", "anna", "laptop"), _token(2, "viewer", None, "wall display")],
        "/v1/audit": [_entry(120, "POST /v1/queues/transcode/pause", "transcode"), _refused(900)],
        "/v1/dead-letters": [_letter(60, "media.uploads", 7), _letter(4000, "media.commands", 1204)],
        "/v1/cache-assets": [_cached(1, "CACHED", 73_400_320), _cached(2, "DOWNLOADING", 1_048_576)],
    }


def _queues() -> list[Json]:
    return [
        queue("probe", completed=412, failed=1, slots=4),
        queue("transcode", queued=2, active=2, paused=True, paused_at=_at(130)),
        queue("thumbnails", completed=398),
        queue("transcribe", active=1, completed=377, slots=1),
        queue("embed", queued=3, executors=0, slots=0, reason="no_executor"),
    ]


def _hour(name: str, each: int, p50_s: float, p95_s: float) -> Json:
    completed = [(each * (7 + minute * minute)) % (3 * each + 1) for minute in range(60)]
    failed = [0] * 55 + [1, 0, 0, 1, 0]
    quantiles = {"p50_s": [None] * 60, "p95_s": [None] * 60, "hour_p50_s": p50_s, "hour_p95_s": p95_s}
    return {"name": name, "completed": completed, "failed": failed} | quantiles


def _token(number: int, role: str, owner: str | None, label: str) -> Json:
    times = {"created_at": _at(number * 86_400), "expires_at": _at(-number * 864_000), "revoked_at": None}
    return {"id": f"tok_{number}", "role": role, "owner": owner, "label": label, "good": True} | times


def _entry(seconds_ago: float, action: str, subject: str, **more: object) -> Json:
    who = {"owner": None, "role": "admin", "token_id": "operator", "remote": "10.0.0.12"}
    return (
        {"time": _at(seconds_ago), "action": action, "subject": subject, "result": "done", "status": 202} | who | more
    )


def _refused(seconds_ago: float) -> Json:
    who = {"owner": "anna", "role": "viewer", "token_id": "tok_1"}
    return _entry(seconds_ago, "POST /v1/jobs/retry", "all", result="refused", status=403, code="forbidden", **who)


def _letter(seconds_ago: float, topic: str, offset: int) -> Json:
    found = {"topic": topic, "partition": 0, "offset": offset, "found_by": "control", "key": "talk-1"}
    what = {"code": "invalid-message", "message": "Expected `object`, got `array` - at `$.input`", "preview": "[]"}
    return {"time": _at(seconds_ago)} | found | what


def _cached(number: int, status: str, size_bytes: int) -> Json:
    source = {"original": f"https://films.example.com/archive/reel-{number:03}.mp4", "content_type": "video/mp4"}
    used = {"created_at": _at(number * 4000), "size_bytes": size_bytes, "job_id": "job_000003"}
    return {"id": f"asset_c{number}", "status": status, "owner": "anna"} | source | used
