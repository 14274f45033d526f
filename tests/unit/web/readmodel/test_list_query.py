"""Parameters of lists are understood, or refused with a hint."""

import pytest

from streams.ids import namespaced_id
from web.api.jobs.listing import JOBS
from web.http.cursors import InvalidCursor, PageCursor, dump
from web.http.problems import Problem
from web.readmodel.list_query import parse


def test_without_parameters_the_newest_fifty_are_listed() -> None:
    listing = parse({}, JOBS, None)
    assert (listing.sort, listing.limit, listing.conditions) == ("-created_at", 50, ())


@pytest.mark.parametrize(
    "query, code",
    [
        ({"status": "done"}, "invalid-status"),
        ({"status": "active,done"}, "invalid-status"),
        ({"status": ""}, "invalid-status"),
        ({"limit": "0"}, "invalid-limit"),
        ({"limit": "501"}, "invalid-limit"),
        ({"limit": "ten"}, "invalid-limit"),
        ({"limit": "-1"}, "invalid-limit"),
        ({"limit": "٣"}, "invalid-limit"),
        ({"sort": "colour"}, "invalid-sort"),
        ({"sort": "--created_at"}, "invalid-sort"),
        ({"created_after": "yesterday"}, "invalid-time"),
        ({"created_after": "2026-01-01T00:00:00"}, "invalid-time"),
        ({"stauts": "failed"}, "unknown-parameter"),
        ({"q": "x" * 201}, "invalid-query"),
    ],
)
def test_a_value_that_is_not_understood_is_refused_not_ignored(query: dict[str, str], code: str) -> None:
    with pytest.raises(Problem) as refused:
        parse(query, JOBS, None)
    assert (refused.value.status, refused.value.code) == (400, code)


def test_a_cursor_of_another_sort_is_refused() -> None:
    cursor = dump(PageCursor("created_at", 1.0, "job_1"))
    with pytest.raises(InvalidCursor):
        parse({"cursor": cursor, "sort": "-created_at"}, JOBS, None)


def test_values_are_bound_never_written_into_the_statement() -> None:
    listing = parse({"asset_id": "'; DROP TABLE jobs; --", "q": "%' OR 1"}, JOBS, "o'wner")
    assert "DROP" not in listing.sql() and "o'wner" not in listing.sql()
    named = {"'; DROP TABLE jobs; --", namespaced_id("o'wner", "'; DROP TABLE jobs; --")}
    assert set(listing.args) == {*named, "%' or 1", "o'wner"}


def test_an_owner_only_ever_sees_their_own() -> None:
    listing = parse({}, JOBS, "anna")
    assert listing.where == "g IN (SELECT g FROM groups WHERE owner = ?)"
    assert listing.args == ("anna",)
