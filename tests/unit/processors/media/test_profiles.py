"""Recipes are checked when they are read."""

from pathlib import Path

import pytest

from processors.media.profiles import ProfileError, load_profiles

_OURS = Path(__file__).parents[4] / "deploy" / "profiles"


def test_the_profile_that_comes_with_kinolog() -> None:
    profile = load_profiles(_OURS)["hls"]
    assert [rung.height_px for rung in profile.ladder] == [1080, 720, 480, 360]
    assert profile.segment_s % profile.gop_s == profile.short_segment_s % profile.gop_s == 0


def test_a_wrong_field_is_named_with_its_file(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text((_OURS / "hls.yaml").read_text().replace("gop_s", "gop"))
    with pytest.raises(ProfileError, match=r"mine\.yaml.*gop"):
        load_profiles(tmp_path)


def test_broken_yaml_is_named(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("name: [")
    with pytest.raises(ProfileError, match=r"mine\.yaml"):
        load_profiles(tmp_path)


def test_a_folder_without_profiles_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match="no profile"):
        load_profiles(tmp_path)
