"""The list of bugs fits the code: one whose text has moved cannot be planted."""

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.documents import CHECKOUT
from tests.planted.bugs import Bug, Moved, load, with_bug
from tests.planted.checkout import Checkout

BUGS = load()
ROOMS = {"agents", "processors", "streams", "tables", "web"}
BUG = Bug(name="b", effect="e", file="shop.py", old="total + 1", new="total", tests=())


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_bug_can_be_planted(bug: Bug) -> None:
    text = (CHECKOUT / bug.file).read_text()
    assert with_bug(text, bug) != text
    assert bug.tests and all((CHECKOUT / test.partition("::")[0]).exists() for test in bug.tests)


def test_there_are_enough_bugs_in_every_package() -> None:
    counts = Counter(bug.file.partition("/")[0] for bug in BUGS)
    assert len(BUGS) >= 50
    assert counts.keys() == ROOMS and min(counts.values()) >= 10
    assert len({bug.name for bug in BUGS}) == len(BUGS)
    assert all(re.fullmatch(r"[\w.-]+/[\w.-]+#[0-9]+", bug.report) for bug in BUGS if bug.report)
    assert len({bug.report for bug in BUGS if bug.report}) >= 10


@pytest.mark.parametrize("text", ["", "total = 1", "total + 1\ntotal + 1"])
def test_a_bug_whose_text_is_not_there_exactly_once_has_moved(text: str) -> None:
    with pytest.raises(Moved):
        with_bug(text, BUG)


def test_a_typing_error_is_no_bug() -> None:
    with pytest.raises(SyntaxError):
        with_bug("total + 1", Bug(name="b", effect="e", file="shop.py", old="+ 1", new="+", tests=()))


def test_the_copy_is_as_before_when_the_bug_is_out_again(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text("x = total + 1\n")
    with Checkout(tmp_path).planted(BUG):
        assert (tmp_path / "shop.py").read_text() == "x = total\n"
    assert (tmp_path / "shop.py").read_text() == "x = total + 1\n"
