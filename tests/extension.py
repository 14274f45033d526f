"""The step of docs/extend.md, built word by word in a copy of the checkout."""

import re
import shutil
from pathlib import Path

from tests.documents import CHECKOUT, blocks

DOCUMENT = "docs/extend.md"
STEP = "waveform"
_PARTS = ("agents", "processors", "schemas", "streams", "tables", "web", "deploy", "pyproject.toml")
_FILE = re.compile(r"[\w/]+\.(py|yaml)")


def extended_checkout(folder: Path) -> Path:
    """A copy of the program below `folder`, with every file that the document adds."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in _PARTS:
        copy = shutil.copytree if (CHECKOUT / part).is_dir() else shutil.copyfile
        copy(CHECKOUT / part, folder / part)
    for block in blocks(DOCUMENT):
        if _FILE.fullmatch(block.heading):
            path = folder / block.heading
            assert not path.exists(), f"{block.heading} exists already: the document needs another name"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
    return folder
