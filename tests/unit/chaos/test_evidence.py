"""What counts as left behind."""

import json
from pathlib import Path

from tests.chaos.evidence import Evidence, read_disk


def test_the_note_of_a_broken_upload_may_stay_only_when_web_has_said_why(tmp_path: Path) -> None:
    notes, log = tmp_path / "data" / "web" / "web-1.uploads", tmp_path / "web-1.log"
    notes.mkdir(parents=True)
    for name in ("told", "silent"):
        (notes / f"{name}.source-1.receiving").write_text(f"{name}\nuploads/{name}/source-1\n")
    line = {"key": "uploads/told/source-1", "event": "incomplete upload cannot be removed"}
    log.write_text(f"Traceback\n{json.dumps(line)}\n")
    evidence = Evidence()
    read_disk(tmp_path, tmp_path / "store", [log, tmp_path / "none.log"], evidence)
    assert evidence.leftovers == ["data/web/web-1.uploads/silent.source-1.receiving"]
