"""Signed URLs: valid for one asset, for a limited time, and never when forged."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from streams.settings import SettingsError
from web.auth.signed_urls import Signer, signing_keys

KEYS = (b"k" * 32,)


def signer(keys: tuple[bytes, ...] = KEYS, now: float = 1.0) -> Signer:
    return Signer(lambda _: keys, lambda: now)


def grant(asset_id: str, expires: int) -> str:
    return signer().prefix(asset_id, expires).removeprefix("/media/s/")


def test_an_address_works_until_it_expires() -> None:
    assert signer(now=999.9).allows(grant("asset_1", 1000), "asset_1")
    assert not signer(now=1000.0).allows(grant("asset_1", 1000), "asset_1")


def test_an_address_is_good_for_its_own_asset_only() -> None:
    assert not signer(now=1.0).allows(grant("asset_1", 1000), "asset_2")


@pytest.mark.parametrize("forged", ["", ".", "1000.", "1000.AAAA", "9999999999999.x", "-1.x", "\u0661\u0660.x", "1000"])
def test_a_made_up_address_is_refused(forged: str) -> None:
    assert not signer(now=1.0).allows(forged, "asset_1")


def test_a_longer_life_cannot_be_written_into_an_address() -> None:
    _, _, signature = grant("asset_1", 1000).partition(".")
    assert not signer(now=1500.0).allows(f"2000.{signature}", "asset_1")


def test_replicas_on_one_machine_agree_on_a_key_that_only_we_can_read(tmp_path: Path) -> None:
    path = tmp_path / "web" / "signing.key"
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: signing_keys(None, (), path), range(16)))
    assert len(keys) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["signing.key"]


def test_a_configured_secret_is_the_same_on_every_machine(tmp_path: Path) -> None:
    assert signing_keys("secret", (), tmp_path / "a") == signing_keys("secret", (), tmp_path / "b")
    assert not list(tmp_path.iterdir())


def test_a_rotation_keeps_addresses_until_the_old_key_is_revoked(tmp_path: Path) -> None:
    old = signer(signing_keys("old", (), tmp_path / "a"))
    before = old.prefix("asset_1", 1000).removeprefix("/media/s/")
    rotating = signer(signing_keys("new", ("old",), tmp_path / "a"))
    after = rotating.prefix("asset_1", 1000).removeprefix("/media/s/")
    assert rotating.allows(before, "asset_1") and rotating.allows(after, "asset_1")
    revoked = signer(signing_keys("new", (), tmp_path / "a"))
    assert revoked.allows(after, "asset_1")
    assert not revoked.allows(before, "asset_1") and not old.allows(after, "asset_1")


def test_a_file_of_keys_is_rotated_by_a_line_in_front(tmp_path: Path) -> None:
    path = tmp_path / "signing.key"
    [key] = signing_keys(None, (), path)
    path.write_text(f"{'ab' * 32}\n{key.hex()}\n")
    assert signing_keys(None, (), path) == (b"\xab" * 32, key)


@pytest.mark.parametrize("text", ["", "\n", "no hex", "ab"])
def test_a_file_without_a_key_is_not_taken_for_one(tmp_path: Path, text: str) -> None:
    (tmp_path / "signing.key").write_text(text)
    with pytest.raises(SettingsError):
        signing_keys(None, (), tmp_path / "signing.key")
