"""A bug counts as caught only where a test has failed because of it."""

from pathlib import Path

import pytest

from tests.planted.bugs import Bug
from tests.planted.report import Result, page, passes
from tests.planted.run import Ended, Status, run_tests, verdict

FAILED = "F\nFAILED tests/unit/test_a.py::test_it[a - b] - AssertionError: 1\n1 failed in 0.1s\n"
BUG = Bug(name="gap", effect="a job is lost", file="a/b.py", old="", new="", tests=(), report="owner/name#7")


@pytest.mark.parametrize(
    "returncode, output, status",
    [
        (1, FAILED, "caught"),
        (1, "ERROR tests/unit/test_a.py::test_it - OSError\n", "caught"),
        (0, "5 passed in 0.1s\n", "missed"),
        (2, "ERROR tests/unit/test_a.py - ImportError\nInterrupted: 1 error during collection\n", "broken"),
        (5, "no tests ran in 0.1s\n", "broken"),
        (-9, "", "broken"),
        (None, FAILED, "hung"),
    ],
)
def test_only_a_failed_test_catches_a_bug(returncode: int | None, output: str, status: Status) -> None:
    assert verdict(Ended(returncode, output, 0.0)).status == status


def test_the_test_that_failed_is_named() -> None:
    assert verdict(Ended(1, FAILED, 0.0)).test == "tests/unit/test_a.py::test_it"


def test_the_copy_is_tested_and_not_the_installed_checkout(tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "__init__.py").write_text("IS_COPY = True\n")
    (tmp_path / "test_copy.py").write_text("import tables\ndef test_it(): assert tables.IS_COPY\n")
    (tmp_path / "pyproject.toml").write_text('[tool.pytest.ini_options]\naddopts = ["--import-mode=importlib"]\n')
    ended = run_tests(tmp_path, ["test_copy.py"])
    assert ended.returncode == 0, ended.output


def results(caught: int, missed: int) -> list[Result]:
    return [Result(BUG, "caught", "t.py::test_it", 1.0)] * caught + [Result(BUG, "missed", "", 1.0)] * missed


def test_two_of_fifty_may_be_missed() -> None:
    assert passes(results(50, 0)) and passes(results(48, 2)) and not passes(results(47, 3))
    assert passes(results(1, 0)) and not passes(results(0, 1))


def test_a_bug_that_was_not_planted_is_not_counted_as_passed() -> None:
    assert not passes([*results(60, 0), Result(BUG, "moved", "", 0.0)])
    assert not passes([*results(60, 0), Result(BUG, "broken", "", 0.0)])


def test_the_page_names_bug_report_and_test() -> None:
    written = page(results(1, 1))
    assert "1 of 2 were caught" in written
    assert "[owner/name#7](https://github.com/owner/name/issues/7)" in written
    assert "`t.py`: it" in written and "**missed**" in written
