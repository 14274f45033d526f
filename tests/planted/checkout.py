"""A copy of the checkout in which bugs are planted, one at a time. The working tree is only read."""

import contextlib
import importlib.util
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.planted.bugs import Bug, with_bug

#: Ignored by git, but needed by tests: installed packages and the page's player.
_LINKED = (".venv", "web/static/vendor")


class Checkout:
    """A copy in `root`, an empty folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def fill(self, source: Path) -> None:
        """Copy every file that git would commit."""
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=source,
            capture_output=True,
            check=True,
        )
        for name in filter(None, listed.stdout.decode().split("\0")):
            if (source / name).is_file():  # one that is deleted and not committed is still listed
                (self.root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source / name, self.root / name)
        for name in _LINKED:
            (self.root / name).symlink_to(source / name)

    @contextlib.contextmanager
    def planted(self, bug: Bug) -> Iterator[None]:
        """The copy with the bug in it. Raises Moved, SyntaxError."""
        path = self.root / bug.file
        whole = path.read_text()
        changed = with_bug(whole, bug)
        try:
            _write(path, changed)
            yield
        finally:
            _write(path, whole)


def _write(path: Path, text: str) -> None:
    """Also removes the file's bytecode: that counts as current within the same second for a file of the same size."""
    path.write_text(text)
    Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)
