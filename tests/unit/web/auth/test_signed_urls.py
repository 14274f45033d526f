"""Signed URLs: valid for one asset, for a limited time, and never when forged."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from web.auth.signed_urls import Signer, signing_key

SIGNER = Signer(b"k" * 32)


def grant(asset_id: str, expires: int) -> str:
    return SIGNER.prefix(asset_id, expires).removeprefix("/media/s/")


def test_an_address_works_until_it_expires() -> None:
    assert SIGNER.allows(grant("asset_1", 1000), "asset_1", 999.9)
    assert not SIGNER.allows(grant("asset_1", 1000), "asset_1", 1000.0)


def test_an_address_is_good_for_its_own_asset_only() -> None:
    assert not SIGNER.allows(grant("asset_1", 1000), "asset_2", 1.0)


@pytest.mark.parametrize("forged", ["", ".", "1000.", "1000.AAAA", "9999999999999.x", "-1.x", "\u0661\u0660.x", "1000"])
def test_a_made_up_address_is_refused(forged: str) -> None:
    assert not SIGNER.allows(forged, "asset_1", 1.0)


def test_a_longer_life_cannot_be_written_into_an_address() -> None:
    _, _, signature = grant("asset_1", 1000).partition(".")
    assert not SIGNER.allows(f"2000.{signature}", "asset_1", 1500.0)


def test_replicas_on_one_machine_agree_on_a_key_that_only_we_can_read(tmp_path: Path) -> None:
    path = tmp_path / "web" / "signing.key"
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: signing_key(None, path), range(16)))
    assert len(keys) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["signing.key"]


def test_a_configured_secret_is_the_same_on_every_machine(tmp_path: Path) -> None:
    assert signing_key("secret", tmp_path / "a") == signing_key("secret", tmp_path / "b")
    assert not list(tmp_path.iterdir())
