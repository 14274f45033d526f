"""The page's pure parts, tested where they run: by node."""

import subprocess
from pathlib import Path

import pytest

_FOLDER = Path(__file__).parent


@pytest.mark.parametrize("name", sorted(path.name for path in _FOLDER.glob("*.test.mjs")))
def test_page_module(name: str) -> None:
    command = ["node", "--test", str(_FOLDER / name)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
