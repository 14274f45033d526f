"""The list of bugs to plant: data in tests/planted/lists, one file for each package."""

import tomllib
from pathlib import Path

import msgspec

_LIST = Path(__file__).parent / "lists"


class Bug(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A small mistake: one text of one file, and what it is replaced with."""

    name: str
    #: What a user loses by it.
    effect: str
    #: Path in the checkout.
    file: str
    #: Text that occurs exactly once in the file.
    old: str
    new: str
    #: Test files, folders or single tests ("file::test") that should notice, the likeliest first.
    tests: tuple[str, ...]
    #: A report of the same mistake in another project, "owner/name#number".
    report: str = ""


class Moved(Exception):
    """The text that a bug replaces does not occur exactly once: the list needs an update."""


def load(folder: Path = _LIST) -> list[Bug]:
    """All bugs, in the order of packages. Raises msgspec.ValidationError for an entry of another shape."""
    lists = [tomllib.loads(path.read_text()) for path in sorted(folder.glob("*.toml"))]
    return [msgspec.convert(entry, Bug) for parsed in lists for entry in parsed["bug"]]


def with_bug(text: str, bug: Bug) -> str:
    """The content of the file with the bug in it. Raises Moved; SyntaxError for what is a typing error and no bug."""
    found = text.count(bug.old)
    if found != 1:
        raise Moved(f"{bug.name}: its text occurs {found} times in {bug.file}")
    changed = text.replace(bug.old, bug.new)
    compile(changed, bug.file, "exec")
    return changed
