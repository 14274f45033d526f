"""The count of deaths is kept from run to run."""

from tests.chaos.deaths_page import Deaths, page_of, runs_in

RUNS = [
    Deaths("2026-11-26", "0.1.0", "abc1234", 1, 7, 1_150, 12_345, 0),
    Deaths("2026-11-27", "0.1.0", "abc1235", 3, 9, 150, 345, 2),
    Deaths("2026-12-01", "0.2.0", "abc1236", 1, 11, 50, 90, 0),
]


def test_a_page_is_read_as_it_was_written() -> None:
    assert runs_in(page_of(RUNS)) == RUNS
    assert runs_in(page_of([])) == []


def test_deaths_are_summed_over_runs_and_for_each_version() -> None:
    page = page_of(RUNS)
    assert "1,350 deaths so far of 12,000, 2 violations." in page
    assert "| 0.1.0 | 1,300 | 2 |" in page and "| 0.2.0 | 50 | 0 |" in page
