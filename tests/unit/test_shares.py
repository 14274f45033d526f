"""Shares of the long tests: each belongs to one, and four commits in a row may run them all."""

import re
from pathlib import Path

from tests.shares import SHARES, is_left_out, long_tests, share_of

ROOT = Path(__file__).resolve().parents[2]


def test_every_long_test_is_there_once() -> None:
    assert len(long_tests()) == len(set(long_tests()))
    for name in long_tests():
        path, _, function = name.partition("::")
        assert re.search(rf"^(async )?def {function}\(", (ROOT / path).read_text(), re.MULTILINE), name


def test_a_long_test_runs_in_one_share_with_all_its_parameters_and_others_in_each() -> None:
    others = {"tests/unit/test_shares.py::test_a", "tests/unit/test_shares.py::test_b[tests/a.py::test]"}
    long = {f"{name}{parameter}" for name in long_tests() for parameter in ("[a]", "[b::c]")}
    shares = [{test for test in long | others if not is_left_out(test, share)} for share in range(1, SHARES + 1)]
    assert set.intersection(*shares) == others
    assert sorted(test for share in shares for test in share - others) == sorted(long)


def test_commits_take_all_shares_in_the_long_run() -> None:
    assert {share_of(f"{number:08x}") for number in range(20)} == set(range(1, SHARES + 1))
    assert share_of("f732ba1a5bd28a1db6f6fa1bb1eb18bd7fb7a5a1") == share_of("f732ba1a")
