"""Chapters and subtitles of a file are listed, whatever is in them."""

from processors.media.chapters import chapters
from processors.media.tracks import subtitle_tracks
from schemas.base import Json
from schemas.probe import Chapter, SubtitleTrack


def test_chapters_are_counted_from_the_start_of_the_file() -> None:
    listed: list[Json] = [
        {"start_time": "10.5", "end_time": "12.0", "tags": {"title": "Part\x00 1"}},
        {"start_time": "12.0"},
    ]
    assert chapters(listed, 10.0) == (
        Chapter(start_s=0.5, end_s=2.0, title="Part 1"),
        Chapter(start_s=2.0, end_s=2.0),
    )


def test_a_file_of_a_million_chapters_makes_no_endless_outputs() -> None:
    listed = [{"start_time": "0", "end_time": "1", "tags": {"title": "x" * 5000}}] * 1000
    found = chapters(listed, 0.0)
    assert len(found) == 200
    assert len(found[0].title or "") == 200


def test_subtitles_are_listed_in_any_codec() -> None:
    tracks = [
        {"index": 0, "codec_type": "video", "codec_name": "h264"},
        {"index": 2, "codec_type": "subtitle", "codec_name": "ass", "tags": {"language": "eng"}},
        {"index": 3, "codec_type": "subtitle", "tags": {"language": "<b>"}, "disposition": {"default": 1}},
    ]
    assert subtitle_tracks(tracks) == (
        SubtitleTrack(index=2, codec="ass", language="eng"),
        SubtitleTrack(index=3, codec="unknown", default=True),
    )
