"""Frames on the wire are what a websocket client reads, at every length."""

import json

import pytest

from schemas.step_events import StepCaptioned
from schemas.transcribe import Caption
from tests.unit.web.rows import a_job
from web.live.ws_frames import caption_frame


@pytest.mark.parametrize("chars", [0, 1, 60, 125, 1_000, 65_400, 65_535, 70_000])
def test_a_frame_has_the_header_of_its_length(chars: int) -> None:
    caption = Caption(id=7, start_ms=0, end_ms=1, text="x" * chars, language=None)
    names = {"job_id": "job_000001", "asset_id": "asset_000001", "step": "transcribe"}
    frame = caption_frame(a_job(1), StepCaptioned(run=1, attempt=1, lease_id="lease", caption=caption, **names))
    assert json.loads(frame.text)["text"] == "x" * chars
    assert frame.wire[0] == 0x81, "one final text frame"
    length, extended = frame.wire[1], {126: 2, 127: 8}.get(frame.wire[1], 0)
    assert (int.from_bytes(frame.wire[2 : 2 + extended], "big") if extended else length) == len(frame.text)
    assert len(frame.wire) == 2 + extended + len(frame.text)
