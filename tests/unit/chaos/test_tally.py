"""What was survived is counted from run to run."""

from tests.chaos.tally import DEATHS, Run, page_of, runs_in

RUNS = [
    Run("2026-11-26", "0.1.0", "abc1234", 1, 7, 1_150, 12_345, 0),
    Run("2026-11-27", "0.1.0", "abc1235", 3, 9, 150, 345, 2),
    Run("2026-12-01", "0.2.0", "abc1236", 1, 11, 50, 90, 0),
]


def test_a_page_is_read_as_it_was_written() -> None:
    assert runs_in(page_of(DEATHS, RUNS)) == RUNS
    assert runs_in(page_of(DEATHS, [])) == []


def test_runs_are_summed_and_those_of_each_version_and_number_of_brokers() -> None:
    page = page_of(DEATHS, RUNS)
    assert "1,350 deaths so far of 12,000, 2 violations." in page
    assert (
        "| 0.1.0 | 1 | 1,150 | 0 |" in page and "| 0.1.0 | 3 | 150 | 2 |" in page and "| 0.2.0 | 1 | 50 | 0 |" in page
    )
