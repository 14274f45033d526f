"""The journal keeps an entry for every upload that has started, and no others."""

from pathlib import Path

import pytest

from web.upload_staging.journal import Journal


async def test_a_full_disk_leaves_no_entry_of_an_upload_that_did_not_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path)

    def full(path: Path, _text: str) -> None:
        path.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space"):
        await journal.begin("asset_1", "uploads/asset_1/source")
    assert list(tmp_path.iterdir()) == []
