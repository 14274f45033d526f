"""A published recording for tests of the page: its job, asset and transcript."""

import json
from pathlib import Path

from tests.integration.web.fake_kinolog import FakeKinolog, Json, iso, ready_job, step

LINES = (
    (0, 900, " And so, my fellow Americans,"),
    (900, 2_000, " ask not what your country can do for you,"),
    (2_000, 3_000, " ask what you can do for your country."),
)
_MODEL = {"backend": "local:tiny.en", "name": "tiny.en", "library": "faster-whisper 1.2.1"}


def publish(kinolog: FakeKinolog, number: int = 1, filename: str = "speech.mp4") -> Json:
    """Put a completed job and its asset into the fake server, with a transcript; returns the asset."""
    root = f"assets/asset_{number:06}"
    words = {name: f"{root}/transcribe/1-a/{name}" for name in ("transcript.json", "captions.vtt", "captions.srt")}
    transcribed = {"transcript": words["transcript.json"], "vtt": words["captions.vtt"], "srt": words["captions.srt"]}
    row = ready_job(number, filename=filename)
    row["steps"].append(step("transcribe", "completed", 100, outputs=transcribed))
    outputs = {one["name"]: one["outputs"] for one in row["steps"] if "outputs" in one}
    outputs["transcode"] = {**outputs["transcode"], "duration_s": 3.0, "renditions": [_rendition(360), _rendition(720)]}
    asset = {
        "id": f"asset_{number:06}",
        "status": "READY",
        "filename": filename,
        "created_at": row["created_at"],
        "updated_at": iso(0),
        "jobs": [{"id": row["id"], "status": "completed", "pipeline": "standard", "created_at": row["created_at"]}],
        "outputs": outputs,
        "warnings": [],
        "master_url": "http://kinolog/master.m3u8",
        "poster_url": None,
    }
    kinolog.jobs[row["id"]], kinolog.assets[asset["id"]] = row, asset
    kinolog.captioned.add(asset["id"])
    _write_transcript(kinolog.media)
    return asset


def _rendition(height_px: int) -> Json:
    sizes = {"width_px": height_px * 16 // 9, "height_px": height_px, "fps": 25.0}
    rates = {"peak_bps": height_px * 5_000, "average_bps": height_px * 3_000}
    return {"name": f"{height_px}p", "playlist": "x", "codecs": "avc1.64001f,mp4a.40.2", "segments": 3} | sizes | rates


def _write_transcript(folder: Path) -> None:
    segments = [{"id": n, "start_ms": at, "end_ms": end, "text": text} for n, (at, end, text) in enumerate(LINES)]
    found = {"language": "en", "language_confidence": 0.97, "duration_ms": 3_000, "model": _MODEL, "segments": segments}
    (folder / "captions.srt").write_text("1\n00:00:00,200 --> 00:00:02,500\nAsk not\n")
    (folder / "transcript.json").write_text(json.dumps(found))
