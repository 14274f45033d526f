"""Folders that the settings grant to an owner, and to no other."""

import json
from pathlib import Path

import pytest

from streams.settings import SettingsError, load
from streams.settings.media import Store
from web.api.source_access import is_key_open, is_path_open

STORE = Store(
    owner_prefixes={"*": ("media/{owner}", "shared/"), "anna": ("attachments", "/srv/anna"), "": ("nobodys",)}
)


@pytest.mark.parametrize(
    "owner, key, is_open",
    [
        ("anna", "media/anna/a.mp4", True),
        ("anna", "media/anna", True),
        ("anna", "media/annabel/a.mp4", False),
        ("ann", "media/anna/a.mp4", False),
        ("anna", "Media/anna/a.mp4", False),
        ("bert", "media/anna/a.mp4", False),
        ("bert", "shared/a.mp4", True),
        ("bert", "sharedX", False),
        ("anna", "attachments/4711", True),
        ("bert", "attachments/4711", False),
        ("anna", "srv/anna/a.mp4", False),
        (None, "shared/a.mp4", True),
        (None, "media//a.mp4", False),
    ],
)
def test_an_owner_reads_the_folders_that_are_opened_to_it(owner: str | None, key: str, is_open: bool) -> None:
    assert is_key_open(STORE, owner, key) is is_open


@pytest.mark.parametrize("owner", ["anna/secret", "..", ".", "", "{owner}/..", "a\\b", "a\0"])
def test_an_owners_name_cannot_lead_out_of_its_own_folder(owner: str) -> None:
    assert not is_key_open(STORE, owner, f"media/{owner}/a.mp4")
    assert not is_key_open(STORE, owner, "media/anna/a.mp4")


def test_without_a_setting_nothing_is_open() -> None:
    assert not is_key_open(Store(), "anna", "attachments/4711")
    assert not is_path_open(Store(), "anna", Path("/srv/anna/a.mp4"))


def test_a_path_is_open_below_the_folders_of_its_owner() -> None:
    assert is_path_open(STORE, "anna", Path("/srv/anna/a.mp4"))
    assert not is_path_open(STORE, "anna", Path("/srv/annabel/a.mp4"))
    assert not is_path_open(STORE, "bert", Path("/srv/anna/a.mp4"))


@pytest.mark.parametrize("prefix", ["assets", "uploads/x", "DIRECT/y", "", "a//b", "../x", ".hidden", "a\\b"])
def test_a_prefix_that_would_open_other_owners_files_or_nothing_is_refused_by_name(prefix: str) -> None:
    value = json.dumps({"anna": [prefix]})
    with pytest.raises(SettingsError, match="KINOLOG_STORE__OWNER_PREFIXES"):
        load({"KINOLOG_STORE__OWNER_PREFIXES": value})
