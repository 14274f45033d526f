"""The demo's texts, its clip, and which service it uses."""

from pathlib import Path
from typing import Any

import pytest

from streams.cli import demo
from streams.cli.demo_clip import CLIP_S, SCENES, clip_args, narration_args
from streams.settings import Settings
from streams.supervisor import run_dir
from tests.unit.streams.cli.test_views import job, step

HIT: dict[str, Any] = {"query": "morning", "start_ms": 0, "end_ms": 3000, "text": "Good morning.", "job_id": "job_1"}


def test_the_clip_has_every_scene_for_as_long_as_the_others_and_the_narration(tmp_path: Path) -> None:
    args = clip_args(tmp_path / "voice.wav", tmp_path / "clip.mp4")
    assert args.count("lavfi") == len(SCENES) and args.count(str(CLIP_S / len(SCENES))) == len(SCENES)
    assert str(tmp_path / "voice.wav") in args and args[-1] == str(tmp_path / "clip.mp4")
    assert narration_args(tmp_path / "voice.wav")[:5] == ["espeak-ng", "-v", "en-us", "-s", "130"]


def test_the_demo_uses_a_running_up_over_the_same_data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KINOLOG_DATA_DIR", str(tmp_path))
    assert demo.running_settings() is None
    with run_dir.only_one(Settings(data_dir=str(tmp_path))):
        found = demo.running_settings()
    assert found is not None and found.data_path == tmp_path


def test_the_demo_uses_a_running_up_over_the_default_data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with run_dir.only_one(Settings()):
        found = demo.running_settings()
    assert found is not None and found.data_path == Settings().data_path


def test_the_demo_ends_with_what_was_spoken_and_where_a_word_of_it_is() -> None:
    lines = demo.spoken_lines(job(), "Good morning.", HIT | {"filename": "clip.mp4"})
    assert lines == ["  spoken: Good morning.", '  search "morning": 0:00:00-0:00:03  clip.mp4  job_1']


def test_without_a_transcript_the_demo_says_why() -> None:
    skipped = job(step("transcribe", "skipped", reason="not-installed"))
    assert demo.spoken_lines(skipped, None, None) == ["  no transcript: the step transcribe is skipped (not-installed)"]
    assert demo.spoken_lines(job(), None, None) == ["  no transcript: the step transcribe is not part of the job"]


def test_the_longest_word_is_searched_for() -> None:
    assert demo.longest_word("A short film, made by a computer.") == "computer"
    assert demo.longest_word("To be or not.") is None


def test_results_are_files_of_a_local_store_and_urls_of_a_bucket() -> None:
    outputs = {"master": "assets/asset_1/transcode/1-x/master.m3u8"}
    done = job(step("transcode", "completed", outputs=outputs))
    stored, play = demo.result_lines(Settings(data_dir="/d"), done, "http://k/media/s/1.x/asset_1/master.m3u8")
    assert "/d/store/assets/asset_1/transcode/1-x/master.m3u8" in stored
    assert play.endswith("http://k/media/s/1.x/asset_1/master.m3u8")
    assert demo.result_lines(Settings(data_dir="/d"), job(), None) == []
    assert demo.stored_at("s3://bucket/media/", "a/b") == "s3://bucket/media/a/b"
